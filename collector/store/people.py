"""People in the database: what the projector asks for, and the one transaction in which it
writes what follows.

Every question is one statement that returns one JSON text, and every change of a table one
statement that takes one: beside a busy event loop each trip into SQLite may wait 5 ms for the
interpreter lock.
"""

import time
from typing import Any, TypeVar

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.people.commerce import KNOWN
from collector.people.identity import Rules, Tie
from collector.people.project import Changes, Key
from collector.people.said import Row
from collector.store import audiences, cursors, purchases, seals, visits, whose

CURSOR = "projector"
BLOCK = 10  # bits of seq within a block of event_blocks

T = TypeVar("T")
_rows = msgspec.json.Decoder(list[Row])
_keys = msgspec.json.Decoder(list[Key])
_ties = msgspec.json.Decoder(list[Tie])
_encode = msgspec.json.Encoder().encode

_KNOWN = ", ".join(f"'{name}'" for name in sorted(KNOWN))
_VALID = f"e.type = 'track' AND e.event IN ({_KNOWN}) AND e.violations IS NULL"
_ROW = f"""json_array(e.seq, e.site, e.type, e.user_id, e.anonymous_id, e.timestamp, e.trusted,
  iif({_VALID}, e.message_id, NULL), iif({_VALID}, e.event, NULL),
  iif(e.type = 'alias', e.previous_id, NULL), iif(e.type = 'identify', e.traits, NULL),
  iif({_VALID}, 1, 0), iif({_VALID}, e.properties, NULL))"""
_AFTER = f"""SELECT json_group_array({_ROW}) FROM (
  SELECT * FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?) AS e"""
_SAID_AFTER = f"""SELECT json_group_array({_ROW}) FROM (
  SELECT e.* FROM event_blocks AS b
  CROSS JOIN event_keys AS k ON k.seq BETWEEN b.block << {BLOCK} AND (b.block + 1 << {BLOCK}) - 1
  CROSS JOIN events AS e ON e.seq = k.seq
  WHERE b.latest >= ?2 AND (k.key = ?1 OR (k.key IS NULL AND k.anonymous = ?1))
    AND e.timestamp >= ?2 AND e.type IN ('identify', 'track') LIMIT 10000) AS e"""
_TIED_AGAIN = f"""SELECT min(e.timestamp) FROM event_blocks AS b
  CROSS JOIN event_keys AS k ON k.seq BETWEEN b.block << {BLOCK} AND (b.block + 1 << {BLOCK}) - 1
  CROSS JOIN events AS e ON e.seq = k.seq
  WHERE b.latest >= ?3 AND k.key = ?2 AND e.timestamp >= ?3 AND (?4 IS NULL OR e.timestamp < ?4)
    AND (k.anonymous = ?1 OR (e.type = 'alias' AND e.previous_id =
      (SELECT value FROM person_keys WHERE number = ?1)))"""
_KEYS = """SELECT json_group_array(json_array(k.number, k.site, k.value, k.person, k.shared,
  k.owner, k.since, k.first_seen, k.last_seen, k.trusted, k.traits))
  FROM json_each(?) AS j CROSS JOIN person_keys AS k ON k.number = j.value"""
_TIES = """SELECT json_group_array(json_array(key, since, owner, rank)) FROM (
  SELECT t.* FROM json_each(?) AS j CROSS JOIN person_ties AS t ON t.{column} = j.value
  ORDER BY {order})"""
_TIES_OF = _TIES.format(column="key", order="t.key, t.since, t.owner")
_TIES_TO = _TIES.format(column="owner", order="t.owner, t.since, t.key")


