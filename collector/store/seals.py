"""Hits added up: of each value of a dimension, by quarter of an hour and by day, how many events
and views there were and which visitors; and by day, which values of the others came with it.

It is done in blocks, so that a day's row is written a few times and not with each event: 6 µs an
event. What is not added up yet is looked through (store/hits.py), at most a block and a step.

Invariants: a hit is in the rollups when its number is not beyond the last of `hit_blocks`, and
then once. What was worked out beside the writing connection is written only if nothing was taken
out meanwhile (`epoch`).
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from operator import or_
from typing import Any

import msgspec
from pyroaring import BitMap
from pysqlite3 import dbapi2 as sqlite

from collector.store import cursors, hits
from collector.store.hits import COLUMNS, DIMENSIONS, SLOT_MS

BLOCK = 32_768
DAY = 96  # slots
LEVELS = (1, DAY)
_ZONE = 4096  # hits whose times are noted together
_EPOCH = "rollup_epoch"
_FIRST = len(COLUMNS) - len(DIMENSIONS)
_encode = msgspec.msgpack.Encoder().encode
_raw = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_numbers = msgspec.msgpack.Decoder(list[int]).decode

# dimension, value, level, start, site, bot
CellKey = tuple[int, int, int, int, int, int]
# dimension, value, start, site, bot
PairKey = tuple[int, int, int, int, int]
# For each dimension one of events that are no views and one of views: value and how often.
Pairs = list[Counter[int]]


class Cell(msgspec.Struct):
    events: int = 0
    views: int = 0
    visitors: BitMap = msgspec.field(default_factory=BitMap)


class Sums(msgspec.Struct):
    cells: dict[CellKey, Cell] = msgspec.field(default_factory=lambda: defaultdict(Cell))
    pairs: dict[PairKey, Pairs] = msgspec.field(
        default_factory=lambda: defaultdict(lambda: [Counter() for _ in range(2 * len(DIMENSIONS))])
    )


class Seal(msgspec.Struct):
    """What one transaction writes: whole rows."""

    after: int
    epoch: int
    cells: list[tuple[Any, ...]]
    pairs: list[tuple[Any, ...]]
    zones: list[tuple[int, int, int, int]]


def add_up(columns: list[list[int]]) -> Sums:
    """Of hits, given by their columns."""
    sums = Sums()
    _, at, bots, _, sites, *_ = columns
    days = [moment // (SLOT_MS * DAY) for moment in at]
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for place, group in enumerate(zip(days, sites, bots, strict=True)):
        groups[group].append(place)
    for (day, site, bot), places in groups.items():
        own = columns
        if len(groups) > 1:
            own = [list(map(column.__getitem__, places)) for column in columns]
        _add_cells(sums, own, day * DAY, site, bot)
        _add_pairs(sums, own, day * DAY, site, bot)
    return sums


def _add_cells(sums: Sums, columns: list[list[int]], day: int, site: int, bot: int) -> None:
    _, at, _, views, _, visitors, *values = columns
    low = [(moment // SLOT_MS - day) << 1 | view for moment, view in zip(at, views, strict=True)]
    for dimension, column in enumerate(([0] * len(at), *values)):
        seen: dict[int, list[int]] = defaultdict(list)
        keys = map(or_, [value << 8 for value in column], low)
        for key, visitor in zip(keys, visitors, strict=True):
            seen[key].append(visitor)
        for key, who in seen.items():
            value, slot, view = key >> 8, day + (key >> 1 & 127), key & 1
            bits = BitMap(sorted(set(who)))
            bits.discard(0)
            for level, start in ((1, slot), (DAY, day)):
                cell = sums.cells[dimension, value, level, start, site, bot]
                cell.events += len(who)
                cell.views += view * len(who)
                cell.visitors |= bits


def _add_pairs(sums: Sums, columns: list[list[int]], day: int, site: int, bot: int) -> None:
    views, values = columns[3], columns[_FIRST:]
    low = [[v << 1 | view for v, view in zip(column, views, strict=True)] for column in values]
    high = [[v << 33 for v in column] for column in values]
    pairs = sums.pairs
    for i, column in enumerate(low):
        for key, count in Counter(column).items():
            pairs[0, 0, day, site, bot][2 * i + (key & 1)][key >> 1] = count
            pairs[i + 1, key >> 1, day, site, bot][2 * i + (key & 1)][key >> 1] = count
    for i, j in itertools.combinations(range(len(values)), 2):
        for key, count in Counter(map(or_, high[i], low[j])).items():
            one, other, view = key >> 33, key >> 1 & 0xFFFFFFFF, key & 1
            pairs[i + 1, one, day, site, bot][2 * j + view][other] = count
            pairs[j + 1, other, day, site, bot][2 * i + view][one] = count


def epoch(connection: sqlite.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_EPOCH,)).fetchone()
    return int(row[0]) if row else 0


def _advance(connection: sqlite.Connection) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_EPOCH, epoch(connection) + 1))


def plan(connection: sqlite.Connection, upto: int) -> Seal | None:
    """What adding up the next hits, as far as number `upto`, comes to; None when there are none.
    Of one moment: within a transaction."""
    after = hits.added_up(connection)
    columns = hits.read(connection, "seq > ? AND seq <= ?", (after, upto), COLUMNS)
    if not columns[0]:
        return None
    sums = add_up(columns)
    row = connection.execute("SELECT coalesce(max(latest), -1) FROM hit_blocks").fetchone()
    newest = row[0] // SLOT_MS  # of later slots nothing is stored
    _merge(connection, sums, lambda key: key[2] > 1 or key[3] <= newest)
    seqs, at = columns[:2]
    zones = [
        (seqs[i], seqs[min(i + _ZONE, len(seqs)) - 1], min(at[i : i + _ZONE]),
         max(at[i : i + _ZONE]))
        for i in range(0, len(seqs), _ZONE)
    ]  # fmt: skip
    zones[-1] = (zones[-1][0], max(upto, zones[-1][1]), *zones[-1][2:])
    return Seal(after, epoch(connection), list(_cells(sums)), list(_pairs(sums)), zones)


_STORED_CELLS = """SELECT r.dimension, r.value, r.level, r.start, r.site, r.bot, r.events, r.views,
    r.visitors FROM json_each(?) AS j CROSS JOIN rollups AS r ON r.dimension = j.value ->> 0
    AND r.value = j.value ->> 1 AND r.level = j.value ->> 2 AND r.start = j.value ->> 3
    AND r.site = j.value ->> 4 AND r.bot = j.value ->> 5"""
_STORED_PAIRS = """SELECT r.dimension, r.value, r.start, r.site, r.bot, r.counts
    FROM json_each(?) AS j CROSS JOIN rollup_pairs AS r ON r.dimension = j.value ->> 0
    AND r.value = j.value ->> 1 AND r.start = j.value ->> 2 AND r.site = j.value ->> 3
    AND r.bot = j.value ->> 4"""


def _stored_cells(
    connection: sqlite.Connection, keys: Iterable[CellKey]
) -> Iterator[tuple[CellKey, Cell]]:
    for *key, events, views, bits in connection.execute(_STORED_CELLS, (_text(keys),)):
        yield tuple(key), Cell(events, views, BitMap.deserialize(bits))


def _stored_pairs(
    connection: sqlite.Connection, keys: Iterable[PairKey]
) -> Iterator[tuple[PairKey, Pairs]]:
    for *key, counts in connection.execute(_STORED_PAIRS, (_text(keys),)):
        lists = _raw(counts)
        yield (
            tuple(key),
            [
                Counter(dict(zip(_numbers(lists[i]), _numbers(lists[i + 1]), strict=True)))
                for i in range(0, len(lists), 2)
            ],
        )


def _merge(connection: sqlite.Connection, sums: Sums, maybe: Any) -> None:
    """Put to the sums what is stored of the same keys already."""
    for key, old in _stored_cells(connection, filter(maybe, sums.cells)):
        cell = sums.cells[key]
        cell.events += old.events
        cell.views += old.views
        cell.visitors |= old.visitors
    for pair, counted in _stored_pairs(connection, sums.pairs):
        for new, before in zip(sums.pairs[pair], counted, strict=True):
            new.update(before)


def _cells(sums: Sums) -> Iterator[tuple[Any, ...]]:
    for key in sorted(sums.cells):
        cell = sums.cells[key]
        yield *key, cell.events, cell.views, cell.visitors.serialize()


def _pairs(sums: Sums) -> Iterator[tuple[Any, ...]]:
    for key in sorted(sums.pairs):
        lists: list[list[int]] = []
        for counts in sums.pairs[key]:
            lists += [list(counts), list(counts.values())]
        yield *key, _encode(lists)


def values_of(counts: bytes, dimension: int, views: bool) -> Iterator[tuple[int, int]]:
    """Value and how often, from a row's `counts`; dimensions from 1 on, `views`: of views."""
    lists = _raw(counts)
    at = 4 * (dimension - 1) + 2 * views
    return zip(_numbers(lists[at]), _numbers(lists[at + 1]), strict=True)


