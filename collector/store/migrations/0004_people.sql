-- Who is who, and what they bought: made from the log by the projector, and again by `rebuild`.
-- A key is a user id, an e-mail or an anonymous id of a site. Its number is a hash of it
-- (collector/people/identity.py), so it is the same in every database and in any order of
-- events; a person has the number of its first name: the user id, else e-mail, else anonymous id.
CREATE TABLE person_keys (
  number INTEGER PRIMARY KEY,
  site TEXT NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  person INTEGER NOT NULL,
  shared INTEGER NOT NULL,      -- 1: an anonymous id of several people in turn, person_periods
  owner INTEGER,                -- the only one it was ever said to belong to
  since INTEGER,                -- when it was first said to be somebody's
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,   -- to the hour
  trusted INTEGER NOT NULL,
  traits TEXT,                  -- {name: [said since, value]}; the name '' is the address
  person_id TEXT GENERATED ALWAYS AS (iif(person IS NULL, NULL, printf('%016x', person))) VIRTUAL
);
-- The other keys of a person; its first name is found by its number.
CREATE INDEX person_keys_of_person ON person_keys (person) WHERE person <> number;

CREATE TABLE people (
  number INTEGER PRIMARY KEY,
  id TEXT GENERATED ALWAYS AS (printf('%016x', number)) VIRTUAL,
  site TEXT NOT NULL,
  user_id TEXT,
  email TEXT,
  traits TEXT,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  trusted INTEGER NOT NULL      -- 0: nobody vouched for who it is, where identity is verified
);

-- Who was said to be whom: the facts that the columns `person` follow from.
CREATE TABLE person_ties (
  key INTEGER NOT NULL,
  since INTEGER NOT NULL,
  owner INTEGER NOT NULL,
  rank INTEGER NOT NULL,        -- 0 identify or alias, 1 a lead's address
  PRIMARY KEY (key, since, owner)
) WITHOUT ROWID;
CREATE INDEX person_ties_of_owner ON person_ties (owner, since, key);

-- Of a shared anonymous id: whose it is from `since` on.
CREATE TABLE person_periods (
  key INTEGER NOT NULL,
  since INTEGER NOT NULL,
  person INTEGER NOT NULL,
  PRIMARY KEY (key, since)
) WITHOUT ROWID;

-- The keys that each event of the log came with: `key` is the user id (or the e-mail, where
-- there is no other), as far as it counts.
CREATE TABLE event_keys (
  seq INTEGER PRIMARY KEY,
  key INTEGER,
  anonymous INTEGER
);
-- The newest time in each 1,024 numbers: where to look for what was said after a moment.
CREATE TABLE event_blocks (
  block INTEGER PRIMARY KEY,
  latest INTEGER NOT NULL
);
CREATE INDEX event_blocks_latest ON event_blocks (latest);

-- People whose history is another than before (somebody was recognised), for who follows.
CREATE TABLE person_changes (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  person INTEGER NOT NULL
);

CREATE TABLE purchases (
  seq INTEGER PRIMARY KEY,
  message_id TEXT NOT NULL,
  site TEXT NOT NULL,
  person INTEGER,
  person_id TEXT GENERATED ALWAYS AS (iif(person IS NULL, NULL, printf('%016x', person))) VIRTUAL,
  timestamp INTEGER NOT NULL,
  event TEXT NOT NULL,
  order_id TEXT,
  currency TEXT,
  total_micros INTEGER,
  counted INTEGER NOT NULL,     -- 0: the repeat of another one
  repeat_of TEXT,               -- that one's message_id
  cart TEXT NOT NULL,           -- equal for equal contents
  key INTEGER,
  anonymous INTEGER
);
CREATE INDEX purchases_of_person ON purchases (person, cart);
CREATE INDEX purchases_by_order ON purchases (site, order_id) WHERE order_id IS NOT NULL;
CREATE INDEX purchases_by_key ON purchases (key) WHERE key IS NOT NULL;
CREATE INDEX purchases_by_anonymous ON purchases (anonymous) WHERE anonymous IS NOT NULL;

CREATE TABLE purchase_items (
  seq INTEGER NOT NULL,
  position INTEGER NOT NULL,
  product_id TEXT,
  name TEXT,
  sku TEXT,
  category TEXT,
  price_micros INTEGER,
  quantity NUMERIC,
  PRIMARY KEY (seq, position)
) WITHOUT ROWID;

CREATE TABLE leads (
  site TEXT NOT NULL,
  email TEXT NOT NULL,
  person INTEGER,
  person_id TEXT GENERATED ALWAYS AS (iif(person IS NULL, NULL, printf('%016x', person))) VIRTUAL,
  timestamp INTEGER NOT NULL,   -- of the first time
  message_id TEXT NOT NULL,
  source TEXT,
  last_at INTEGER NOT NULL,
  times INTEGER NOT NULL,       -- how often the address was captured
  key INTEGER,
  anonymous INTEGER,
  PRIMARY KEY (site, email)
) WITHOUT ROWID;
CREATE INDEX leads_of_person ON leads (person);
CREATE INDEX leads_by_key ON leads (key) WHERE key IS NOT NULL;
CREATE INDEX leads_by_anonymous ON leads (anonymous) WHERE anonymous IS NOT NULL;

CREATE VIEW person_events AS
SELECT e.*, (
  SELECT printf('%016x', o.person) FROM (
    SELECT coalesce(k.person, iif(a.shared,
      (SELECT p.person FROM person_periods p WHERE p.key = a.number AND p.since <= e.timestamp
       ORDER BY p.since DESC LIMIT 1), a.person)) AS person) AS o
  WHERE o.person IS NOT NULL) AS person_id
FROM events e
LEFT JOIN event_keys ek ON ek.seq = e.seq
LEFT JOIN person_keys k ON k.number = ek.key
LEFT JOIN person_keys a ON a.number = ek.anonymous;
