-- Purchases and leads of eight days by columns, with what they are asked by: looked up one by one
-- they are a page of 8 KiB each in five tables, and the campaigns they came by lie among millions.
CREATE TABLE sale_pieces (
  number INTEGER PRIMARY KEY,   -- of eight days since 1970
  content BLOB NOT NULL         -- MessagePack; empty while it is being made
);
CREATE INDEX hit_sales_by_visitor ON hit_sales (visitor, at);

-- A piece says what the tables say, or is not there.
CREATE TRIGGER sale_put AFTER INSERT ON purchases BEGIN
  DELETE FROM sale_pieces WHERE number = new.timestamp / 691200000;
END;
CREATE TRIGGER sale_changed AFTER UPDATE OF seq, timestamp, currency, total_micros, counted
ON purchases BEGIN
  DELETE FROM sale_pieces
  WHERE number IN (old.timestamp / 691200000, new.timestamp / 691200000);
END;
CREATE TRIGGER sale_gone AFTER DELETE ON purchases BEGIN
  DELETE FROM sale_pieces WHERE number = old.timestamp / 691200000;
END;
CREATE TRIGGER sale_item_put AFTER INSERT ON purchase_items BEGIN
  DELETE FROM sale_pieces WHERE number =
    (SELECT timestamp / 691200000 FROM purchases WHERE seq = new.seq);
END;
CREATE TRIGGER sale_item_changed AFTER UPDATE ON purchase_items BEGIN
  DELETE FROM sale_pieces WHERE number IN
    (SELECT timestamp / 691200000 FROM purchases WHERE seq IN (old.seq, new.seq));
END;
CREATE TRIGGER sale_item_gone AFTER DELETE ON purchase_items BEGIN
  DELETE FROM sale_pieces WHERE number =
    (SELECT timestamp / 691200000 FROM purchases WHERE seq = old.seq);
END;
CREATE TRIGGER sale_lead_put AFTER INSERT ON leads BEGIN
  DELETE FROM sale_pieces WHERE number = new.timestamp / 691200000;
END;
CREATE TRIGGER sale_lead_changed AFTER UPDATE OF site, timestamp, message_id ON leads BEGIN
  DELETE FROM sale_pieces
  WHERE number IN (old.timestamp / 691200000, new.timestamp / 691200000);
END;
CREATE TRIGGER sale_lead_gone AFTER DELETE ON leads BEGIN
  DELETE FROM sale_pieces WHERE number = old.timestamp / 691200000;
END;
CREATE TRIGGER sale_hit_put AFTER INSERT ON hit_sales BEGIN
  DELETE FROM sale_pieces WHERE number = new.at / 691200000;
END;
CREATE TRIGGER sale_hit_gone AFTER DELETE ON hit_sales BEGIN
  DELETE FROM sale_pieces WHERE number = old.at / 691200000;
END;
