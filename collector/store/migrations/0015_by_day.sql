-- What hits add up to in order of time before that of values: a block of 16,384 events, of one day
-- most often, wrote a page of 8 KiB for each value it had, 69 MB with 2,000 paths.
CREATE TABLE by_day (
  dimension INTEGER NOT NULL,
  level INTEGER NOT NULL,
  start INTEGER NOT NULL,       -- number of the first quarter of an hour since 1970
  value INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  events INTEGER NOT NULL,
  views INTEGER NOT NULL,
  visitors BLOB NOT NULL,       -- their numbers, as a roaring bitmap
  PRIMARY KEY (dimension, level, start, value, site, bot)
) WITHOUT ROWID;
INSERT INTO by_day SELECT dimension, level, start, value, site, bot, events, views, visitors
  FROM rollups ORDER BY 1, 2, 3, 4, 5, 6;
DROP TABLE rollups;
ALTER TABLE by_day RENAME TO rollups;

CREATE TABLE by_day (
  dimension INTEGER NOT NULL,
  start INTEGER NOT NULL,
  value INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  counts BLOB NOT NULL,
  PRIMARY KEY (dimension, start, value, site, bot)
) WITHOUT ROWID;
INSERT INTO by_day SELECT dimension, start, value, site, bot, counts FROM rollup_pairs
  ORDER BY 1, 2, 3, 4, 5;
DROP TABLE rollup_pairs;
ALTER TABLE by_day RENAME TO rollup_pairs;

CREATE TABLE by_day (
  dimension INTEGER NOT NULL,
  done INTEGER NOT NULL,        -- 0: the part of the day that goes on, 1: one that was full
  start INTEGER NOT NULL,
  value INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  first INTEGER NOT NULL,       -- tells full parts apart: a number in the log
  marks BLOB NOT NULL,
  PRIMARY KEY (dimension, done, start, value, site, bot, first)
) WITHOUT ROWID;
INSERT INTO by_day SELECT dimension, 1, start, value, site, bot, first, marks FROM rollup_marks
  ORDER BY 1, 3, 4, 5, 6, 7;
DROP TABLE rollup_marks;
ALTER TABLE by_day RENAME TO rollup_marks;
