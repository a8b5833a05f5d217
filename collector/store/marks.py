"""Who viewed a path or did what a track is called, and when: without looking through all hits."""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Sequence
from functools import reduce
from operator import and_

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store import columns as by_column
from collector.store import hits
from collector.store.columns import Narrow
from collector.store.hits import DIMENSIONS, SLOT_MS
from collector.store.levels import STARTS, Asked, filled, ready, rounded, units
from collector.store.question import Question, condition, number_of
from collector.store.sums import DAY, MONTH, Marks

_HIT: dict[str, tuple[tuple[str, int], ...]] = {"path": (("view", 1),), "event": ()}
# Of a piece, are looked up one by one: each may be a page of the file, and a piece is a handful.
_FEW = 4
_ALWAYS = -(1 << 40), 1 << 40  # slots


def of_question(
    connection: sqlite.Connection,
    question: Question,
    kind: str,
    text: str,
    who: Container[int] | None = None,
    most: int | None = None,
) -> Marks:
    """Of the views of a path or the events of a name (`kind`: path, event) that are asked for;
    with `who`, of these visitors; with `most`, at least so many of the newest. Within a
    transaction."""
    number, after = number_of(connection, text), hits.added_up(connection)
    found, passed = Marks(), Marks()
    for some in _added_up(connection, question, kind, number, who, most):
        if most is not None and len(found.seqs) + len(passed.seqs) >= most:
            break
        found.extend(some[0])
        passed.extend(some[1])
    if question.filters and found.seqs:
        found = _among(connection, question, found)
    found.extend(passed)
    where = condition(connection, question).also(*_HIT[kind], (kind, number))
    for columns in hits.scan(connection, where, ("visitor", "at", "seq"), after):
        found.extend(Marks.of(*columns))
    return found


def _added_up(
    connection: sqlite.Connection,
    question: Question,
    kind: str,
    number: int,
    who: Container[int] | None,
    most: int | None,
) -> Iterator[tuple[Marks, Marks]]:
    """What is added up, the newest first (where a few are enough one day after the other): what is
    still to be filtered, and what is not."""
    site = None if question.site is None else number_of(connection, question.site)
    asked = Asked(DIMENSIONS.index(kind) + 1, number, site, question.bots)
    filters = {name: number_of(connection, text) for name, text in question.filters.items()}
    first, end = rounded(filled(connection), *question.slots)
    whole = {month for month in ready(connection) if first <= month <= end - MONTH}
    days = first // DAY * DAY, -(-end // DAY) * DAY
    for level, start, stop in [*units(*days, (DAY,), whole)][::-1]:
        if level == MONTH:
            for month in range(start, stop, MONTH)[::-1]:
                yield _of_month(connection, asked, filters, who, month)
            continue
        newest_first = range(start, stop, DAY)[::-1]
        for some in [newest_first] if most is None else ([day] for day in newest_first):
            for marks in _of_days(connection, asked, some, first, end):
                yield _of(who, marks), Marks()


def _of(who: Container[int] | None, marks: Marks) -> Marks:
    return marks if who is None else marks.those(bytes(map(who.__contains__, marks.visitors)))


def _of_month(
    connection: sqlite.Connection,
    asked: Asked,
    filters: dict[str, int],
    who: Container[int] | None,
    month: int,
) -> tuple[Marks, Marks]:
    found, passed = Marks(), Marks()
    columns = ", ".join(("visitors", "at", "seqs", *filters))
    for row in asked.each(connection, columns, "month_marks", [month]):
        marks, contents = Marks.decompress(row[:3]), row[3:]
        if not all(contents):
            found.extend(_of(who, marks))
            continue
        masks = [*map(Narrow.equal, map(Narrow, contents), filters.values())]
        if who is not None:
            these = bytes(map(who.__contains__, marks.visitors))
            masks.append(int.from_bytes(these, "little"))
        if said := [mask for mask in masks if mask is not None]:
            marks = marks.those(reduce(and_, said).to_bytes(len(marks.seqs), "little"))
        passed.extend(marks)
    return found, passed


def _of_days(
    connection: sqlite.Connection, asked: Asked, days: Sequence[int], first: int, end: int
) -> Iterator[Marks]:
    said, row = f"done IN (0, 1) AND {STARTS}", tuple[int, str]
    parts: dict[int, Marks] = {day: Marks() for day in days}
    for start, packed in asked.rows(
        connection, row, "start, hex(marks)", "rollup_marks", said, days
    ):
        parts[start].extend(Marks(bytes.fromhex(packed)))
    for start, marks in parts.items():
        if start < first or start + DAY > end:
            marks = marks.pick(
                [i for i, at in enumerate(marks.at) if first * SLOT_MS <= at < end * SLOT_MS]
            )
        yield marks


def _among(connection: sqlite.Connection, question: Question, found: Marks) -> Marks:
    """Those of them that the filters let through; they are of the site and times asked for."""
    filters = [(name, number_of(connection, text)) for name, text in question.filters.items()]
    where, seqs = hits.Condition(*_ALWAYS, tuple(filters)), sorted(found.seqs)
    kept: set[int] = set()
    singly: list[int] = []
    done = 0
    times = condition(connection, question).times
    for piece in by_column.pieces(connection, 0, hits.LAST, *times):
        first = bisect_left(seqs, piece.first, done)
        last = bisect_right(seqs, piece.last, first)
        if last - first > _FEW:
            kept.update(hits.fulfilling(connection, where, piece, seqs[first:last]))
            singly += seqs[done:first]
        else:
            singly += seqs[done:last]
        done = last
    said = f"seq IN (SELECT value FROM json_each(?)) AND {where.said}"
    text = msgspec.json.encode(singly + seqs[done:]).decode()
    kept.update(*hits.read(connection, said, (text, *where.values), ("seq",)))
    return found.those(bytes(map(kept.__contains__, found.seqs)))
