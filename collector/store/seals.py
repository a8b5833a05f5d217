"""Hits added up (store/sums.py) in blocks, so that a day's row is written a few times and not with
each event. What is not added up yet is looked through (store/hits.py), at most a block and a step.

Invariants: a hit is in the rollups when its number is not beyond the last of `hit_blocks`, and
then once. What was worked out beside the writing connection, a few milliseconds at a time, is only
written if nothing was taken out meanwhile (`epoch`).
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from pyroaring import BitMap
from pysqlite3 import dbapi2 as sqlite

from collector.store import columns as by_column
from collector.store import cursors, hits, levels, sale_pieces
from collector.store.hits import COLUMNS, SLOT_MS
from collector.store.reader import rows_at_once
from collector.store.sums import (
    DAY,
    Cell,
    CellKey,
    DayKey,
    Marks,
    Pairs,
    Sums,
    Work,
    add_up,
    adding_up,
    finish,
)

# Adding up a block takes 0.7 s of a processor, one of half the size 0.5: each begins with the same
# thousands of rows of the day.
BLOCK = 32_768
ZONE = 4096  # hits whose times are noted together
# Marks go on in one part of a day while it is smaller; then it is set aside and written no more.
# With a day's as one row each block wrote 55 MB at 5,000 events/s.
PART_BYTES = 1024
_AT_ONCE = 500  # rows that are put together: 10 ms
_EPOCH = "rollup_epoch"
# dimension, done, start of the day, value, site, bot, first
_MarkKey = tuple[int, int, int, int, int, int, int]
_Parts = dict[_MarkKey, Marks]


class Seal(msgspec.Struct):
    """What one transaction writes: whole rows."""

    after: int
    epoch: int
    zones: list[tuple[int, int, int, int]]
    cells: list[tuple[Any, ...]]
    pairs: list[tuple[Any, ...]]
    marks: list[tuple[Any, ...]]


def epoch(connection: sqlite.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_EPOCH,)).fetchone()
    return int(row[0]) if row else 0


def advance(connection: sqlite.Connection) -> None:
    """Whatever was worked out before this is not to be written."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_EPOCH, epoch(connection) + 1))


def plan(connection: sqlite.Connection, upto: int) -> Work[Seal | None]:
    """What adding up the next hits, as far as number `upto`, comes to; None when there are none.
    It need not be of one moment: what is written meanwhile beside it moves the epoch."""
    at_epoch, after = epoch(connection), hits.added_up(connection)
    columns = hits.read(connection, "seq > ? AND seq <= ?", (after, upto), COLUMNS)
    if not columns[0]:
        return None
    sums = yield from adding_up(columns)
    yield from _merge(connection, sums)
    marks = _continued(connection, sums.marks)
    yield
    seqs, at = columns[:2]
    zones = []
    for i in range(0, len(seqs), ZONE):
        part = at[i : i + ZONE]
        zones.append((seqs[i], seqs[i + len(part) - 1], min(part), max(part)))
    return (yield from _seal(sums, marks, after, at_epoch, zones))


def _seal(
    sums: Sums,
    parts: _Parts,
    after: int,
    at_epoch: int,
    zones: list[tuple[int, int, int, int]],
) -> Work[Seal]:
    """Rows in the order of their keys."""
    cells = [
        (*key, cell.events, cell.views, cell.visitors.serialize())
        for key, cell in sorted(sums.cells.items(), key=_first)
    ]
    yield
    pairs = [(*key, pairs.pack()) for key, pairs in sorted(sums.pairs.items(), key=_first)]
    yield
    marks = [(*key, marks.pack()) for key, marks in sorted(parts.items(), key=_first)]
    return Seal(after, at_epoch, zones, cells, pairs, marks)


def _first(item: tuple[Any, Any]) -> Any:
    return item[0]


_DAY_ROW = tuple[DayKey, str]
_NEWEST = """SELECT coalesce(max(start), -1) FROM rollups
    WHERE dimension = 0 AND value = 0 AND level = 1"""
_PAIRS = """SELECT json_array(json(j.value), hex(r.counts)) AS j
    FROM json_each(?) AS j CROSS JOIN rollup_pairs AS r
    ON r.dimension = j.value ->> 0 AND r.start = j.value ->> 1 AND r.value = j.value ->> 2
    AND r.site = j.value ->> 3 AND r.bot = j.value ->> 4"""