def apply(connection: sqlite.Connection, seal: Seal) -> bool:
    """Write it; False when it is not true any more."""
    with cursors.transaction(connection):
        if epoch(connection) != seal.epoch or hits.added_up(connection) != seal.after:
            return False
        _put(connection, seal)
    return True


def _put(connection: sqlite.Connection, seal: Seal) -> None:
    connection.executemany("INSERT OR REPLACE INTO rollups VALUES (?,?,?,?,?,?,?,?,?)", seal.cells)
    connection.executemany("INSERT OR REPLACE INTO rollup_pairs VALUES (?,?,?,?,?,?)", seal.pairs)
    connection.executemany("INSERT INTO hit_blocks VALUES (?, ?, ?, ?)", seal.zones)


def expire(connection: sqlite.Connection, upto: int) -> None:
    """Hits as far as a number go; what they add up to stays. Within a transaction."""
    if hits.added_up(connection) < upto and (seal := plan(connection, upto)):
        _put(connection, seal)
        _advance(connection)
    if connection.execute("DELETE FROM hits WHERE seq <= ?", (upto,)).rowcount:
        connection.execute("DELETE FROM hit_leads WHERE seq <= ?", (upto,))
        connection.execute("DELETE FROM hit_blocks WHERE last <= ?", (upto,))


