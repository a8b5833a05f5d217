"""Adding up months (store/levels.py reads them): a year of days lies in 365 places of the file.

Invariants: what stands here of a month is true while its row in `months` says `ready`. A build
writes while that row stands with 0; whoever changes one of its days takes the row away in the same
transaction (levels.unready), and the build is over. What it left is taken out before the next.
"""

from array import array
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from typing import Any

import msgspec
from pyroaring import BitMap
from pysqlite3 import dbapi2 as sqlite

from collector.store import columns, cursors, hits, levels, seals
from collector.store.hits import DIMENSIONS, SLOT_MS
from collector.store.levels import STARTS, starts_of
from collector.store.reader import rows_at_once
from collector.store.sums import (
    DAY,
    EVENT,
    HOUR,
    MONTH,
    PATH,
    WEEK,
    Cell,
    Marks,
    Pairs,
    Work,
    finest,
)

_CLOSED = 2 * DAY  # behind the newest: what is held back for hours is in then
_CLEARED = 200  # rows that are taken out at once
# Rows of a day that are put together: a few milliseconds.
_CELLS, _PAIRS, _MARKS = 32, 8, 16
_QUARTERS = 24  # of an hour: whole hours of all sites
# Marks in a row: as many hits as have their own number for each value (store/columns.py), and few
# enough that a path of millions is never in memory as a whole.
_MOST_MARKS = 32_768
_LOOKED_UP = 4096
_PART_BYTES = 65_536
# The columns of blobs that each table ends with.
_TABLES = {"month_cells": 1, "month_pairs": 1, "month_marks": 3 + len(DIMENSIONS)}
_ALL = range(len(DIMENSIONS) + 1)
_Key = tuple[int, int, int]  # value, site, bot


class Part(msgspec.Struct):
    """What one transaction writes."""

    table: str
    rows: list[tuple[Any, ...]]


_OF_MONTH = "dimension = ? AND start >= ? AND start < ?"
_FROM = f"SELECT min(start) FROM rollups WHERE dimension = 0 AND level = {DAY} AND start >= ?"


