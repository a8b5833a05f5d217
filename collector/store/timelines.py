"""A person's events, found by whose they are (store/whose.py)."""

import json
from itertools import islice
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.event import Event
from collector.store import whose
from collector.store.reader import dicts, snapshot

EVENT = "seq, " + ", ".join(Event.__struct_fields__)
_AT_ONCE = 400
_MINE = """SELECT json_group_array(number) FROM (
  SELECT number FROM person_keys
    WHERE number = ?1 AND person = ?1 OR person = ?1 AND person <> number
  UNION SELECT key FROM person_periods WHERE person = ?1)"""
# By small rows, where the event is counted already.
_TIMES = """SELECT json_group_array(json_array(coalesce(h.at, e.timestamp), j.value))
  FROM json_each(?) AS j LEFT JOIN hits AS h ON h.seq = j.value
  LEFT JOIN events AS e ON h.seq IS NULL AND e.seq = j.value
  WHERE coalesce(h.at, e.timestamp) IS NOT NULL"""
_EVENTS = f"""SELECT {EVENT}, person_id FROM person_events
  WHERE seq IN (SELECT value FROM json_each(?)) AND person_id = printf('%016x', ?)
  ORDER BY timestamp DESC, seq DESC"""  # noqa: S608
_pairs = msgspec.json.Decoder(list[tuple[int, int]]).decode


def timeline(connection: sqlite.Connection, person: int, limit: int = 200) -> list[dict[str, Any]]:
    """The newest events of a person, newest first."""
    events: list[dict[str, Any]] = []
    with snapshot(connection):
        keys = json.loads(connection.execute(_MINE, (person,)).fetchone()[0])
        found = json.dumps(whose.events(connection, keys))
        pairs = sorted(_pairs(connection.execute(_TIMES, (found,)).fetchone()[0]), reverse=True)
        seqs = iter([seq for _, seq in pairs])
        while len(events) < limit and (some := list(islice(seqs, _AT_ONCE))):
            events += dicts(connection.execute(_EVENTS, (json.dumps(some), person)))
    return events[:limit]
