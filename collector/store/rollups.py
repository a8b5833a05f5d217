"""Counts of the log in the database: a step's events in small numbers, added up by slot, hour,
day and 32 days.

The follower is the only one that writes here, so it hands out the numbers of names and visitors
itself: what it has read before its transaction is still true in it.
"""

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import xxhash
from pysqlite3 import dbapi2 as sqlite

from collector.audience.rule import OWN_EVENTS
from collector.store import cursors

CURSOR = "rollups"
SLOT_MS = 900_000
LEVELS = (1, 4, 96, 3072)
SET_LEVELS = (1, 4, 96)
DIMENSIONS = ("path", "referrer", "campaign", "event", "device", "browser", "country", "type")
TOTAL = 0  # the dimension whose values are EVENTS and VIEWS; then DIMENSIONS from 1 on
EVENTS, VIEWS = 0, 1
_LONGEST_NAME = 500
_MOST_REMEMBERED = 50_000
_encode = msgspec.json.Encoder().encode


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    seq: int
    site: str
    type: str
    event: str | None
    visitor: str | None
    timestamp: int
    url: str | None
    path: str | None
    referrer: str | None
    user_agent: str | None
    ip: str | None
    bot: int | None


class Seen(NamedTuple):
    """A row, and what it says of the visit."""

    row: Row
    referrer: str
    campaign: str
    device: str
    browser: str
    country: str


class Step(msgspec.Struct):
    """What one transaction writes."""

    names: list[tuple[int, str]] = []
    visitors: list[tuple[int, int]] = []
    hits: list[tuple[int, ...]] = []
    counts: Counter[tuple[int, int, int, int, int, int]] = msgspec.field(default_factory=Counter)
    sets: list[tuple[int, int, int, int, str]] = []


_rows = msgspec.json.Decoder(list[Row])
_AFTER = """SELECT json_group_array(json_array(seq, site, type, iif(type = 'track', event, NULL),
  coalesce(anonymous_id, user_id), timestamp, substr(url, 1, 2000), substr(path, 1, 500),
  substr(referrer, 1, 2000), substr(user_agent, 1, 500), ip, bot)) FROM (
  SELECT * FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)"""
_NAMES = """SELECT n.text, n.number FROM json_each(?) AS j
  CROSS JOIN rollup_names AS n ON n.text = j.value"""
_VISITORS = """SELECT v.hash, v.number FROM json_each(?) AS j
  CROSS JOIN rollup_visitors AS v ON v.hash = j.value"""
_SETS = """SELECT s.bot, s.level, s.start, s.site, s.visitors FROM json_each(?) AS j
  CROSS JOIN rollup_sets AS s ON s.bot = j.value ->> 0 AND s.level = j.value ->> 1
    AND s.start = j.value ->> 2 AND s.site = j.value ->> 3"""


def rows(connection: sqlite.Connection, after: int, last_seq: int, limit: int) -> list[Row]:
    """At most `limit` events with `after` < number <= `last_seq`, in order."""
    return _rows.decode(connection.execute(_AFTER, (after, last_seq, limit)).fetchone()[0])


