"""Who viewed a path or did what a track is called, and when: without looking through all hits."""

from collections.abc import Container, Iterator

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store import hits
from collector.store.hits import DIMENSIONS, SLOT_MS
from collector.store.levels import STARTS, Asked, filled
from collector.store.reports import Question, condition, number_of
from collector.store.sums import DAY, Marks

_HIT: dict[str, tuple[tuple[str, int], ...]] = {"path": (("view", 1),), "event": ()}
_FEW = 20_000  # are looked up one by one


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
    found = Marks()
    for day in _days(connection, question, kind, number, most):
        if most is not None and len(found.seqs) >= most:
            break
        if who is not None:
            day = day.pick([i for i, visitor in enumerate(day.visitors) if visitor in who])
        found.extend(day)
    if question.filters:
        found = _among(connection, question, found)
    where = condition(connection, question).also(*_HIT[kind], (kind, number))
    for columns in hits.scan(connection, where, ("visitor", "at", "seq"), after):
        found.extend(Marks.of(*columns))
    return found


def _days(
    connection: sqlite.Connection, question: Question, kind: str, number: int, most: int | None
) -> Iterator[Marks]:
    """What is added up, the newest days first; where a few are enough one after the other."""
    site = None if question.site is None else number_of(connection, question.site)
    asked = Asked(DIMENSIONS.index(kind) + 1, number, site, question.bots)
    first, end = question.slots
    oldest, newest = filled(connection)
    days = range(max(first, oldest) // DAY * DAY, min(end, newest + 1), DAY)[::-1]
    said, row, columns = f"done IN (0, 1) AND {STARTS}", tuple[int, str], "start, hex(marks)"
    for some in [days] if most is None else ([day] for day in days):
        parts: dict[int, Marks] = {day: Marks() for day in some}
        for start, packed in asked.rows(connection, row, columns, "rollup_marks", said, some):
            parts[start].extend(Marks(bytes.fromhex(packed)))
        for start, marks in parts.items():
            if start < first or start + DAY > end:
                marks = marks.pick(
                    [i for i, at in enumerate(marks.at) if first * SLOT_MS <= at < end * SLOT_MS]
                )
            yield marks


def _among(connection: sqlite.Connection, question: Question, found: Marks) -> Marks:
    """Those of them that the filters let through."""
    where, seqs = condition(connection, question), found.seqs.tolist()
    kept: set[int] = set()
    if len(seqs) > _FEW:
        wanted = set(seqs)
        for (passed,) in hits.scan(connection, where, ("seq",)):
            kept |= wanted.intersection(passed)
    else:
        said = f"seq IN (SELECT value FROM json_each(?)) AND {where.said}"
        text = msgspec.json.encode(seqs).decode()
        kept.update(*hits.read(connection, said, (text, *where.values), ("seq",)))
    return found.pick([i for i, seq in enumerate(found.seqs) if seq in kept])
