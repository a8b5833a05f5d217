-- Hits in the log's order, and what is added up from them in blocks: both made anew from the log.
DROP TABLE hits;
DROP TABLE rollups;
DROP TABLE rollup_sets;
DELETE FROM cursors WHERE name = 'rollups';

-- An event, in small numbers (rollup_names, rollup_visitors; 0 is none).
CREATE TABLE hits (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,          -- milliseconds since 1970
  bot INTEGER NOT NULL,
  view INTEGER NOT NULL,        -- 1: a page or screen
  site INTEGER NOT NULL,
  visitor INTEGER NOT NULL,
  path INTEGER NOT NULL,
  referrer INTEGER NOT NULL,
  campaign INTEGER NOT NULL,
  event INTEGER NOT NULL,       -- a track's name
  device INTEGER NOT NULL,
  browser INTEGER NOT NULL,
  country INTEGER NOT NULL,
  type INTEGER NOT NULL
);
CREATE INDEX hits_by_touch ON hits (visitor, at, seq, campaign) WHERE campaign <> 0;
-- Hits that may be purchases or leads, which stay when their event is too old.
CREATE TABLE hit_sales (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  view INTEGER NOT NULL,
  site INTEGER NOT NULL,
  visitor INTEGER NOT NULL,
  path INTEGER NOT NULL,
  referrer INTEGER NOT NULL,
  campaign INTEGER NOT NULL,
  event INTEGER NOT NULL,
  device INTEGER NOT NULL,
  browser INTEGER NOT NULL,
  country INTEGER NOT NULL,
  type INTEGER NOT NULL,
  message_id TEXT NOT NULL,     -- a lead knows its event by it
  site_name TEXT NOT NULL
);
CREATE INDEX hit_sales_by_message ON hit_sales (message_id, site_name);
-- Hits that are added up already, and between which times they lie.
CREATE TABLE hit_blocks (
  first INTEGER PRIMARY KEY,
  last INTEGER NOT NULL,
  earliest INTEGER NOT NULL,
  latest INTEGER NOT NULL
);

-- Of a value of a dimension, in an hour (level 4) or a day of UTC (96); of all (dimension 0) in a
-- quarter of an hour (1) or a day.
CREATE TABLE rollups (
  dimension INTEGER NOT NULL,
  value INTEGER NOT NULL,
  level INTEGER NOT NULL,
  start INTEGER NOT NULL,       -- number of the first quarter of an hour since 1970
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  events INTEGER NOT NULL,
  views INTEGER NOT NULL,
  visitors BLOB NOT NULL,       -- their numbers, as a roaring bitmap
  PRIMARY KEY (dimension, value, level, start, site, bot)
) WITHOUT ROWID;
-- Of a value, in a day: which values of each dimension came with it, and how often. MessagePack.
CREATE TABLE rollup_pairs (
  dimension INTEGER NOT NULL,
  value INTEGER NOT NULL,
  start INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  counts BLOB NOT NULL,
  PRIMARY KEY (dimension, value, start, site, bot)
) WITHOUT ROWID;
-- Of a path's views and an event, in a day: who, when, and the number in the log. MessagePack.
CREATE TABLE rollup_marks (
  dimension INTEGER NOT NULL,
  value INTEGER NOT NULL,
  start INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  marks BLOB NOT NULL,
  PRIMARY KEY (dimension, value, start, site, bot)
) WITHOUT ROWID;
