"""What the dashboard's overview asks. Of all, or of one value of a dimension, it is answered from
the rollups and of the few hits that are not added up yet; what is asked by more than one, from
all hits in the range. Each gives what a query over `events` gives.
"""

import itertools
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from pyroaring import BitMap
from pysqlite3 import dbapi2 as sqlite

from collector.store import hits, sales
from collector.store.hits import DIMENSIONS, SLOT_MS, Condition
from collector.store.question import Question, condition, names, number_of
from collector.store.reader import rows_at_once, snapshot
from collector.store.sums import DAY, HOUR, finest, values_of

LEVELS = (1, HOUR, DAY)


def pieces(first: int, end: int, levels: Sequence[int] = LEVELS) -> Iterator[tuple[int, int, int]]:
    """A range of slots as ranges of whole units, each of a level as high as fits."""
    if first >= end:
        return
    *lower, level = levels
    inner, outer = -(-first // level) * level, end // level * level
    if inner >= outer or not lower:
        yield from pieces(first, end, lower) if lower else [(level, first, end)]
        return
    yield from pieces(first, inner, lower)
    yield level, inner, outer
    yield from pieces(outer, end, lower)


def filled(connection: sqlite.Connection) -> tuple[int, int]:
    """The first and the last slot with something in the rollups."""
    row = connection.execute(
        "SELECT (SELECT min(start) FROM rollups WHERE dimension = 0 AND level = 1), "
        "(SELECT max(start) FROM rollups WHERE dimension = 0 AND level = 1)"
    ).fetchone()
    return (row[0], row[1]) if row[0] is not None else (0, -1)


def rounded(whole: tuple[int, int], first: int, end: int) -> tuple[int, int]:
    """A range of slots, as far as they are filled (`whole`), with whole days at its ends where
    nothing is beyond: so today, and the day of the first event, are read as days in every zone."""
    oldest, newest = whole
    if first <= oldest:
        first = oldest // DAY * DAY
    return first, (newest // DAY + 1) * DAY if end > newest else end


_CELL = tuple[int, int, str]
# The tables are in order of time before that of values: one value's rows are looked up one by one.
STARTS = "start IN (SELECT value FROM json_each(?))"


def starts_of(starts: Iterable[int]) -> str:
    return str(msgspec.json.encode(list(starts)), "utf-8")


class Asked(msgspec.Struct, frozen=True):
    """A question that the rollups can answer: of a value of a dimension, or 0 and 0 for all."""

    dimension: int
    value: int
    site: int | None
    bots: bool

    def rows(
        self,
        connection: sqlite.Connection,
        row: Any,
        columns: str,
        table: str,
        said: str,
        starts: str,
    ) -> list[Any]:
        """Rows with `columns`, blobs as hexadecimal text."""
        select = f"SELECT json_array({columns}) AS j FROM {table} WHERE {self._said} AND {said}"
        return rows_at_once(connection, select, (self.dimension, self.value, starts), row)

    def cells(
        self, connection: sqlite.Connection, level: int, first: int, end: int
    ) -> Iterator[tuple[int, int, bytes]]:
        """Events, views and visitors. Of days, few and with large bitmaps, row by row; of what is
        less, many and small, at once."""
        said, starts = f"level = {level} AND {STARTS}", starts_of(range(first, end, level))
        if level < DAY:
            row, columns = _CELL, "events, views, hex(visitors)"
            found = self.rows(connection, row, columns, "rollups", said, starts)
            for events, views, visitors in found:
                yield events, views, bytes.fromhex(visitors)
            return
        select = f"SELECT events, views, visitors FROM rollups WHERE {self._said} AND {said}"
        yield from connection.execute(select, (self.dimension, self.value, starts))

    @property
    def _said(self) -> str:
        site = "" if self.site is None else f" AND site = {self.site}"
        return f"dimension = ? AND value = ?{site}{'' if self.bots else ' AND bot = 0'}"


def _asked(connection: sqlite.Connection, question: Question) -> Asked | None:
    """None when it is asked by more than one dimension."""
    if len(question.filters) > 1:
        return None
    site = None if question.site is None else number_of(connection, question.site)
    for name, text in question.filters.items():
        number = number_of(connection, text)
        return Asked(DIMENSIONS.index(name) + 1, number, site, question.bots)
    return Asked(0, 0, site, question.bots)


class Tally:
    """Events, views and visitors."""

    def __init__(self) -> None:
        self.events = 0
        self.views = 0
        self.visitors = BitMap()

    def take(self, rows: Iterator[tuple[int, int, bytes]]) -> None:
        """Rows of the rollups."""
        bits = [self.visitors]
        for events, views, visitors in rows:
            self.events += events
            self.views += views
            bits.append(BitMap.deserialize(visitors))
        self.visitors = BitMap.union(*bits)

    def add(self, views: list[int], visitors: list[int]) -> None:
        """Hits."""
        self.events += len(views)
        self.views += sum(views)
        self.visitors |= BitMap(array("I", visitors))
        self.visitors.discard(0)


_OF_HITS = ("view", "visitor")


def _tallies(
    connection: sqlite.Connection, question: Question, bounds: Sequence[int]
) -> list[Tally]:
    """Of each piece between two neighbours in `bounds` (times)."""
    slots = [bound // SLOT_MS for bound in bounds]
    tallies = [Tally() for _ in slots[1:]]
    where, after = condition(connection, question), 0
    if asked := _asked(connection, question):
        after, whole = hits.added_up(connection), filled(connection)
        for tally, (first, end) in zip(tallies, itertools.pairwise(slots), strict=True):
            part = where.within(*rounded(whole, first, end))
            _tally_rolled(connection, part, asked, tally, after)
    if len(tallies) == 1:
        for columns in hits.scan(connection, where, _OF_HITS, after):
            tallies[0].add(*columns)
        return tallies
    for at, *columns in hits.scan(connection, where, ("at", *_OF_HITS), after):
        if at:
            _spread(tallies, slots, at, columns)
    return tallies


def _spread(
    tallies: list[Tally], slots: list[int], at: list[int], columns: list[list[int]]
) -> None:
    """Hits among the pieces that they lie in; most often all are in one."""
    first, last = (bisect_right(slots, t // SLOT_MS) - 1 for t in (min(at), max(at)))
    if first == last:
        tallies[first].add(*columns)
        return
    places: dict[int, tuple[list[int], list[int]]] = {}
    for moment, view, visitor in zip(at, *columns, strict=True):
        found = places.setdefault(bisect_right(slots, moment // SLOT_MS) - 1, ([], []))
        found[0].append(view)
        found[1].append(visitor)
    for place, found in places.items():
        tallies[place].add(*found)


def _tally_rolled(
    connection: sqlite.Connection, where: Condition, asked: Asked, tally: Tally, upto: int
) -> None:
    least = finest(asked.dimension)
    levels = LEVELS if least > 1 else (1, DAY)
    for level, first, end in pieces(where.first, where.end, levels):
        if level < least:  # zones whose hours begin within one of UTC
            for columns in hits.scan(connection, where.within(first, end), _OF_HITS, 0, upto):
                tally.add(*columns)
            continue
        tally.take(asked.cells(connection, level, first, end))


def totals(connection: sqlite.Connection, question: Question) -> dict[str, Any]:
    """Visitors, views, events, leads, purchases and revenue by currency."""
    with snapshot(connection):
        first, end = question.slots
        (tally,) = _tallies(connection, question, (first * SLOT_MS, end * SLOT_MS))
        return {
            "visitors": len(tally.visitors),
            "views": tally.views,
            "events": tally.events,
            **sales.commerce(connection, question),
        }


def chart(
    connection: sqlite.Connection, question: Question, bounds: list[int]
) -> dict[str, list[int]]:
    """Views, events and visitors of each piece between two neighbours in `bounds` (times)."""
    with snapshot(connection):
        tallies = _tallies(connection, question, bounds)
    return {
        "views": [tally.views for tally in tallies],
        "events": [tally.events for tally in tallies],
        "visitors": [len(tally.visitors) for tally in tallies],
    }


def top(
    connection: sqlite.Connection, question: Question, dimension: str, limit: int
) -> list[dict[str, Any]]:
    """The values of a dimension with their counts: of `event` and `type` events, of the others
    page views. The value `` is none."""
    # Where an event is chosen, it is what is counted.
    views = dimension not in ("event", "type") and "event" not in question.filters
    counts: Counter[int] = Counter()
    with snapshot(connection):
        after = 0
        if asked := _asked(connection, question):
            after = hits.added_up(connection)
            _count_rolled(connection, question, asked, dimension, views, counts)
        _count_hits(connection, question, dimension, views, counts, after)
        if dimension == "event":
            counts.pop(0, None)
        found = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
        texts = names(connection, [value for value, _ in found])
    return [{"value": texts.get(value, ""), "count": count} for value, count in found]


def _count_rolled(
    connection: sqlite.Connection,
    question: Question,
    asked: Asked,
    dimension: str,
    views: bool,
    counts: Counter[int],
) -> None:
    number, after = DIMENSIONS.index(dimension) + 1, hits.added_up(connection)
    for level, first, end in pieces(*rounded(filled(connection), *question.slots), (1, DAY)):
        if level < DAY:  # what is less than a day is looked through
            part = msgspec.structs.replace(question, start=first * SLOT_MS, end=end * SLOT_MS)
            _count_hits(connection, part, dimension, views, counts, 0, after)
            continue
        starts = starts_of(range(first, end, DAY))
        found = asked.rows(connection, tuple[str], "hex(counts)", "rollup_pairs", STARTS, starts)
        rows = [bytes.fromhex(packed) for (packed,) in found]
        sums: dict[int, int] = {}  # half the time of a Counter, over a year of days
        seen = sums.get
        for of_views in (True,) if views else (True, False):
            for packed in rows:
                for value, count in values_of(packed, number, of_views):
                    sums[value] = seen(value, 0) + count
        counts.update(sums)


def _count_hits(
    connection: sqlite.Connection,
    question: Question,
    dimension: str,
    views: bool,
    counts: Counter[int],
    after: int,
    upto: int = hits.LAST,
) -> None:
    where = condition(connection, question)
    if views:
        where = where.also(("view", 1))
    for (values,) in hits.scan(connection, where, (dimension,), after, upto):
        counts.update(values)
