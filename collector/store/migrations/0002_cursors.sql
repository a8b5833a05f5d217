-- How far each reader of the log has come, moved in the transaction of the work it stands for.
CREATE TABLE cursors (
  name TEXT PRIMARY KEY,
  seq INTEGER NOT NULL
) WITHOUT ROWID;
