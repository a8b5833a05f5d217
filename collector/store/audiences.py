"""Audiences in the database: their rules, the index of events, memberships and what is to be
told of them.

Invariants: an event is indexed when the projector is done with it and before anybody is judged
by it; memberships, what is to be told and the cursor move in one transaction. `audience_told`
outlives a rebuild, so that a rebuild tells nobody anything.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.audience.judge import Outcome
from collector.clock import uuid7
from collector.store import cursors
from collector.store.histories import NAME

CURSOR = "audiences"
MOVES_MS = 900_000  # what is counted together of who entered and left
CHANGES = "audiences: people"
LOG = ""  # the destination of Audience Entered and Audience Exited
_encode = msgspec.json.Encoder().encode
# Without the time at which it was given: what was said is one of a few things.
CONSENT = "json_remove(e.consent, '$.at')"

_NEW_NAMES = f"""INSERT OR IGNORE INTO event_names (type, name)
  SELECT DISTINCT e.type, {NAME} FROM events AS e WHERE e.seq > ?1 AND e.seq <= ?2
  UNION SELECT 'consent', {CONSENT} FROM events AS e
    WHERE e.seq > ?1 AND e.seq <= ?2 AND e.consent IS NOT NULL"""  # noqa: S608
_INDEX = f"""INSERT OR IGNORE INTO event_index (key, seq, at, name, consent)
  SELECT coalesce(ek.key, ek.anonymous) AS key, e.seq, e.timestamp, n.id,
    iif(e.consent IS NULL, NULL,
      (SELECT id FROM event_names WHERE type = 'consent' AND name = {CONSENT}))
  FROM events AS e CROSS JOIN event_keys AS ek ON ek.seq = e.seq
  CROSS JOIN event_names AS n ON n.type = e.type AND n.name = {NAME}
  WHERE e.seq > ?1 AND e.seq <= ?2 AND coalesce(ek.key, ek.anonymous) IS NOT NULL
    AND NOT (e.type = 'track' AND e.event IN ('Audience Entered', 'Audience Exited'))
  ORDER BY 1, 2"""  # noqa: S608
_PUT = """INSERT OR REPLACE INTO audience_states (person, audience, entered_at, look_at)
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)"""
_DROP = """DELETE FROM audience_states WHERE (person, audience) IN
  (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
_CHANGES = """INSERT INTO outbox (destination, audience, person, change, at, first, address, id)
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
    value ->> 7 FROM json_each(?)"""
_MOVE = """INSERT INTO audience_moves
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE true
  ON CONFLICT DO UPDATE SET entered = entered + excluded.entered,
    exited = exited + excluded.exited"""
_UNTOLD = """DELETE FROM audience_told WHERE (person, audience, destination) IN
  (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))"""
_TOLD = """INSERT OR REPLACE INTO audience_told (person, audience, destination, address)
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)"""


class Defined(msgspec.Struct, frozen=True):
    """A row of `audiences`."""

    number: int
    name: str
    site: str
    rule: str
    targets: str
    evaluated_at: int | None
    next_person: int | None


def define(
    connection: sqlite.Connection, wanted: list[tuple[str, str, str, list[str]]], now: int
) -> None:
    """Make the table say what the settings say: name, site, rule (JSON) and destinations of
    each. What is new or has changed is evaluated over all of history; of what is gone nothing
    is kept."""
    with cursors.transaction(connection):
        # From now on retention waits for the index, and the projector notes whose history changes.
        connection.execute("INSERT OR IGNORE INTO cursors VALUES (?, 0)", (CURSOR,))
        kept = {name for name, _, _, _ in wanted}
        for defined in listed(connection):
            if defined.name not in kept:
                _remove(connection, defined.number)
        for name, site, rule, targets in wanted:
            text = _text(sorted(targets))
            connection.execute(_ANOTHER, (name, site, rule))
            connection.execute(_DEFINE, (name, site, rule, text, now))
            for table in ("audience_told", "outbox"):
                connection.execute(_UNTIE.format(table=table), (name, text))


_DEFINE = """INSERT INTO audiences (name, site, rule, targets, created_at)
  VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE
  SET site = ?2, rule = ?3, targets = ?4, evaluated_at = NULL, next_person = NULL
  WHERE (site, rule, targets) IS NOT (?2, ?3, ?4)"""
# By another rule there was another size.
_ANOTHER = """DELETE FROM audience_moves WHERE audience =
  (SELECT number FROM audiences WHERE name = ?1 AND (site, rule) IS NOT (?2, ?3))"""
_UNTIE = """DELETE FROM {table} WHERE audience = (SELECT number FROM audiences WHERE name = ?1)
  AND destination <> '' AND destination NOT IN (SELECT value FROM json_each(?2))"""


def retire(connection: sqlite.Connection) -> None:
    """There are no audiences in the settings: nothing is kept of any, and no cursor that would
    hold up retention. Whoever adds one later begins at the log's start."""
    with cursors.transaction(connection):
        reset(connection)
        for table in ("audiences", "audience_moves", "audience_told", "outbox", "person_changes"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608


def _remove(connection: sqlite.Connection, number: int) -> None:
    """At once gone from everything that is shown or told. Its rows of people are left until
    somebody looks at them: to find them all takes seconds at millions of people, and this is
    done before the collector listens. Numbers are never used again."""
    connection.execute("DELETE FROM outbox WHERE audience = ?", (number,))
    connection.execute("DELETE FROM audience_moves WHERE audience = ?", (number,))
    connection.execute("DELETE FROM audiences WHERE number = ?", (number,))


def listed(connection: sqlite.Connection) -> list[Defined]:
    rows = connection.execute(
        "SELECT number, name, site, rule, targets, evaluated_at, next_person FROM audiences "
        "ORDER BY number"
    )
    return [Defined(*row) for row in rows.fetchall()]


def index(connection: sqlite.Connection, after: int, last_seq: int) -> None:
    """Put events with `after` < number <= `last_seq` into the index; harmless when repeated."""
    with cursors.derived(connection):
        connection.execute(_NEW_NAMES, (after, last_seq))
        connection.execute(_INDEX, (after, last_seq))


def apply(
    connection: sqlite.Connection,
    outcome: Outcome,
    moves: dict[str, int],
    progress: dict[int, tuple[int | None, int | None]],
) -> None:
    """Write what follows from a step, move cursors (by name), and note how far full evaluations
    have come (audience: next person, time when done)."""
    with cursors.transaction(connection):
        for statement, rows in _writes(outcome):
            if rows:
                connection.execute(statement, (_text(rows),))
        for name, seq in moves.items():
            cursors.move(connection, name, seq)
        if CHANGES in moves:
            connection.execute("DELETE FROM person_changes WHERE number <= ?", (moves[CHANGES],))
        connection.executemany(
            "UPDATE audiences SET next_person = ?2, evaluated_at = ?3 WHERE number = ?1",
            [(number, *values) for number, values in progress.items()],
        )


def _writes(outcome: Outcome) -> Iterator[tuple[str, list[Any]]]:
    changes = [
        (c.destination, c.audience, c.person, c.change, c.at, int(c.first), c.address, uuid7(c.at))
        for c in outcome.changes
    ]
    moves = [
        (audience, at // MOVES_MS, count * entered, count * (not entered))
        for (audience, at, entered), count in outcome.moves.items()
    ]
    yield _PUT, outcome.put
    yield _DROP, outcome.drop
    yield _CHANGES, changes
    yield _MOVE, moves
    yield _UNTOLD, outcome.untold
    yield _TOLD, outcome.told


def reset(connection: sqlite.Connection) -> None:
    """For a rebuild, inside its transaction: everything is made again from the log, and
    destinations are told only what then differs from what they were told."""
    for table in ("event_index", "event_names", "audience_states"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608
    connection.execute("UPDATE audiences SET evaluated_at = NULL, next_person = NULL")
    connection.execute("DELETE FROM cursors WHERE name IN (?, ?)", (CURSOR, CHANGES))


def erase(
    connection: sqlite.Connection,
    people: list[int],
    keys: list[int],
    shared: list[int],
    needles: list[str],
) -> dict[str, int]:
    """Take a person out, inside the eraser's transaction: its ids from the index, of `shared`
    ones what is no longer in the log, and names that say who it is. Returns rows by table."""
    counts = {"event_index": 0, "event_names": 0}
    for statement, numbers in ((_ERASE_KEYS, keys), (_ERASE_SHARED, shared)):
        counts["event_index"] += connection.execute(statement, (_text(numbers),)).rowcount
    counts["event_names"] = connection.execute(_ERASE_NAMES, (_text(needles),)).rowcount
    for table in OF_PEOPLE:
        statement = f"DELETE FROM {table} WHERE person IN (SELECT value FROM json_each(?))"  # noqa: S608
        counts[table] = connection.execute(statement, (_text(people),)).rowcount
    return counts


OF_PEOPLE = ("audience_states", "audience_told", "outbox")
_ERASE_KEYS = "DELETE FROM event_index WHERE key IN (SELECT value FROM json_each(?))"
_ERASE_SHARED = f"""{_ERASE_KEYS}
  AND NOT EXISTS (SELECT 1 FROM events WHERE events.seq = event_index.seq)"""  # noqa: S608
_ERASE_NAMES = """DELETE FROM event_names WHERE EXISTS
  (SELECT 1 FROM json_each(?) AS j WHERE instr(lower(name), j.value))"""


def _text(value: Any) -> str:
    return str(_encode(value), "utf-8")


# Of events that leave the log, while it is still known whose they are.
EXPIRE = """DELETE FROM event_index WHERE (key, seq) IN
  (SELECT coalesce(key, anonymous), seq FROM event_keys WHERE seq <= ?)"""
