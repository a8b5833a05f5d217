"""Adding up months (store/levels.py reads them): a year of days lies in 365 places of the file.

Invariants: what stands here of a month is true while its row in `months` says `ready`. A build
writes while that row stands with 0; whoever changes one of its days takes the row away in the same
transaction (levels.unready), and the build is over. What it left is taken out before the next.
"""

from collections.abc import Container, Iterator
from typing import Any

import msgspec
from pyroaring import BitMap
from pysqlite3 import dbapi2 as sqlite

from collector.store import cursors, hits, levels, seals
from collector.store.hits import DIMENSIONS
from collector.store.levels import STARTS, starts_of
from collector.store.reader import rows_at_once
from collector.store.sums import DAY, MONTH, Cell, Pairs

_CLOSED = 2 * DAY  # behind the newest: what is held back for hours is in then
_CLEARED = 200  # rows that are taken out at once
# Rows of a day that are put together: a few milliseconds.
_CELLS, _PAIRS = 32, 8
_AT_ONCE = 16  # pairs of a device have those of all paths
_TABLES = ("month_cells", "month_pairs")
_ALL = range(len(DIMENSIONS) + 1)
_Key = tuple[int, int, int]  # value, site, bot


class Part(msgspec.Struct):
    """What one transaction writes; without rows it is a moment to rest."""

    table: str
    rows: list[tuple[Any, ...]]


_FROM = f"SELECT min(start) FROM rollups WHERE dimension = 0 AND level = {DAY} AND start >= ?"


def due(connection: sqlite.Connection, resting: Container[int]) -> int | None:
    """The first month that is over and not added up, none of `resting`."""
    oldest, newest = levels.filled(connection)
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
            among = f"SELECT rowid FROM {table} WHERE dimension = ? AND start = ? LIMIT ?"
            delete = f"DELETE FROM {table} WHERE rowid IN ({among})"
            for dimension in _ALL:
                if connection.execute(delete, (dimension, start, _CLEARED)).rowcount:
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
        if begun and part:
            seals.put_rows(connection, part.table, part.rows)
    return bool(begun)


def building(connection: sqlite.Connection, start: int) -> Iterator[Part]:
    """All of a month, a few milliseconds at a time: a day that changes meanwhile ends it."""
    days = starts_of(range(start, start + MONTH, DAY))
    for dimension in _ALL:
        for part in _cells(connection, dimension, days):
            yield _part("month_cells", dimension, start, part)
        for part in _pairs(connection, dimension, days):
            yield _part("month_pairs", dimension, start, part)


def _part(table: str, dimension: int, start: int, part: dict[_Key, tuple[Any, ...]]) -> Part:
    return Part(table, [(dimension, start, *key, *row) for key, row in sorted(part.items())])


def _ranges(
    connection: sqlite.Connection, rows: str, dimension: int, days: str, most: int
) -> Iterator[tuple[int, int]]:
    """Ranges of values (after one, as far as another) of which each day has about `most` rows,
    however many there are."""
    next_after = f"""SELECT min((SELECT value FROM {rows} AND dimension = ?1 AND start = j.value
        AND value > ?2 ORDER BY value LIMIT 1 OFFSET ?3)) FROM json_each(?4) AS j"""
    upto: int | None = -1
    while upto is not None:
        after = upto
        (upto,) = connection.execute(next_after, (dimension, after, most, days)).fetchone()
        yield after, hits.LAST if upto is None else upto


_BETWEEN = f"dimension = ? AND {STARTS} AND value > ? AND value <= ?"
_OF_CELLS = f"rollups WHERE level = {DAY}"
_CELL = tuple[int, int, int, int, int, str]


def _cells(
    connection: sqlite.Connection, dimension: int, days: str
) -> Iterator[dict[_Key, tuple[Any, ...]]]:
    select = f"""SELECT json_array(value, site, bot, events, views, hex(visitors)) AS j
        FROM {_OF_CELLS} AND {_BETWEEN}"""
    for values in _ranges(connection, _OF_CELLS, dimension, days, _CELLS):
        found: dict[_Key, Cell] = {}
        for *key, events, views, visitors in rows_at_once(
            connection, select, (dimension, days, *values), _CELL
        ):
            cell = found.setdefault(tuple(key), Cell(0, 0, BitMap()))
            cell.events += events
            cell.views += views
            cell.visitors |= BitMap.deserialize(bytes.fromhex(visitors))
        yield {
            key: (cell.events, cell.views, cell.visitors.serialize()) for key, cell in found.items()
        }


_OF_PAIRS = "rollup_pairs WHERE true"
_PAIR = tuple[int, int, int, str]


def _pairs(
    connection: sqlite.Connection, dimension: int, days: str
) -> Iterator[dict[_Key, tuple[Any, ...]]]:
    select = f"""SELECT json_array(value, site, bot, hex(counts)) AS j
        FROM {_OF_PAIRS} AND {_BETWEEN}"""
    for values in _ranges(connection, _OF_PAIRS, dimension, days, _PAIRS):
        found: dict[_Key, Pairs] = {}
        rows = rows_at_once(connection, select, (dimension, days, *values), _PAIR)
        for i, (*key, packed) in enumerate(rows, 1):
            found.setdefault(tuple(key), Pairs()).add(Pairs(bytes.fromhex(packed)))
            if not i % _AT_ONCE:
                yield {}
        yield {key: (pairs.pack(),) for key, pairs in found.items()}