class Book:
    """The numbers of names and visitors. What is remembered is what the database has, or will
    have when the step is written: `forget` after a step that was not."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._visitors: dict[int, int] = {}

    def forget(self) -> None:
        self._names.clear()
        self._visitors.clear()

    def step(self, connection: sqlite.Connection, seen: list[Seen]) -> Step:
        """What follows from these events."""
        if len(self._names) > _MOST_REMEMBERED or len(self._visitors) > _MOST_REMEMBERED:
            self.forget()
        step = Step()
        texts = {text for one in seen for text in _texts(one)} - {""}
        step.names = _learn(connection, self._names, texts, "rollup_names", _NAMES)
        hashes = {_hash(one.row) for one in seen} - {0}
        found = _learn(connection, self._visitors, hashes, "rollup_visitors", _VISITORS)
        step.visitors = found
        sets: dict[tuple[int, int, int, int], set[int]] = {}
        for one in seen:
            self._add(step, sets, one)
        step.sets = list(_grown(connection, sets))
        return step

    def _add(self, step: Step, sets: dict[tuple[int, int, int, int], set[int]], one: Seen) -> None:
        row = one.row
        slot, bot = row.timestamp // SLOT_MS, int(bool(row.bot))
        view = int(row.type in ("page", "screen"))
        site, *values = (self._names.get(text, 0) for text in _texts(one))
        visitor = self._visitors.get(_hash(row), 0)
        step.hits.append((slot, row.seq, bot, view, site, visitor, *values))
        counted = [(TOTAL, EVENTS), (len(DIMENSIONS), values[-1])]
        if view:
            counted.append((TOTAL, VIEWS))
            counted += [(i, v) for i, v in enumerate(values[:-1], 1) if i != 4]
        elif values[3]:
            counted.append((4, values[3]))
        for level in LEVELS:
            start = slot - slot % level
            for dimension, value in counted:
                step.counts[bot, dimension, level, start, site, value] += 1
            if visitor and level in SET_LEVELS:
                sets.setdefault((bot, level, start, site), set()).add(visitor)


def _texts(one: Seen) -> tuple[str, ...]:
    row = one.row
    return (
        row.site,
        row.path or "",
        one.referrer,
        one.campaign[:_LONGEST_NAME],
        (row.event or "")[:_LONGEST_NAME],
        one.device,
        one.browser,
        one.country,
        row.type,
    )


def _hash(row: Row) -> int:
    """Of site and visitor, signed as SQLite has it; 0 for nobody: whoever enters an audience is
    not there because of it."""
    if not row.visitor or row.event in OWN_EVENTS:
        return 0
    digest = xxhash.xxh3_64_intdigest(f"{row.site}\0{row.visitor}")
    return (digest - (1 << 64) if digest >> 63 else digest) or 1


def _learn(
    connection: sqlite.Connection, known: dict[Any, int], wanted: set[Any], table: str, find: str
) -> list[tuple[int, Any]]:
    """Numbers for all of `wanted`; returns those that are new."""
    missing = [value for value in wanted if value not in known]
    if not missing:
        return []
    known.update(connection.execute(find, (_text(missing),)).fetchall())
    missing = sorted(value for value in missing if value not in known)
    last = connection.execute(f"SELECT coalesce(max(number), 0) FROM {table}").fetchone()[0]
    new = list(enumerate(missing, last + 1))
    known.update((value, number) for number, value in new)
    return new


def _grown(
    connection: sqlite.Connection, sets: dict[tuple[int, int, int, int], set[int]]
) -> Iterable[tuple[int, int, int, int, str]]:
    """The sets that somebody is new in, as hexadecimal text."""
    stored = {
        tuple(key): array("I", blob)
        for *key, blob in connection.execute(_SETS, (_text(list(sets)),))
    }
    for key, visitors in sets.items():
        old = stored.get(key, array("I"))
        new = visitors.difference(old)
        if new:
            yield (*key, (old + array("I", sorted(new))).tobytes().hex())


_PUT = {
    "names": "INSERT INTO rollup_names SELECT value ->> 0, value ->> 1 FROM json_each(?)",
    "visitors": "INSERT INTO rollup_visitors SELECT value ->> 0, value ->> 1 FROM json_each(?)",
    "hits": f"""INSERT INTO hits SELECT {", ".join(f"value ->> {i}" for i in range(14))}
        FROM jsonb_each(?)""",
    "sets": """INSERT OR REPLACE INTO rollup_sets
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4)
        FROM json_each(?)""",
}
_PUT_COUNTS = """INSERT INTO rollups SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3,
    value ->> 4, value ->> 5, value ->> 6 FROM json_each(?) WHERE true
  ON CONFLICT DO UPDATE SET count = count + excluded.count"""


def apply(connection: sqlite.Connection, step: Step, seq: int) -> None:
    """Write a step and its cursor in one transaction."""
    counts = sorted((*key, n) for key, n in step.counts.items())
    with cursors.transaction(connection):
        for field, statement in _PUT.items():
            if part := getattr(step, field):
                connection.execute(statement, (_text(part),))
        if counts:
            connection.execute(_PUT_COUNTS, (_text(counts),))
        cursors.move(connection, CURSOR, seq)


def _text(value: Any) -> str:
    return str(_encode(value), "utf-8")
