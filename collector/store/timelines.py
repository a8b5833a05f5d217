"""A person's events, found by the 32 bits that each piece keeps of whom its events count for
(store/columns.py); where there are none, in `event_keys`, row by row."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.event import Event
from collector.store import columns, hits
from collector.store.columns import PERSON, Piece
from collector.store.hits import COLUMNS
from collector.store.reader import dicts

EVENT = "seq, " + ", ".join(Event.__struct_fields__)
_SEQ, _AT = COLUMNS.index("seq"), COLUMNS.index("at")
_AT_ONCE = 400
_MINE = """SELECT json_group_array(number), min(first_seen) FROM (
  SELECT number, first_seen FROM person_keys
    WHERE number = ?1 AND person = ?1 OR person = ?1 AND person <> number
  UNION SELECT k.number, k.first_seen FROM person_periods AS p
    CROSS JOIN person_keys AS k ON k.number = p.key WHERE p.person = ?1)"""
_ROWS = """SELECT json_group_array(json_array(e.timestamp, k.seq))
  FROM event_keys AS k CROSS JOIN events AS e ON e.seq = k.seq WHERE k.seq BETWEEN ? AND ?
    AND coalesce(k.key, k.anonymous) IN (SELECT value FROM json_each(?))"""
_EVENTS = f"""SELECT {EVENT}, person_id FROM person_events
  WHERE seq IN (SELECT value FROM json_each(?)) AND person_id = printf('%016x', ?)
  ORDER BY timestamp DESC, seq DESC"""  # noqa: S608
_pairs = msgspec.json.Decoder(list[tuple[int, int]]).decode


def timeline(connection: sqlite.Connection, person: int, limit: int = 200) -> list[dict[str, Any]]:
    """The newest events of a person, newest first."""
    text, since = connection.execute(_MINE, (person,)).fetchone()
    found = sorted(_found(connection, json.loads(text), since or 0), reverse=True)
    seqs = iter([seq for _, seq in found])
    events: list[dict[str, Any]] = []
    while len(events) < limit and (some := list(islice(seqs, _AT_ONCE))):
        events += dicts(connection.execute(_EVENTS, (json.dumps(some), person)))
    return events[:limit]


def _found(connection: sqlite.Connection, keys: list[int], since: int) -> Iterator[tuple[int, int]]:
    """Time and number of what may be of these ids."""
    after, text = 0, json.dumps(keys)
    for piece in columns.pieces(connection, 0, hits.LAST, 0, hits.LAST):
        yield from _by_row(connection, after, piece.first - 1, text)
        after = piece.last
        if piece.latest < since:
            continue
        content = columns.contents(connection, piece.first, (PERSON,))
        if PERSON not in content:
            yield from _by_row(connection, piece.first - 1, piece.last, text)
        elif places := columns.places(content[PERSON], keys):
            yield from _at(connection, piece, places)
    yield from _by_row(connection, after, hits.LAST, text)


def _at(
    connection: sqlite.Connection, piece: Piece, places: list[int]
) -> Iterator[tuple[int, int]]:
    wide = columns.contents(connection, piece.first, (_SEQ, _AT))
    seqs, at = (columns.unpack(wide[name], piece.hits) for name in (_SEQ, _AT))
    for place in places:
        yield at[place], seqs[place]


def _by_row(
    connection: sqlite.Connection, after: int, upto: int, keys: str
) -> list[tuple[int, int]]:
    if upto <= after:
        return []
    return _pairs(connection.execute(_ROWS, (after + 1, upto, keys)).fetchone()[0])
