-- Audiences made in the dashboard, as they would stand in the settings (JSON).
CREATE TABLE saved_audiences (
  name TEXT PRIMARY KEY,
  definition TEXT NOT NULL
) WITHOUT ROWID;

-- How many entered and left in a quarter of an hour; full evaluations are not in it.
CREATE TABLE audience_moves (
  audience INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  entered INTEGER NOT NULL,
  exited INTEGER NOT NULL,
  PRIMARY KEY (audience, slot)
) WITHOUT ROWID;
