"""Who viewed a path or did what a track is called, and when: without looking through all hits."""

from collections.abc import Container, Iterator

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store import hits
from collector.store.hits import DIMENSIONS, SLOT_MS
from collector.store.reports import Asked, Question, condition, number_of
from collector.store.sums import DAY, Marks

_HIT = {"path": "view = 1 AND path = ?", "event": "event = ?"}


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
    for day in _days(connection, question, kind, number):
        if most is not None and len(found.seqs) >= most:
            break
        if who is not None:
            day = day.pick([i for i, visitor in enumerate(day.visitors) if visitor in who])
        found.extend(day)
    if question.filters:
        found = _among(connection, question, found)
    where = condition(connection, question)
    where = msgspec.structs.replace(
        where, said=f"{where.said} AND {_HIT[kind]}", values=(*where.values, number)
    )
    for columns in hits.scan(connection, where, ("visitor", "at", "seq"), after):
        found.extend(Marks.of(*columns))
    return found


def _days(
    connection: sqlite.Connection, question: Question, kind: str, number: int
) -> Iterator[Marks]:
    """What is added up, the newest days first."""
    site = None if question.site is None else number_of(connection, question.site)
    asked = Asked(DIMENSIONS.index(kind) + 1, number, site, question.bots)
    first, end = question.slots
    said = "start > ? AND start < ? ORDER BY start DESC"
    rows = asked.rows(
        connection, tuple[int, str], "start, hex(marks)", "rollup_marks", said, first - DAY, end
    )
    day, last = Marks(), -1
    for start, packed in rows:
        if start != last:
            yield day
            day, last = Marks(), start
        marks = Marks(bytes.fromhex(packed))
        if start < first or start + DAY > end:
            marks = marks.pick(
                [i for i, at in enumerate(marks.at) if first * SLOT_MS <= at < end * SLOT_MS]
            )
        day.extend(marks)
    yield day


def _among(connection: sqlite.Connection, question: Question, found: Marks) -> Marks:
    """Those of them that the filters let through."""
    where = condition(connection, question)
    text = msgspec.json.encode(found.seqs.tolist()).decode()
    row = connection.execute(
        "SELECT json_group_array(seq) FROM (SELECT value FROM json_each(?)) AS j "
        "CROSS JOIN hits ON seq = j.value "
        f"WHERE {where.said}",
        (text, *where.values),
    ).fetchone()
    kept = set(msgspec.json.decode(row[0], type=list[int]))
    return found.pick([i for i, seq in enumerate(found.seqs) if seq in kept])