def due(connection: sqlite.Connection, now_ms: int, resting: Container[int]) -> int | None:
    """The first month that is over and not added up, none of `resting`."""
    oldest, newest = levels.filled(connection)
    newest = min(newest, now_ms // SLOT_MS)  # an event from the future ends no month
    known, at = levels.ready(connection), oldest // DAY * DAY
    while (row := connection.execute(_FROM, (at,)).fetchone())[0] is not None:
        start = int(row[0]) // MONTH * MONTH
        at = start + MONTH
        if at > newest - _CLOSED:
            return None
        if start not in known and start not in resting:
            return start
    return None


def begin(connection: sqlite.Connection, start: int) -> bool:
    """Take out some of what an earlier build left; True once there is nothing, and the month is
    begun."""
    with cursors.derived(connection):
        connection.execute("DELETE FROM months WHERE start = ?", (start,))
        for table in _TABLES:
            among = f"SELECT rowid FROM {table} WHERE {_OF_MONTH} LIMIT ?"
            delete = f"DELETE FROM {table} WHERE rowid IN ({among})"
            for dimension in _ALL:
                if connection.execute(delete, (dimension, start, start + MONTH, _CLEARED)).rowcount:
                    return False
        connection.execute("INSERT INTO months VALUES (?, 0)", (start,))
    return True


def apply(connection: sqlite.Connection, start: int, part: Part | None) -> bool:
    """Write a part, or (None) that these were all; False when a day has changed meanwhile."""
    with cursors.derived(connection):
        ready = part is None
        begun = connection.execute(
            "UPDATE months SET ready = ? WHERE start = ? AND NOT ready", (ready, start)
        ).rowcount
        if begun and part and part.rows:
            seals.put_rows(connection, part.table, part.rows, _TABLES[part.table])
    return bool(begun)


def building(connection: sqlite.Connection, start: int) -> Iterator[Part | None]:
    """All of a month, a few milliseconds at a time (None: nothing to write yet). It is true as long
    as no day changes meanwhile."""
    for dimension in _ALL:
        yield from _cells(connection, dimension, start)
        yield from _pairs(connection, dimension, start)
        if dimension in (PATH, EVENT):
            yield from _marks(connection, dimension, start)


def _days(start: int) -> range:
    return range(start, start + MONTH, DAY)


def _ranges(
    connection: sqlite.Connection, tables: Sequence[str], dimension: int, start: int, most: int
) -> Iterator[tuple[int, int]]:
    """Ranges of values (after one, as far as another) of which each day has about `most` rows,
    however many there are in all."""
    days = starts_of(_days(start))
    after = -1
    while True:
        ends: list[int] = []
        for rows in tables:
            select = f"""SELECT min((SELECT value FROM {rows} AND dimension = ?1
                AND start = j.value AND value > ?2 ORDER BY value LIMIT 1 OFFSET ?3))
                FROM json_each(?4) AS j"""
            values = (dimension, after, most, days)
            ends += [end for (end,) in connection.execute(select, values) if end is not None]
        yield after, min(ends, default=hits.LAST)
        if not ends:
            return
        after = min(ends)


_BETWEEN = f"dimension = ? AND {STARTS} AND value > ? AND value <= ?"
_OF_CELLS = f"rollups WHERE level = {DAY}"
_CELLS_OF = f"""SELECT json_array(start, value, site, bot, events, views, hex(visitors)) AS j
    FROM rollups WHERE level = ? AND {_BETWEEN}"""
_CELL = tuple[int, int, int, int, int, int, str]


def _cells(connection: sqlite.Connection, dimension: int, start: int) -> Iterator[Part]:
    if finest(dimension) < HOUR:
        for first in range(start, start + MONTH, _QUARTERS):
            quarters = 1, dimension, starts_of(range(first, first + _QUARTERS)), -1, hits.LAST
            yield _of_cells(connection, quarters, (HOUR,))
    for values in _ranges(connection, (_OF_CELLS,), dimension, start, _CELLS):
        days = DAY, dimension, starts_of(_days(start)), *values
        yield _of_cells(connection, days, (WEEK, MONTH))


def _of_cells(
    connection: sqlite.Connection, among: tuple[int, int, str, int, int], levels: Sequence[int]
) -> Part:
    """What cells of the rollups come to by each of `levels`."""
    found: dict[tuple[int, ...], Cell] = defaultdict(lambda: Cell(0, 0, BitMap()))
    for start, *key, events, views, packed in rows_at_once(connection, _CELLS_OF, among, _CELL):
        visitors = BitMap.deserialize(bytes.fromhex(packed))
        for level in levels:
            cell = found[start // level * level, level, *key]
            cell.events += events
            cell.views += views
            cell.visitors |= visitors
    rows = [
        (among[1], *key, cell.events, cell.views, cell.visitors.serialize())
        for key, cell in sorted(found.items())
    ]
    return Part("month_cells", rows)


_OF_PAIRS = "rollup_pairs WHERE true"
_PACKED = tuple[int, int, int, str]


def _pairs(connection: sqlite.Connection, dimension: int, start: int) -> Iterator[Part | None]:
    select = f"""SELECT json_array(value, site, bot, hex(counts)) AS j
        FROM {_OF_PAIRS} AND {_BETWEEN}"""
    for values in _ranges(connection, (_OF_PAIRS,), dimension, start, _PAIRS):
        found: dict[_Key, Pairs] = defaultdict(Pairs)
        among = (dimension, starts_of(_days(start)), *values)
        for *key, packed in rows_at_once(connection, select, among, _PACKED):
            found[tuple(key)].add(Pairs(bytes.fromhex(packed)))
            yield None
        rows = [(dimension, start, *key, pairs.pack()) for key, pairs in sorted(found.items())]
        yield Part("month_pairs", rows)


_OF_MARKS = tuple(f"rollup_marks WHERE done = {done}" for done in (0, 1))


def _marks(connection: sqlite.Connection, dimension: int, start: int) -> Iterator[Part | None]:
    select = f"""SELECT json_array(value, site, bot, hex(marks)) AS j
        FROM rollup_marks WHERE done IN (0, 1) AND {_BETWEEN}"""
    for values in _ranges(connection, _OF_MARKS, dimension, start, _MARKS):
        found: dict[_Key, Marks] = defaultdict(Marks)
        for day in _days(start):
            among = (dimension, starts_of([day]), *values)
            for *key, packed in rows_at_once(connection, select, among, _PACKED):
                own = found[tuple(key)]
                own.extend(Marks(bytes.fromhex(packed)))
                if len(own.seqs) >= _MOST_MARKS:
                    yield from _part(connection, dimension, start, {tuple(key): own})
                    del found[tuple(key)]
            yield None
        yield from _part(connection, dimension, start, found)


def _part(
    connection: sqlite.Connection, dimension: int, start: int, found: dict[_Key, Marks]
) -> Iterator[Part | None]:
    """Rows with marks, some at a time."""
    part, size = Part("month_marks", []), 0
    for key, marks in sorted(found.items()):
        for i in range(0, len(marks.seqs), _MOST_MARKS):
            places = range(i, min(i + _MOST_MARKS, len(marks.seqs)))
            first, contents = yield from _contents(connection, marks.pick(places))
            part.rows.append((dimension, start, *key, first, *contents))
            size += sum(map(len, contents))
        if size > _PART_BYTES:
            yield part
            part, size = Part("month_marks", []), 0
    yield part


_AMONG = "seq IN (SELECT value FROM json_each(?))"


def _contents(connection: sqlite.Connection, marks: Marks) -> Work[tuple[int, list[bytes]]]:
    """The first number, and the columns with the values of the marks' hits."""
    many = len(marks.seqs)
    marks = marks.pick(sorted(range(many), key=marks.seqs.__getitem__))
    values = [array("I") for _ in levels.OF_MARKS]
    yield
    for i in range(0, many, _LOOKED_UP):
        seqs = starts_of(marks.seqs[i : i + _LOOKED_UP])
        for own, more in zip(
            values, hits.read(connection, _AMONG, (seqs,), levels.OF_MARKS), strict=True
        ):
            own.extend(more)
        yield
    contents = marks.compress()
    for name, numbers in zip(levels.OF_MARKS, values, strict=True):
        contents.append(columns.pack(name, numbers) if len(numbers) == many else b"")
        yield
    return marks.seqs[0], contents
