-- The log. Columns of later work are here from the start, so that nothing has to migrate it.
-- AUTOINCREMENT: a deleted newest row's number is never handed out again, or cursors skip rows.
-- No index beside the row id: each costs the hot path 20 % and more; what reads need is built
-- outside of it.
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  message_id TEXT NOT NULL,
  site TEXT NOT NULL,
  type TEXT NOT NULL,
  event TEXT,
  user_id TEXT,
  anonymous_id TEXT,
  group_id TEXT,
  previous_id TEXT,
  timestamp INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  sent_at INTEGER,
  original_timestamp INTEGER,
  url TEXT,
  path TEXT,
  title TEXT,
  referrer TEXT,
  properties TEXT,
  traits TEXT,
  context TEXT,
  ip TEXT,
  user_agent TEXT,
  consent TEXT,
  trusted INTEGER,
  bot INTEGER,
  violations TEXT,
  node_id TEXT NOT NULL,
  node_seq INTEGER NOT NULL
);

CREATE TABLE rejected (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  site TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  batch_index INTEGER NOT NULL,
  status INTEGER NOT NULL,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX rejected_by_site ON rejected (site, id);

-- The deduplication window, 8 bytes an event, written in the transaction of the events that
-- complete a segment: a restart reads these instead of gigabytes of log.
CREATE TABLE dedupe_segments (
  first_seq INTEGER PRIMARY KEY,
  hashes BLOB NOT NULL
);

-- Write keys of sites whose settings give none.
CREATE TABLE site_keys (
  site TEXT PRIMARY KEY,
  key TEXT NOT NULL
);

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