_CELLS = """SELECT json_array(json(j.value), r.events, r.views, hex(r.visitors)) AS j
    FROM json_each(?) AS j CROSS JOIN rollups AS r
    ON r.dimension = j.value ->> 0 AND r.level = j.value ->> 1 AND r.start = j.value ->> 2
    AND r.value = j.value ->> 3 AND r.site = j.value ->> 4 AND r.bot = j.value ->> 5"""


def _stored(connection: sqlite.Connection, sums: Sums) -> Sums:
    """What is stored under the same keys."""
    newest = connection.execute(_NEWEST).fetchone()[0]  # later, as most asked for, is nothing

    def old(keys: Iterable[CellKey | DayKey], start: int) -> str:
        return _text(key for key in keys if key[start] <= newest)

    found = Sums()
    cells = rows_at_once(connection, _CELLS, (old(sums.cells, 2),), tuple[CellKey, int, int, str])
    for cell, events, views, who in cells:
        found.cells[cell] = Cell(events, views, BitMap.deserialize(bytes.fromhex(who)))
    for day, packed in rows_at_once(connection, _PAIRS, (old(sums.pairs, 1),), _DAY_ROW):
        found.pairs[day] = Pairs(bytes.fromhex(packed))
    return found


_PARTS = """SELECT json_array(json(j.value), r.done, r.first, hex(r.marks)) AS j
    FROM json_each(?) AS j CROSS JOIN rollup_marks AS r
    ON r.dimension = j.value ->> 0 AND r.done IN (0, 1) AND r.start = j.value ->> 1
    AND r.value = j.value ->> 2 AND r.site = j.value ->> 3 AND r.bot = j.value ->> 4"""
_OPEN_PARTS = _PARTS.replace("IN (0, 1)", "= 0")
_PART_ROW = tuple[DayKey, int, int, str]


def _parts(connection: sqlite.Connection, select: str, days: Iterable[DayKey]) -> _Parts:
    rows = rows_at_once(connection, select, (_text(days),), _PART_ROW)
    return {
        _part_of(day, done, first): Marks(bytes.fromhex(packed))
        for day, done, first, packed in rows
    }


def _part_of(day: DayKey, done: int, first: int) -> _MarkKey:
    return day[0], done, *day[1:], first


def _continued(connection: sqlite.Connection, marks: dict[DayKey, Marks]) -> _Parts:
    """New marks as parts, together with what stands in those that go on."""
    stored = _parts(connection, _OPEN_PARTS, marks)
    parts: _Parts = {}
    for day, more in marks.items():
        going_on = _part_of(day, 0, 0)
        part = stored.get(going_on, Marks())
        part.extend(more)
        if part.size >= PART_BYTES:
            parts[_part_of(day, 1, part.seqs[0])] = part
            part = Marks()
        parts[going_on] = part
    return parts


def _merge(connection: sqlite.Connection, sums: Sums) -> Work[None]:
    """Put to the sums what is stored of the same keys already."""
    for part in _portions(sums):
        stored = _stored(connection, part)
        for key, old in stored.cells.items():
            cell = part.cells[key]
            cell.events += old.events
            cell.views += old.views
            cell.visitors |= old.visitors
        for day, pairs in stored.pairs.items():
            part.pairs[day].add(pairs)
        yield


def _portions(sums: Sums) -> Iterator[Sums]:
    cells, pairs = list(sums.cells.items()), list(sums.pairs.items())
    for i in range(0, len(cells), _AT_ONCE):
        yield Sums(cells=dict(cells[i : i + _AT_ONCE]))
    for i in range(0, len(pairs), _AT_ONCE):
        yield Sums(pairs=dict(pairs[i : i + _AT_ONCE]))


def apply(connection: sqlite.Connection, seal: Seal) -> bool:
    """Write it; False when it is not true any more."""
    with cursors.derived(connection):
        if epoch(connection) != seal.epoch or hits.added_up(connection) != seal.after:
            return False
        _put(connection, seal)
    return True


def _put(connection: sqlite.Connection, seal: Seal) -> None:
    for table, rows in (
        ("rollups", seal.cells),
        ("rollup_pairs", seal.pairs),
        ("rollup_marks", seal.marks),
    ):
        if rows:
            put_rows(connection, table, rows)
    levels.unready(connection, (row[2] for row in seal.cells))
    connection.execute(_PUT_ZONES, (_text(seal.zones),))


