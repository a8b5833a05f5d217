-- Months of cells by hours and weeks, too: a chart over 90 days read 8,640 quarters of an hour, one
-- over a year each of its days. Hours stand here of all hits only: of each value they are in
-- `rollups`. What stands in the other two tables is taken out a little at a time before it is made
-- anew.
DELETE FROM months;
DROP TABLE month_cells;
CREATE TABLE month_cells (
  dimension INTEGER NOT NULL,
  start INTEGER NOT NULL,
  level INTEGER NOT NULL,       -- slots: 4, 768 or 3,072
  value INTEGER NOT NULL,
  site INTEGER NOT NULL,
  bot INTEGER NOT NULL,
  events INTEGER NOT NULL,
  views INTEGER NOT NULL,
  visitors BLOB NOT NULL
);
CREATE UNIQUE INDEX month_cells_by_value
  ON month_cells (dimension, start, level, value, site, bot);
