-- The people last seen, first of all, without looking at all of them.
CREATE INDEX people_last_seen ON people (last_seen);
-- A person's newest purchases, without looking at all of them.
CREATE INDEX purchases_counted ON purchases (person, timestamp) WHERE counted;
