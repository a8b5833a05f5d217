-- How far each file has been imported: with the log in one file, so that a restored backup, which
-- lacks the events, lacks this too. `source`: a hash of the file's first line, the format and the
-- site; `digest`: of all its bytes up to there. `salt`: of visitors' ids of an import under way.
CREATE TABLE imports (
  source TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL,
  lines INTEGER NOT NULL,
  digest TEXT NOT NULL,
  salt TEXT NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;