class Stored:
    """The past as the database has it (people.project.Past)."""

    def __init__(self, connection: sqlite.Connection) -> None:
        self._connection = connection

    def rows(self, after: int, last_seq: int, limit: int) -> list[Row]:
        """At most `limit` events with `after` < number <= `last_seq`, in order."""
        return self._ask(_AFTER, _rows, after, last_seq, limit)

    def keys(self, numbers: list[int]) -> list[Key]:
        return self._ask(_KEYS, _keys, _text(numbers))

    def ties_of(self, keys: list[int]) -> list[Tie]:
        return self._ask(_TIES_OF, _ties, _text(keys))

    def ties_to(self, owners: list[int]) -> list[Tie]:
        return self._ask(_TIES_TO, _ties, _text(owners))

    def said_after(self, key: int, at: int) -> list[Row]:
        return self._ask(_SAID_AFTER, _rows, key, at)

    def tied_again(self, key: int, owner: int, after: int, before: int | None) -> int | None:
        row = self._connection.execute(_TIED_AGAIN, (key, owner, after, before)).fetchone()
        return None if row[0] is None else int(row[0])

    def _ask(
        self, statement: str, decoder: "msgspec.json.Decoder[list[T]]", *values: Any
    ) -> list[T]:
        return decoder.decode(self._connection.execute(statement, values).fetchone()[0])


def _text(value: Any) -> str:
    return str(_encode(value), "utf-8")


_PUT_KEYS = """INSERT OR REPLACE INTO person_keys
  (number, site, kind, value, person, shared, owner, since, first_seen, last_seen, trusted, traits)
  SELECT value ->> 0, value ->> 1,
    CASE (value ->> 0) & 3 WHEN 0 THEN 'anonymous' WHEN 1 THEN 'email' ELSE 'user' END,
    value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8,
    value ->> 9, value ->> 10 FROM jsonb_each(?)"""
_DROP_TIES = "DELETE FROM person_ties WHERE key IN (SELECT value FROM json_each(?))"
_PUT_TIES = """INSERT INTO person_ties (key, since, owner, rank)
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)"""
_DROP_PERIODS = "DELETE FROM person_periods WHERE key IN (SELECT value FROM json_each(?))"
_PUT_PERIODS = """INSERT INTO person_periods (key, since, person)
  SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)"""
_PUT_EVENT_KEYS = """INSERT INTO event_keys (seq, key, anonymous)
  SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(?)"""
_PUT_BLOCKS = """INSERT INTO event_blocks (block, latest)
  SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
  ON CONFLICT DO UPDATE SET latest = max(latest, excluded.latest)"""
# For the audiences; without any, nobody would ever take them out again.
_PUT_MOVED = """INSERT INTO person_changes (person) SELECT value FROM json_each(?1)
  WHERE EXISTS (SELECT 1 FROM cursors WHERE name = ?2)"""
_PEOPLE = """WITH key AS (
    SELECT k.*, j.value AS p FROM json_each(?1) AS j
      CROSS JOIN person_keys AS k ON k.number = j.value AND k.person = j.value
    UNION ALL
    SELECT k.*, j.value AS p FROM json_each(?1) AS j
      CROSS JOIN person_keys AS k ON k.person = j.value AND k.person <> k.number
  )"""
# Of what was said under several keys the newest word counts; what nobody vouched for does not
# count beside what somebody did.
_TRAIT = f"""{_PEOPLE}, vouched AS (SELECT p, max(trusted) AS trusted FROM key GROUP BY p),
  word AS (
    SELECT key.p, t.key AS name, t.value -> 1 AS value,
      row_number() OVER (PARTITION BY key.p, t.key
        ORDER BY t.value ->> 0 DESC, t.value -> 1 DESC) AS nth
    FROM key JOIN vouched USING (p, trusted), json_each(key.traits) AS t),
  trait AS (
    SELECT p, max(iif(name = '', value ->> '$', NULL)) AS email,
      json_group_object(name, json(value)) FILTER (WHERE name <> '') AS traits
    FROM (SELECT * FROM word WHERE nth = 1 ORDER BY p, name) GROUP BY p)"""
