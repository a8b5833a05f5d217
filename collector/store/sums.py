"""What hits add up to: of each value of a dimension, by hour and day, how many events and views
there were and which visitors; by day, which values of the other dimensions came with it, and for
paths and events who did it when. Pure.

It takes tenths of a second, for which nobody else would get the interpreter lock: so it is work
that can be laid down (`Work`).
"""

import itertools
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from operator import or_
from typing import TypeVar

import msgspec
from pyroaring import BitMap

from collector.store.hits import COLUMNS, DIMENSIONS, SLOT_MS

DAY = 96  # slots
HOUR = 4
WEEK = 8 * DAY
MONTH = 4 * WEEK
T = TypeVar("T")
Work = Generator[None, None, T]  # a few milliseconds at a time; it returns what it comes to
_FIRST = len(COLUMNS) - len(DIMENSIONS)
PATH, EVENT = DIMENSIONS.index("path") + 1, DIMENSIONS.index("event") + 1
_encode = msgspec.msgpack.Encoder().encode
_raw = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_numbers = msgspec.msgpack.Decoder(list[int]).decode
_bytes = msgspec.msgpack.Decoder(tuple[bytes, bytes, bytes]).decode

# In the order of the tables' keys: what a block adds to lies together then, day by day.
# dimension (0: of all, then from 1 on), level, start, value, site, bot
CellKey = tuple[int, int, int, int, int, int]
# dimension, start of the day, value, site, bot
DayKey = tuple[int, int, int, int, int]


class Cell(msgspec.Struct):
    events: int
    views: int
    visitors: BitMap


class Pairs:
    """For each dimension one of events that are no views and one of views: value and how often."""

    def __init__(self, packed: bytes | None = None) -> None:
        self.counts: list[dict[int, int]] = [{} for _ in range(2 * len(DIMENSIONS))]
        if packed:
            lists = list(map(_numbers, _raw(packed)))
            pairs = zip(lists[::2], lists[1::2], strict=True)
            self.counts = [dict(zip(values, counts, strict=True)) for values, counts in pairs]

    def add(self, other: "Pairs", sign: int = 1) -> None:
        for own, more in zip(self.counts, other.counts, strict=True):
            for value, count in more.items():
                own[value] = own.get(value, 0) + sign * count

    def pack(self) -> bytes:
        lists: list[list[int]] = []
        for counts in self.counts:
            kept = {value: count for value, count in counts.items() if count}
            lists += [list(kept), list(kept.values())]
        return _encode(lists)


def values_of(packed: bytes, dimension: int, views: bool) -> Iterator[tuple[int, int]]:
    """Value and how often, from packed pairs; `views`: of views, else of the other events."""
    lists = _raw(packed)
    at = 4 * (dimension - 1) + 2 * views
    return zip(_numbers(lists[at]), _numbers(lists[at + 1]), strict=True)


class Marks:
    """Who did it, when (milliseconds), and the event's number: 20 bytes each."""

    def __init__(self, packed: bytes | None = None) -> None:
        self.visitors, self.at, self.seqs = array("I"), array("q"), array("q")
        if packed:
            for column, content in zip(self.columns, _bytes(packed), strict=True):
                column.frombytes(content)

    @classmethod
    def of(cls, visitors: list[int], at: list[int], seqs: list[int]) -> "Marks":
        made = cls()
        for column, numbers in zip(made.columns, (visitors, at, seqs), strict=True):
            column.extend(numbers)
        return made

    @property
    def columns(self) -> tuple["array[int]", "array[int]", "array[int]"]:
        return self.visitors, self.at, self.seqs

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(column.itemsize * len(column) for column in self.columns)

    def extend(self, other: "Marks") -> None:
        for own, more in zip(self.columns, other.columns, strict=True):
            own.extend(more)

    def pick(self, places: Iterable[int]) -> "Marks":
        found = Marks()
        for column, own in zip(found.columns, self.columns, strict=True):
            column.extend(map(own.__getitem__, places))
        return found

    def those(self, chosen: bytes) -> "Marks":
        """Where there is no 0."""
        return self.pick(list(itertools.compress(range(len(chosen)), chosen)))

    def pack(self) -> bytes:
        return _encode([column.tobytes() for column in self.columns])

    def compress(self) -> list[bytes]:
        """Its columns, half as large."""
        return [zlib.compress(column.tobytes(), 1) for column in self.columns]

    @classmethod
    def decompress(cls, contents: Sequence[bytes]) -> "Marks":
        made = cls()
        for column, content in zip(made.columns, contents, strict=True):
            column.frombytes(zlib.decompress(content))
        return made


