-- Who belongs to which audience, and who is told. Made from the log; the index too.
-- What each event was, as far as rules ask by name: a track's name, a page's path, a consent.
CREATE TABLE event_names (
  id INTEGER PRIMARY KEY,
  type TEXT NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (type, name)
);
-- Every event, by the id that it counts for: 27 bytes that lie beside those of the same id, so
-- that a history is one read and everything is evaluated without touching the log.
CREATE TABLE event_index (
  key INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  name INTEGER NOT NULL,
  consent INTEGER,
  PRIMARY KEY (key, seq)
) WITHOUT ROWID;
CREATE INDEX person_periods_of_person ON person_periods (person, key);

CREATE TABLE audiences (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  site TEXT,
  rule TEXT NOT NULL,           -- JSON, with the rules of the audiences that it names
  targets TEXT NOT NULL,        -- JSON, the destinations that are told
  created_at INTEGER NOT NULL,
  evaluated_at INTEGER,         -- when all of history had been looked at
  next_person INTEGER           -- how far that has come; NULL: not begun, or done
);
-- A row where somebody is a member, or may become or cease to be one without a new event.
CREATE TABLE audience_states (
  person INTEGER NOT NULL,
  audience INTEGER NOT NULL,
  entered_at INTEGER,           -- NULL: no member
  look_at INTEGER,              -- when to look again; may be earlier than need be
  PRIMARY KEY (person, audience)
) WITHOUT ROWID;
CREATE INDEX audience_states_members ON audience_states (audience, person)
  WHERE entered_at IS NOT NULL;
CREATE INDEX audience_states_looks ON audience_states (look_at) WHERE look_at IS NOT NULL;
CREATE VIEW audience_members AS
  SELECT a.name AS audience, printf('%016x', s.person) AS person_id, s.entered_at
  FROM audience_states s JOIN audiences a ON a.number = s.audience
  WHERE s.entered_at IS NOT NULL;

-- What each destination has been told, or will have been when the outbox is empty.
CREATE TABLE audience_told (
  person INTEGER NOT NULL,
  audience INTEGER NOT NULL,
  destination TEXT NOT NULL,
  address TEXT,
  PRIMARY KEY (person, audience, destination)
) WITHOUT ROWID;
-- Changes that are still to be told, in order per person. The destination '' is the log.
CREATE TABLE outbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  destination TEXT NOT NULL,
  audience INTEGER NOT NULL,
  person INTEGER NOT NULL,
  change TEXT NOT NULL,         -- entered, exited
  at INTEGER NOT NULL,
  first INTEGER NOT NULL,       -- 1: of the first, full evaluation
  address TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL DEFAULT 0,
  job TEXT,
  error TEXT
);
CREATE INDEX outbox_of_person ON outbox (destination, person, number);
CREATE INDEX outbox_of_destination ON outbox (destination, number);
