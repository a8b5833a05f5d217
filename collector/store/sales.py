"""What the dashboard asks of purchases and leads: how many, how much by what, and which. Answered
from pieces (store/sale_pieces.py), and where there is none yet from the tables: the same, later.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store.hits import Condition
from collector.store.question import Question, condition, names
from collector.store.reader import dicts, snapshot
from collector.store.sale_pieces import FIRST, LAST, OF_ITEM, PURCHASES, Sales, parts

Found = list[dict[str, Any]]


def of_purchases(
    connection: sqlite.Connection, question: Question, times: list[int] | None
) -> tuple[str, list[Any]]:
    """The condition that purchase `p`, whose event is `h`, is among those asked for; with `times`,
    of these times."""
    said, values = _timed("h.at", question, times)
    for name, value in condition(connection, question).equal:
        said += f" AND h.{name} = ?"
        values.append(value)
    return said, values


def of_leads(
    connection: sqlite.Connection, question: Question, times: list[int] | None
) -> tuple[str, list[Any]]:
    """The same of lead `p`. Leads have no number of their event: it is found by its time and
    message id."""
    said, values = _timed("p.timestamp", question, times)
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


def _timed(at: str, question: Question, times: list[int] | None) -> tuple[str, list[Any]]:
    if times is None:
        return f"{at} >= ? AND {at} < ?", [question.start, question.end]
    text = str(msgspec.json.encode(times), "utf-8")
    return f"{at} IN (SELECT value FROM json_each(?))", [text]


def _purchases_in(connection: sqlite.Connection, question: Question, piece: Sales) -> list[int]:
    return piece.rows(condition(connection, question))


def _leads_in(connection: sqlite.Connection, question: Question, piece: Sales) -> list[int]:
    where = condition(connection, question)
    if not question.filters:
        where = Condition(where.first, where.end)
    rows = piece.rows(where, "lead_")
    if question.site is not None:
        sites, texts = piece.column("lead_of"), piece.column("texts")
        rows = [i for i in rows if texts[sites[i]] == question.site]
    return rows


def _parted(
    connection: sqlite.Connection, question: Question
) -> Iterable[tuple[Question, Sales | None]]:
    for first, end, piece in parts(connection, question.start, question.end):
        yield msgspec.structs.replace(question, start=first, end=end), piece


class _Money:
    """Sums by what they are asked by and currency: micros, None where no amount is known, and how
    many."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Any, str | None], list[Any]] = defaultdict(lambda: [None, 0])

    def add(self, rows: Iterable[tuple[Any, str | None, Any, Any]]) -> None:
        sums = self._sums
        for value, currency, micros, count in rows:
            own = sums[value, currency]
            own[1] += count
            if micros is not None:
                own[0] = micros + (own[0] or 0)

    def most(self) -> list[tuple[Any, str | None, Any, Any]]:
        """The largest sum first; what has none last."""
        rows = [(*key, *amounts) for key, amounts in self._sums.items()]
        return sorted(rows, key=lambda row: (row[2] is None, -(row[2] or 0), str(row[:2])))


_BOUGHT = f"""SELECT NULL, p.currency, sum(p.total_micros), count(*) FROM {PURCHASES}
  WHERE p.counted AND {{asked}} GROUP BY 2"""


def commerce(connection: sqlite.Connection, question: Question) -> dict[str, Any]:
    """Leads, purchases, and revenue by currency. Within a transaction."""
    leads, money = 0, _Money()
    for asked, piece in _parted(connection, question):
        if piece:
            leads += len(_leads_in(connection, asked, piece))
            money.add(_of_purchases_in(connection, asked, piece))
            continue
        money.add(_rows(connection, _BOUGHT, of_purchases(connection, asked, None)))
        count = "SELECT count(*) FROM leads AS p WHERE {asked}"
        leads += _rows(connection, count, of_leads(connection, asked, None))[0][0]
    bought = money.most()
    return {
        "leads": leads,
        "purchases": sum(row[3] for row in bought),
        "revenue": [
            {"currency": currency, "micros": micros or 0, "purchases": count}
            for _, currency, micros, count in bought
        ],
    }


def _rows(
    connection: sqlite.Connection, statement: str, asked: tuple[str, list[Any]]
) -> list[tuple[Any, ...]]:
    said, values = asked
    found: list[tuple[Any, ...]] = connection.execute(
        statement.replace("{asked}", said), values
    ).fetchall()
    return found


def _counted_in(connection: sqlite.Connection, question: Question, piece: Sales) -> list[int]:
    return piece.rows(condition(connection, question).also(("counted", 1)))


