-- Who did it and when, of a value in a day, in parts that are not written again once they are full:
-- a day's as one row was written anew with each block, in the evening all of the day's.
CREATE TABLE mark_parts (
  dimension INTEGER NOT NULL,
  value INTEGER NOT NULL,
  start INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  first INTEGER NOT NULL,       -- tells parts apart: a number in the log, 0 of what was one row
  marks BLOB NOT NULL,
  PRIMARY KEY (dimension, value, start, site, bot, first)
) WITHOUT ROWID;
INSERT INTO mark_parts SELECT dimension, value, start, site, bot, 0, marks FROM rollup_marks
  ORDER BY dimension, value, start, site, bot;
DROP TABLE rollup_marks;
ALTER TABLE mark_parts RENAME TO rollup_marks;
