-- What the days of a month (32 days, counted from 1970) add up to, once they are over: a year is a
-- dozen rows then, where it was 365 pages all over the file. A month is believed when it is `ready`;
-- whoever changes a day takes its month out of here.
CREATE TABLE months (
  start INTEGER PRIMARY KEY,    -- number of the first quarter of an hour since 1970
  ready INTEGER NOT NULL        -- 0: it is being added up
);
-- Rows with an index each, not one record of key and content: those SQLite reads whole to compare
-- keys, and a month's bitmaps are many pages.
CREATE TABLE month_cells (
  dimension INTEGER NOT NULL,
  start INTEGER NOT NULL,
  value INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  events INTEGER NOT NULL,
  views INTEGER NOT NULL,
  visitors BLOB NOT NULL
);
CREATE UNIQUE INDEX month_cells_by_value ON month_cells (dimension, start, value, site, bot);
CREATE TABLE month_pairs (
  dimension INTEGER NOT NULL,
  start INTEGER NOT NULL,
  value INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  counts BLOB NOT NULL
);
CREATE UNIQUE INDEX month_pairs_by_value ON month_pairs (dimension, start, value, site, bot);
-- Who and when, at most 32,768 of them a row, and the values of their hits: a filter need not look
-- the hits up. Those are empty where the hits were gone already. Columns that are asked for often
-- and are small come first: SQLite reads a row as far as what it is asked for.
CREATE TABLE month_marks (
  dimension INTEGER NOT NULL,
  start INTEGER NOT NULL,
  value INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  first INTEGER NOT NULL,       -- tells rows apart: a number in the log
  visitors BLOB NOT NULL,
  at BLOB NOT NULL,
  seqs BLOB NOT NULL,
  device BLOB NOT NULL,
  browser BLOB NOT NULL,
  country BLOB NOT NULL,
  type BLOB NOT NULL,
  referrer BLOB NOT NULL,
  campaign BLOB NOT NULL,
  event BLOB NOT NULL,
  path BLOB NOT NULL
);
CREATE UNIQUE INDEX month_marks_by_value
  ON month_marks (dimension, start, value, site, bot, first);
