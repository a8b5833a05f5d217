-- What the dashboard counts, kept by a follower of the log (workers/rollups.py). A slot is a
-- quarter of an hour since 1970, which every time zone's days are made of.

-- Texts that hits and rollups speak of by number; 0 is none.
CREATE TABLE rollup_names (
  number INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
);
-- Visitors by number; `hash` is of the site and the visitor's id, which is not kept here.
CREATE TABLE rollup_visitors (
  number INTEGER PRIMARY KEY,
  hash INTEGER NOT NULL UNIQUE
);
-- An event, in small numbers: what filters look through.
CREATE TABLE hits (
  slot INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  view INTEGER NOT NULL,        -- 1: a page or screen
  site INTEGER NOT NULL,
  visitor INTEGER NOT NULL,     -- 0: nobody
  path INTEGER NOT NULL,
  referrer INTEGER NOT NULL,
  campaign INTEGER NOT NULL,
  event INTEGER NOT NULL,       -- a track's name
  device INTEGER NOT NULL,
  browser INTEGER NOT NULL,
  country INTEGER NOT NULL,
  type INTEGER NOT NULL,
  PRIMARY KEY (slot, seq)
) WITHOUT ROWID;
CREATE INDEX hits_by_event ON hits (event, slot, bot, site, visitor) WHERE event <> 0;
CREATE INDEX hits_by_touch ON hits (visitor, slot, seq, campaign) WHERE campaign <> 0;

-- Counts by slot (level 1), hour (4), day (96) and 32 days (3072); `start` is the first slot.
CREATE TABLE rollups (
  bot INTEGER NOT NULL,
  dimension INTEGER NOT NULL,
  level INTEGER NOT NULL,
  start INTEGER NOT NULL,
  site INTEGER NOT NULL,
  value INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (bot, dimension, level, start, site, value)
) WITHOUT ROWID;
-- Who was there: visitors' numbers, 4 bytes each; of slots, hours and days.
CREATE TABLE rollup_sets (
  bot INTEGER NOT NULL,
  level INTEGER NOT NULL,
  start INTEGER NOT NULL,
  site INTEGER NOT NULL,
  visitors BLOB NOT NULL,
  PRIMARY KEY (bot, level, start, site)
);

CREATE INDEX purchases_by_time ON purchases (timestamp, site, counted, currency, total_micros);
CREATE INDEX leads_by_time ON leads (timestamp, site);
