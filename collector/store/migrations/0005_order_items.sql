-- Items sent apart from their order, before it or after: purchase_items has them once the order's
-- purchase is there.
CREATE TABLE order_items (
  seq INTEGER PRIMARY KEY,
  message_id TEXT NOT NULL,
  site TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  order_id TEXT NOT NULL,
  product_id TEXT,
  name TEXT,
  sku TEXT,
  category TEXT,
  price_micros INTEGER,
  quantity NUMERIC
);
CREATE INDEX order_items_by_order ON order_items (site, order_id);