class Sums(msgspec.Struct):
    cells: dict[CellKey, Cell] = {}
    pairs: dict[DayKey, Pairs] = {}
    marks: dict[DayKey, Marks] = {}


def finish(work: Work[T]) -> T:
    """All of it at once."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            found: T = done.value
            return found


def add_up(columns: list[list[int]]) -> Sums:
    """Of hits, given by their columns."""
    return finish(adding_up(columns))


def adding_up(columns: list[list[int]]) -> Work[Sums]:
    """The same."""
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
        yield from _add_cells(sums, own, day * DAY, site, bot)
        yield from _add_pairs(sums, own, day * DAY, site, bot)
        yield from _add_marks(sums, own, day * DAY, site, bot)
    return sums


def finest(dimension: int) -> int:
    """Quarters of an hour only of all: of each value they would be as many as the hits."""
    return HOUR if dimension else 1


def _add_cells(sums: Sums, columns: list[list[int]], day: int, site: int, bot: int) -> Work[None]:
    _, at, _, views, _, visitors, *values = columns
    for dimension, column in enumerate(([0] * len(at), *values)):
        yield
        level = finest(dimension)
        unit = level * SLOT_MS
        low = [moment // unit * level - day << 1 | v for moment, v in zip(at, views, strict=True)]
        seen: dict[int, list[int]] = defaultdict(list)
        keys = map(or_, [value << 8 for value in column], low)
        for key, visitor in zip(keys, visitors, strict=True):
            seen[key].append(visitor)
        days: dict[int, list[Cell]] = defaultdict(list)
        for key in {key | 1 for key in seen}:
            of_views, others = seen.get(key, []), seen.get(key - 1, [])
            bits = BitMap(of_views + others)
            bits.discard(0)
            value, start = key >> 8, day + (key >> 1 & 127)
            cell = Cell(len(of_views) + len(others), len(of_views), bits)
            sums.cells[dimension, level, start, value, site, bot] = cell
            days[value].append(cell)
        for value, parts in days.items():
            sums.cells[dimension, DAY, day, value, site, bot] = Cell(
                sum(part.events for part in parts),
                sum(part.views for part in parts),
                BitMap.union(*(part.visitors for part in parts)),
            )


def _add_pairs(sums: Sums, columns: list[list[int]], day: int, site: int, bot: int) -> Work[None]:
    views, values = columns[3], columns[_FIRST:]
    low = [[v << 1 | view for v, view in zip(column, views, strict=True)] for column in values]
    high = [[v << 33 for v in column] for column in values]
    of: list[dict[int, Pairs]] = [defaultdict(Pairs) for _ in range(len(values) + 1)]
    for i, column in enumerate(low):
        yield
        for key, count in Counter(column).items():
            value, place = key >> 1, 2 * i + (key & 1)
            of[0][0].counts[place][value] = count
            of[i + 1][value].counts[place][value] = count
    for i, j in itertools.combinations(range(len(values)), 2):
        yield
        of_one, of_other = of[i + 1], of[j + 1]
        for key, count in Counter(map(or_, high[i], low[j])).items():
            one, other, view = key >> 33, key >> 1 & 0xFFFFFFFF, key & 1
            of_one[one].counts[2 * j + view][other] = count
            of_other[other].counts[2 * i + view][one] = count
    for dimension, found in enumerate(of):
        for value, pairs in found.items():
            sums.pairs[dimension, day, value, site, bot] = pairs


def _add_marks(sums: Sums, columns: list[list[int]], day: int, site: int, bot: int) -> Work[None]:
    seqs, at, _, views, _, visitors, *values = columns
    marks: dict[tuple[int, int], Marks] = defaultdict(Marks)
    yield
    for i, (view, path, event) in enumerate(
        zip(views, values[PATH - 1], values[EVENT - 1], strict=True)
    ):
        if view or event:
            own = marks[(PATH, path) if view else (EVENT, event)]
            own.visitors.append(visitors[i])
            own.at.append(at[i])
            own.seqs.append(seqs[i])
    for (dimension, value), own in marks.items():
        sums.marks[dimension, day, value, site, bot] = own