def _of_purchases_in(
    connection: sqlite.Connection, question: Question, piece: Sales, by: str = ""
) -> Iterable[tuple[Any, str | None, Any, int]]:
    """Of each its value in the column `by`, currency, micros and 1."""
    rows = _counted_in(connection, question, piece)
    texts, currencies = piece.column("texts"), piece.column("currency")
    micros, values = piece.column("micros"), piece.column(by) if by else None
    for i in rows:
        yield values and values[i], texts[currencies[i]], micros[i], 1


def _of_items_in(
    connection: sqlite.Connection, question: Question, piece: Sales, by: str
) -> Iterable[tuple[Any, str | None, Any, Any]]:
    """The same of what was in them."""
    texts, currencies = piece.column("texts"), piece.column("currency")
    chosen = set(_counted_in(connection, question, piece))
    for sale, value, micros, count in zip(
        *(piece.column(f"item_{name}") for name in ("sale", by, "micros", "count")), strict=True
    ):
        if sale in chosen:
            yield texts[value], texts[currencies[sale]], micros, count


_OF_ITEMS = f"""SELECT {{by}}, currency, sum(micros), sum(count)
  FROM (SELECT p.currency AS currency, {OF_ITEM}
    FROM {PURCHASES} CROSS JOIN purchase_items AS i ON i.seq = p.seq
    WHERE p.counted AND {{asked}})
  GROUP BY 1, 2"""
_OF_TOUCH = f"""SELECT touch, currency, sum(total_micros), count(*)
  FROM (SELECT p.currency, p.total_micros, {{touch}} AS touch
    FROM {PURCHASES} WHERE p.counted AND {{asked}})
  GROUP BY 1, 2"""
_BY: dict[str, tuple[str, Callable[..., Iterable[tuple[Any, str | None, Any, Any]]]]] = {
    "product": (_OF_ITEMS.replace("{by}", "product"), _of_items_in),
    "category": (_OF_ITEMS.replace("{by}", "category"), _of_items_in),
    "first": (_OF_TOUCH.replace("{touch}", FIRST), _of_purchases_in),
    "last": (_OF_TOUCH.replace("{touch}", LAST), _of_purchases_in),
}
REVENUE_BY = tuple(_BY)


def revenue(connection: sqlite.Connection, question: Question, by: str, limit: int) -> Found:
    """Revenue by product, category, or campaign of first or last touch."""
    statement, within = _BY[by]
    money = _Money()
    with snapshot(connection):
        for asked, piece in _parted(connection, question):
            if piece:
                money.add(within(connection, asked, piece, by))
            else:
                money.add(_rows(connection, statement, of_purchases(connection, asked, None)))
        rows = money.most()[:limit]
        if by in ("first", "last"):
            texts = names(connection, [row[0] for row in rows if row[0]])
            rows = [(texts.get(row[0]), *row[1:]) for row in rows]
    columns = ("value", "currency", "micros", "count")
    return [dict(zip(columns, row, strict=True)) for row in rows]


_PURCHASES = f"""SELECT p.seq, p.message_id, p.site, p.person_id, p.timestamp, p.event, p.order_id,
    p.currency, p.total_micros, p.counted, e.email, e.user_id,
    (SELECT group_concat(coalesce(name, product_id, sku, '?'), ', ')
     FROM purchase_items AS i WHERE i.seq = p.seq) AS items
  FROM {PURCHASES} LEFT JOIN people AS e ON e.number = p.person
  WHERE {{asked}} ORDER BY h.at DESC LIMIT ?"""
_LEADS = """SELECT p.site, p.email, p.person_id, p.timestamp, p.source, p.times FROM leads AS p
  WHERE {asked} ORDER BY p.timestamp DESC LIMIT ?"""


def purchases(connection: sqlite.Connection, question: Question, limit: int) -> Found:
    """The newest."""
    return _newest(connection, question, limit, _PURCHASES, of_purchases, _purchases_in, "at")


def leads(connection: sqlite.Connection, question: Question, limit: int) -> Found:
    """The newest."""
    return _newest(connection, question, limit, _LEADS, of_leads, _leads_in, "lead_at")


def _newest(
    connection: sqlite.Connection,
    question: Question,
    limit: int,
    statement: str,
    of: Callable[..., tuple[str, list[Any]]],
    within: Callable[..., list[int]],
    at: str,
) -> Found:
    """Rows of the tables, which ones by the pieces: by a rare value all would be looked through."""
    found: Found = []
    with snapshot(connection):
        for asked, piece in _parted(connection, question):
            times = None
            if piece:
                column = piece.column(at)
                times = sorted({column[i] for i in within(connection, asked, piece)})[-limit:]
            said, values = of(connection, asked, times)
            select = statement.replace("{asked}", said)
            found += dicts(connection.execute(select, (*values, limit - len(found))))
            if len(found) >= limit:
                break
    return found
