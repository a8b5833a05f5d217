-- Which purchase counts is found by a few looks into an index, however many repeats there are: a
-- thousand repeats of one cart made each step of the projector read and judge them all.
UPDATE purchases SET cart = '' WHERE order_id IS NOT NULL;
DROP INDEX purchases_of_person;
DROP INDEX purchases_by_order;
DROP INDEX order_items_by_order;
ALTER TABLE purchases DROP COLUMN repeat_of;
CREATE INDEX purchases_of_person ON purchases (person, cart, counted, timestamp, message_id);
CREATE INDEX purchases_by_order ON purchases (site, order_id, counted, timestamp, message_id)
  WHERE order_id IS NOT NULL;
CREATE INDEX order_items_by_order ON order_items (site, order_id, timestamp, message_id);