_AMONG = "seq IN (SELECT value FROM json_each(?))"


def take_out(connection: sqlite.Connection, seqs: list[int]) -> None:
    """Hits go, and from the rollups as well. Within a transaction."""
    among, known = _text(seqs), hits.added_up(connection)
    columns = hits.read(connection, f"{_AMONG} AND seq <= ?", (among, known), COLUMNS)
    connection.execute(f"DELETE FROM hits WHERE {_AMONG}", (among,))
    connection.execute(f"DELETE FROM hit_leads WHERE {_AMONG}", (among,))
    _advance(connection)
    if columns[0]:
        gone = add_up(columns)
        _subtract(connection, gone, add_up(_left(connection, columns, known)))


def _left(connection: sqlite.Connection, gone: list[list[int]], known: int) -> list[list[int]]:
    """What else the same visitors did on the same days."""
    columns: list[list[int]] = [[] for _ in COLUMNS]
    who = _text(sorted(set(gone[COLUMNS.index("visitor")]) - {0}))
    for day in sorted({moment // SLOT_MS // DAY for moment in gone[1]}):
        condition = hits.Condition(
            day * DAY, day * DAY + DAY, "visitor IN (SELECT value FROM json_each(?))", (who,)
        )
        for piece in hits.scan(connection, condition, COLUMNS, upto=known):
            for column, more in zip(columns, piece, strict=True):
                column += more
    return columns


def _subtract(connection: sqlite.Connection, gone: Sums, left: Sums) -> None:
    for key, cell in list(_stored_cells(connection, gone.cells)):
        less = gone.cells[key]
        less.events = cell.events - less.events
        less.views = cell.views - less.views
        less.visitors = cell.visitors - (less.visitors - left.cells[key].visitors)
    for pair, counted in list(_stored_pairs(connection, gone.pairs)):
        for less_of, before in zip(gone.pairs[pair], counted, strict=True):
            before.subtract(less_of)
            less_of.clear()
            less_of.update(+before)
    _put(connection, Seal(0, 0, list(_cells(gone)), list(_pairs(gone)), []))
    connection.execute("DELETE FROM rollups WHERE events = 0")


def _text(value: Iterable[Any]) -> str:
    return str(msgspec.json.encode(list(value)), "utf-8")
