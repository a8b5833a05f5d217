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

from collector.store import hits
from collector.store.hits import DIMENSIONS, SLOT_MS, Condition
from collector.store.levels import LEVELS, STARTS, Asked, filled, ready, rounded, units
from collector.store.reader import snapshot
from collector.store.sums import DAY, MONTH, finest, values_of

_LONGEST_NAME = 500


class Question(msgspec.Struct, frozen=True):
    """Which events: `start` <= time < `end` in milliseconds (of whole quarters of an hour), and
    what they have in common; an empty text is none, None is any."""

    start: int
    end: int
    site: str | None = None
    path: str | None = None
    referrer: str | None = None
    campaign: str | None = None
    event: str | None = None
    device: str | None = None
    browser: str | None = None
    country: str | None = None
    type: str | None = None
    bots: bool = False

    @property
    def filters(self) -> dict[str, str]:
        """The dimensions that are filtered by, and by what."""
        return {d: v for d in DIMENSIONS if (v := getattr(self, d)) is not None}

    @property
    def slots(self) -> tuple[int, int]:
        return self.start // SLOT_MS, -(-self.end // SLOT_MS)


def number_of(connection: sqlite.Connection, text: str) -> int:
    """Of a name; 0 for none, -1 for what was never seen."""
    if not text:
        return 0
    row = connection.execute(
        "SELECT number FROM rollup_names WHERE text = ?", (text[:_LONGEST_NAME],)
    ).fetchone()
    return int(row[0]) if row else -1


def condition(connection: sqlite.Connection, question: Question) -> Condition:
    """The question as one about hits."""
    equal = [] if question.bots else [("bot", 0)]
    if question.site is not None:
        equal.append(("site", number_of(connection, question.site)))
    equal += [(name, number_of(connection, text)) for name, text in question.filters.items()]
    return Condition(*question.slots, tuple(equal))


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
    levels = LEVELS if least > 1 else (1, DAY)
    for level, first, end in units(where.first, where.end, levels, months):
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
            **_commerce(connection, question),
        }


# A purchase is asked for by its event, in order of time; it has that one's number and time.
PURCHASES = """hit_sales AS h INDEXED BY hit_sales_by_time
    CROSS JOIN purchases AS p ON p.seq = h.seq"""


def of_purchases(connection: sqlite.Connection, question: Question) -> tuple[str, list[Any]]:
    """The condition that purchase `p`, whose event is `h`, is among those asked for."""
    said, values = "h.at >= ? AND h.at < ?", [question.start, question.end]
    for name, value in condition(connection, question).equal:
        said += f" AND h.{name} = ?"
        values.append(value)
    return said, values


def of_leads(connection: sqlite.Connection, question: Question) -> tuple[str, list[Any]]:
    """The same of lead `p`. Leads have no number of their event: it is found by its time and
    message id."""
    said = "p.timestamp >= ? AND p.timestamp < ?"
    values: list[Any] = [question.start, question.end]
    if question.site is not None:
        said += " AND p.site = ?"
        values.append(question.site)
    if question.filters:
        of_event = ""
        for name, value in condition(connection, question).equal:
            of_event += f" AND h.{name} = ?"
            values.append(value)
        said += f""" AND EXISTS (SELECT 1 FROM hit_sales AS h INDEXED BY hit_sales_by_time
            WHERE h.at = p.timestamp AND h.message_id = p.message_id AND h.site_name = p.site
            {of_event})"""
    return said, values


def _commerce(connection: sqlite.Connection, question: Question) -> dict[str, Any]:
    said, values = of_purchases(connection, question)
    bought = connection.execute(
        f"""SELECT p.currency, count(*), coalesce(sum(p.total_micros), 0) FROM {PURCHASES}
        WHERE p.counted AND {said} GROUP BY p.currency ORDER BY 3 DESC""",
        values,
    ).fetchall()
    said, values = of_leads(connection, question)
    leads = connection.execute(f"SELECT count(*) FROM leads AS p WHERE {said}", values).fetchone()
    return {
        "leads": leads[0],
        "purchases": sum(count for _, count, _ in bought),
        "revenue": [
            {"currency": currency, "micros": micros, "purchases": count}
            for currency, count, micros in bought
        ],
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


def names(connection: sqlite.Connection, numbers: list[int]) -> dict[int, str]:
    text = msgspec.json.encode(numbers).decode()
    return dict(
        connection.execute(
            "SELECT n.number, n.text FROM json_each(?) AS j "
            "CROSS JOIN rollup_names AS n ON n.number = j.value",
            (text,),
        ).fetchall()
    )
