-- Forwarding. At the centre: each edge's numbers; at the edge: what is on its way.

-- A node that forwards here. lanes: JSON, the last number of each lane (event.py). beat: JSON,
-- what it last said of itself.
CREATE TABLE edges (
  node_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  lanes TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  beat TEXT,
  beat_at INTEGER,
  conflict TEXT
) WITHOUT ROWID;

-- Where in the log the events of a block of 65,536 numbers of a node lie, a row a batch.
CREATE TABLE edge_arrivals (
  node_id TEXT NOT NULL,
  block INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  PRIMARY KEY (node_id, block, first_seq)
) WITHOUT ROWID;

-- Numbers that are in no log, and why: duplicate, erased, rejected, dropped.
CREATE TABLE absent_numbers (
  node_id TEXT NOT NULL,
  first_number INTEGER NOT NULL,
  last_number INTEGER NOT NULL,
  why TEXT NOT NULL,
  PRIMARY KEY (node_id, first_number)
) WITHOUT ROWID;

-- The batch an upstream is being sent, its bounds fixed before the first try.
CREATE TABLE forward_plans (
  upstream TEXT PRIMARY KEY,
  after INTEGER NOT NULL,
  upto INTEGER NOT NULL
) WITHOUT ROWID;

-- Events that an upstream will not have.
CREATE TABLE forward_refused (
  upstream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (upstream, seq)
) WITHOUT ROWID;

-- How far each upstream has been compared with this log, and what was found.
CREATE TABLE audits (
  upstream TEXT PRIMARY KEY,
  audited_to INTEGER NOT NULL,
  events INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;