_PUT_ZONES = """INSERT OR REPLACE INTO hit_blocks SELECT value ->> 0, value ->> 1, value ->> 2,
  value ->> 3 FROM json_each(?)"""


def put_rows(
    connection: sqlite.Connection, table: str, rows: list[tuple[Any, ...]], blobs: int = 1
) -> None:
    """Blobs, the last of each row, in one that the others' JSON says the places of: as text they
    take twice as long."""
    at = len(rows[0]) - blobs
    contents = [blob for row in rows for blob in row[at:]]
    places = itertools.accumulate(map(len, contents), initial=1)
    said = _text(
        (*row[:at], *(n for blob in row[at:] for n in (next(places), len(blob)))) for row in rows
    )
    columns = [f"value ->> {i}" for i in range(at)]
    columns += [
        f"substr(?2, value ->> {i}, value ->> {i + 1})" for i in range(at, at + 2 * blobs, 2)
    ]
    connection.execute(
        f"INSERT OR REPLACE INTO {table} SELECT {', '.join(columns)} FROM jsonb_each(?1)",
        (said, b"".join(contents)),
    )


def expire(connection: sqlite.Connection, upto: int) -> None:
    """Hits as far as a number go; what they add up to stays. Within a transaction."""
    if hits.added_up(connection) < upto and (seal := finish(plan(connection, upto))):
        _put(connection, seal)
        advance(connection)
    by_column.expire(connection, upto)
    if connection.execute("DELETE FROM hits WHERE seq <= ?", (upto,)).rowcount:
        connection.execute("DELETE FROM hit_blocks WHERE last <= ?", (upto,))


_AMONG = "seq IN (SELECT value FROM json_each(?))"


def take_out(connection: sqlite.Connection, seqs: list[int]) -> None:
    """Hits go, and from the rollups as well. Within a transaction."""
    among, known = _text(seqs), hits.added_up(connection)
    columns = hits.read(connection, f"{_AMONG} AND seq <= ?", (among, known), COLUMNS)
    sale_pieces.touched(connection, f"t.{_AMONG}", (among,))
    connection.execute(f"DELETE FROM hits WHERE {_AMONG}", (among,))
    connection.execute(f"DELETE FROM hit_sales WHERE {_AMONG}", (among,))
    by_column.drop(connection, seqs)
    advance(connection)
    if columns[0]:
        _subtract(connection, add_up(columns), add_up(_left(connection, columns, known)))


_OF_VISITORS = """seq BETWEEN ? AND ? AND at >= ? AND at < ?
  AND visitor IN (SELECT value FROM json_each(?))"""


def _left(connection: sqlite.Connection, gone: list[list[int]], known: int) -> list[list[int]]:
    """What else the same visitors did on the same days."""
    columns: list[list[int]] = [[] for _ in COLUMNS]
    who = _text(sorted(set(gone[COLUMNS.index("visitor")]) - {0}))
    for day in sorted({moment // SLOT_MS // DAY for moment in gone[1]}):
        times = hits.Condition(day * DAY, day * DAY + DAY).times
        for run in hits.runs(connection, times, 0, known):
            piece = hits.read(connection, _OF_VISITORS, (*run, *times, who), COLUMNS)
            for column, more in zip(columns, piece, strict=True):
                column += more
    return columns


def _subtract(connection: sqlite.Connection, gone: Sums, left: Sums) -> None:
    stored = _stored(connection, gone)
    for key, cell in stored.cells.items():
        less = gone.cells[key]
        if here := left.cells.get(key):
            less.visitors -= here.visitors
        cell.events -= less.events
        cell.views -= less.views
        cell.visitors -= less.visitors
    for day, pairs in stored.pairs.items():
        pairs.add(gone.pairs[day], -1)
    parts = _parts(connection, _PARTS, gone.marks)
    for part, marks in parts.items():
        erased = set(gone.marks[part[0], *part[2:6]].seqs)
        parts[part] = marks.pick([i for i, seq in enumerate(marks.seqs) if seq not in erased])
    _put(connection, finish(_seal(stored, parts, 0, 0, [])))
    connection.executemany(
        "DELETE FROM rollups WHERE (dimension, level, start, value, site, bot) = (?,?,?,?,?,?)",
        [key for key, cell in stored.cells.items() if not cell.events],
    )


def _text(value: Iterable[Any]) -> str:
    return str(msgspec.json.encode(list(value)), "utf-8")
