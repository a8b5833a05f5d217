"""What the dashboard's overview asks. Of all, or of one value of a dimension, it is answered from
the rollups and of the few hits that are not added up yet; what is asked by more than one, from
all hits in the range. Each gives what a query over `events` gives.
"""

import itertools
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
from pyroaring import BitMap
from pysqlite3 import dbapi2 as sqlite

from collector.store import hits, sales
from collector.store.hits import DIMENSIONS, SLOT_MS, Condition
from collector.store.levels import OF_CELLS, STARTS, Asked, filled, ready, rounded, units
from collector.store.question import Question, condition, names, number_of
from collector.store.reader import snapshot
from collector.store.sums import DAY, MONTH, finest, values_of


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
        after, whole, months = hits.added_up(connection), filled(connection), ready(connection)
        for tally, (first, end) in zip(tallies, itertools.pairwise(slots), strict=True):
            part = where.within(*rounded(whole, first, end))
            _tally_rolled(connection, part, asked, tally, months, after)
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
    connection: sqlite.Connection,
    where: Condition,
    asked: Asked,
    tally: Tally,
    months: Collection[int],
    upto: int,
) -> None:
    least = finest(asked.dimension)
    levels = sorted({1, least, DAY})
    for level, first, end in units(where.first, where.end, levels, months, OF_CELLS):
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
    span = rounded(filled(connection), *question.slots)
    rows: list[bytes] = []
    for level, first, end in units(*span, (1, DAY), ready(connection)):
        if level < DAY:  # what is less than a day is looked through
            part = msgspec.structs.replace(question, start=first * SLOT_MS, end=end * SLOT_MS)
            _count_hits(connection, part, dimension, views, counts, 0, after)
        else:
            rows += _pairs(connection, asked, level, range(first, end, level))
    sums: dict[int, int] = {}  # half the time of a Counter, over a year of days
    seen = sums.get
    for of_views in (True,) if views else (True, False):
        for packed in rows:
            for value, count in values_of(packed, number, of_views):
                sums[value] = seen(value, 0) + count
    counts.update(sums)


def _pairs(
    connection: sqlite.Connection, asked: Asked, level: int, starts: range
) -> Iterator[bytes]:
    if level == MONTH:
        for (packed,) in asked.each(connection, "counts", "month_pairs", starts):
            yield packed
        return
    columns = "hex(counts)"
    for (text,) in asked.rows(connection, tuple[str], columns, "rollup_pairs", STARTS, starts):
        yield bytes.fromhex(text)


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