_PUT_PEOPLE = """INSERT OR REPLACE INTO people
  (number, site, user_id, email, traits, first_seen, last_seen, trusted)
  SELECT p, min(site), (SELECT value FROM person_keys WHERE number = p AND p & 3 = 2),
    (SELECT email FROM trait WHERE trait.p = key.p),
    (SELECT nullif(traits, '{}') FROM trait WHERE trait.p = key.p),
    min(first_seen), max(last_seen), max(trusted) FROM key GROUP BY p"""
_PUT_PEOPLE = _TRAIT + _PUT_PEOPLE
_DROP_PEOPLE = """DELETE FROM people WHERE number IN (
  SELECT j.value FROM json_each(?1) AS j WHERE NOT EXISTS (
    SELECT 1 FROM person_keys WHERE number = j.value AND person = j.value) AND NOT EXISTS (
    SELECT 1 FROM person_keys WHERE person = j.value AND person <> number))"""


def apply(connection: sqlite.Connection, changes: Changes, rules: Rules, seq: int) -> float:
    """Write a step's work and its cursor in one transaction; returns the seconds it took."""
    started = time.perf_counter()
    with cursors.derived(connection):
        put(connection, changes, rules)
        cursors.move(connection, CURSOR, seq)
    return time.perf_counter() - started


def put(connection: sqlite.Connection, changes: Changes, rules: Rules) -> None:
    """`changes` as rows; inside a transaction."""
    run = connection.execute
    if changes.keys:
        run(_PUT_KEYS, (_text(changes.keys),))
    if changes.ties:
        run(_DROP_TIES, (_text(list(changes.ties)),))
        run(_PUT_TIES, (_text([tie for ties in changes.ties.values() for tie in ties]),))
    if changes.periods:
        run(_DROP_PERIODS, (_text(list(changes.periods)),))
        rows = [(key, *period) for key, owned in changes.periods.items() for period in owned]
        run(_PUT_PERIODS, (_text(rows),))
    if changes.event_keys:
        run(_PUT_EVENT_KEYS, (_text(changes.event_keys),))
        run(_PUT_BLOCKS, (_text(list(changes.latest.items())),))
    moved = purchases.put(connection, changes, rules).union(changes.moved_people)
    if changes.people:
        refresh(connection, changes.people)
    if moved:
        run(_PUT_MOVED, (_text(sorted(moved)), audiences.CURSOR))


def refresh(connection: sqlite.Connection, numbers: list[int]) -> None:
    """Make the rows of `people` anew from their keys; who has none is no more."""
    among = _text(numbers)
    connection.execute(_PUT_PEOPLE, (among,))
    connection.execute(_DROP_PEOPLE, (among,))


PROJECTED = (
    "people", "person_keys", "person_ties", "person_periods", "event_keys", "event_blocks",
    "purchases", "purchase_items", "leads", "order_items",
)  # fmt: skip


_EMPTYING = -1  # the cursor's place while the tables are being emptied
_SOME = 2_000  # rows taken out in one transaction


def begin_anew(connection: sqlite.Connection) -> None:
    """From here on the projected tables count for nothing, also after a kill."""
    with cursors.transaction(connection):
        audiences.reset(connection)
        whose.forget(connection)
        seals.advance(connection)
        begin(connection, _EMPTYING)


def begin(connection: sqlite.Connection, seq: int) -> None:
    """Set the cursors of what is projected; inside a transaction or as one."""
    connection.execute(
        "INSERT OR REPLACE INTO cursors VALUES (?1, ?3), (?2, max(?3, 0))",
        (CURSOR, visits.CURSOR, seq),
    )


def emptying(connection: sqlite.Connection) -> bool:
    return cursors.position(connection, CURSOR) == _EMPTYING


def empty_some(connection: sqlite.Connection) -> bool:
    """Take out a piece of what was projected; False when all is out."""
    for table in PROJECTED:
        columns = [row for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
        key = ", ".join(row[1] for row in sorted(columns, key=lambda row: row[5]))
        if connection.execute(
            f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} LIMIT ?)", (_SOME,)
        ).rowcount:
            return True
    return False
