"""What the dashboard's overview asks: from the rollups as long as nothing but a site is chosen,
else from the hits. Both give what a query over `events` gives.
"""

import itertools
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store.rollups import (
    DIMENSIONS,
    EVENTS,
    LEVELS,
    SET_LEVELS,
    SLOT_MS,
    TOTAL,
    VIEWS,
)

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


def _number(connection: sqlite.Connection, text: str) -> int:
    """Of a name; 0 for none, -1 for what was never seen."""
    if not text:
        return 0
    row = connection.execute(
        "SELECT number FROM rollup_names WHERE text = ?", (text[:_LONGEST_NAME],)
    ).fetchone()
    return int(row[0]) if row else -1


def pieces(first: int, end: int, levels: Sequence[int] = LEVELS) -> Iterator[tuple[int, int, int]]:
    """A range of slots as ranges of whole units, each of a level as high as fits."""
    if first >= end:
        return
    level = levels[-1]
    lower = levels[:-1]
    inner, outer = -(-first // level) * level, end // level * level
    if inner >= outer or not lower:
        yield from pieces(first, end, lower) if lower else [(level, first, end)]
        return
    yield from pieces(first, inner, lower)
    yield level, inner, outer
    yield from pieces(outer, end, lower)


def _where(connection: sqlite.Connection, question: Question) -> tuple[str, list[Any]]:
    """The condition on hits."""
    first, end = question.slots
    said, values = ["slot >= ? AND slot < ?"], [first, end]
    if not question.bots:
        said.append("bot = 0")
    if question.site is not None:
        said.append("site = ?")
        values.append(_number(connection, question.site))
    for dimension, text in question.filters.items():
        said.append(f"{dimension} = ?")
        values.append(_number(connection, text))
    return " AND ".join(said), values


def _rolled(
    connection: sqlite.Connection, question: Question, dimension: int, columns: str, group: str
) -> list[tuple[Any, ...]]:
    """Rows of the rollups over the question's range."""
    site = None if question.site is None else _number(connection, question.site)
    text = msgspec.json.encode(list(pieces(*question.slots))).decode()
    rows: list[tuple[Any, ...]] = connection.execute(
        f"""SELECT {columns} FROM json_each(?1) AS j CROSS JOIN (SELECT 0 AS b UNION SELECT ?2)
        CROSS JOIN rollups AS r ON r.bot = b AND r.dimension = ?3 AND r.level = j.value ->> 0
          AND r.start >= j.value ->> 1 AND r.start < j.value ->> 2
        WHERE ?4 IS NULL OR r.site = ?4 {group}""",
        (text, int(question.bots), dimension, site),
    ).fetchall()
    return rows


def totals(connection: sqlite.Connection, question: Question) -> dict[str, Any]:
    """Visitors, views, events, leads, purchases and revenue by currency."""
    if question.filters:
        where, values = _where(connection, question)
        views, events, visitors = connection.execute(
            f"SELECT coalesce(sum(view), 0), count(*), count(DISTINCT nullif(visitor, 0)) "
            f"FROM hits WHERE {where}",
            values,
        ).fetchone()
    else:
        counted = dict(
            _rolled(connection, question, TOTAL, "r.value, sum(r.count)", "GROUP BY r.value")
        )
        views, events = counted.get(VIEWS, 0), counted.get(EVENTS, 0)
        visitors = len(_visitors(connection, question))
    return {
        "visitors": visitors,
        "views": views,
        "events": events,
        **_commerce(connection, question),
    }


def _visitors(connection: sqlite.Connection, question: Question) -> set[int]:
    site = None if question.site is None else _number(connection, question.site)
    text = msgspec.json.encode(list(pieces(*question.slots, SET_LEVELS))).decode()
    found: set[int] = set()
    for (blob,) in connection.execute(
        """SELECT r.visitors FROM json_each(?1) AS j CROSS JOIN (SELECT 0 AS b UNION SELECT ?2)
        CROSS JOIN rollup_sets AS r ON r.bot = b AND r.level = j.value ->> 0
          AND r.start >= j.value ->> 1 AND r.start < j.value ->> 2
        WHERE ?3 IS NULL OR r.site = ?3""",
        (text, int(question.bots), site),
    ):
        found.update(array("I", blob))
    return found


def _hit(connection: sqlite.Connection, question: Question, of: str) -> tuple[str, list[Any]]:
    """The condition that an event of row `of` is among those asked for."""
    said, values = "", []
    for dimension, text in question.filters.items():
        said += f" AND h.{dimension} = ?"
        values.append(_number(connection, text))
    if not question.bots:
        said += " AND h.bot = 0"
    return f" AND EXISTS (SELECT 1 FROM hits AS h WHERE {of}{said})", values


def of_purchases(connection: sqlite.Connection, question: Question) -> tuple[str, list[Any]]:
    """The condition that the event of purchase `p` is among those asked for."""
    return _hit(connection, question, f"h.slot = p.timestamp / {SLOT_MS} AND h.seq = p.seq")


def of_leads(connection: sqlite.Connection, question: Question) -> tuple[str, list[Any]]:
    """The same of lead `p`. Leads have no number of their event: it is found by its message id."""
    if not question.filters:
        return "", []
    event = f"h.slot = p.timestamp / {SLOT_MS} AND EXISTS (SELECT 1 FROM events AS e"
    event += " WHERE e.seq = h.seq AND e.message_id = p.message_id AND e.site = p.site)"
    return _hit(connection, question, event)


def _commerce(connection: sqlite.Connection, question: Question) -> dict[str, Any]:
    site = "" if question.site is None else " AND p.site = ?"
    bounds = [question.start, question.end] + ([] if question.site is None else [question.site])
    hit, values = of_purchases(connection, question)
    bought = connection.execute(
        f"""SELECT p.currency, count(*), coalesce(sum(p.total_micros), 0) FROM purchases AS p
        WHERE p.timestamp >= ? AND p.timestamp < ? AND p.counted{site}{hit}
        GROUP BY p.currency ORDER BY 3 DESC""",
        [*bounds, *values],
    ).fetchall()
    hit, values = of_leads(connection, question)
    leads = connection.execute(
        f"SELECT count(*) FROM leads AS p WHERE p.timestamp >= ? AND p.timestamp < ?{site}{hit}",
        [*bounds, *values],
    ).fetchone()[0]
    return {
        "leads": leads,
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
    views, events, visitors = [], [], []
    for start, end in itertools.pairwise(bounds):
        part = msgspec.structs.replace(question, start=start, end=end)
        if question.filters:
            where, values = _where(connection, part)
            row = connection.execute(
                f"SELECT coalesce(sum(view), 0), count(*), count(DISTINCT nullif(visitor, 0)) "
                f"FROM hits WHERE {where}",
                values,
            ).fetchone()
        else:
            counted = dict(
                _rolled(connection, part, TOTAL, "r.value, sum(r.count)", "GROUP BY r.value")
            )
            row = counted.get(VIEWS, 0), counted.get(EVENTS, 0), len(_visitors(connection, part))
        views.append(row[0])
        events.append(row[1])
        visitors.append(row[2])
    return {"views": views, "events": events, "visitors": visitors}


def top(
    connection: sqlite.Connection, question: Question, dimension: str, limit: int
) -> list[dict[str, Any]]:
    """The values of a dimension with their counts: of `event` and `type` events, of the others
    page views. The value `` is none."""
    number = DIMENSIONS.index(dimension) + 1
    if question.filters:
        where, values = _where(connection, question)
        of = {"event": "event <> 0", "type": "true"}.get(dimension, "view = 1")
        if "event" in question.filters and of == "view = 1":
            of = "true"  # where an event is chosen, it is what is counted
        rows = connection.execute(
            f"SELECT {dimension}, count(*) FROM hits WHERE {where} AND {of} "
            f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?",
            [*values, limit],
        ).fetchall()
    else:
        rows = _rolled(
            connection,
            question,
            number,
            "r.value, sum(r.count)",
            f"GROUP BY r.value ORDER BY 2 DESC, 1 LIMIT {int(limit)}",
        )
    texts = names(connection, [row[0] for row in rows])
    return [{"value": texts.get(value, ""), "count": count} for value, count in rows]


def names(connection: sqlite.Connection, numbers: list[int]) -> dict[int, str]:
    text = msgspec.json.encode(numbers).decode()
    return dict(
        connection.execute(
            "SELECT n.number, n.text FROM json_each(?) AS j "
            "CROSS JOIN rollup_names AS n ON n.number = j.value",
            (text,),
        ).fetchall()
    )
