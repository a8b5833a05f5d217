"""Purchases and leads of eight days by columns, with the values that they are asked by, their
items, and the campaigns that their visitor came by first and last.

Invariant: a piece says what the tables say. Whatever is changed there takes the piece away
(triggers of its migration, and `touched`), and it is made again. Only hits that are too old to be
kept leave it as it is: it still knows by which campaign a visitor came.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store import cursors
from collector.store.hits import DIMENSIONS, Condition

DAY_MS = 86_400_000
SPAN_MS = 8 * DAY_MS
_SETTLED_MS = DAY_MS  # after its end most of what comes late has come
_EQUAL = ("bot", "site", *DIMENSIONS)
_encode = msgspec.msgpack.Encoder().encode
_raw = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.msgpack.Decoder(list[Any]).decode


class Sales:
    """A piece. Columns of purchases, of their items (`item_…`, with the purchase's place) and of
    leads (`lead_…`); each is decoded when it is asked for. Texts are places in `texts`."""

    def __init__(self, content: bytes) -> None:
        self._columns = _raw(content)

    def column(self, name: str) -> list[Any]:
        return _list(self._columns[name])

    def rows(self, where: Condition, of: str = "") -> list[int]:
        """The places of purchases, or with `lead_` of leads, for which this holds."""
        start, end = where.times
        rows = [i for i, at in enumerate(self.column(f"{of}at")) if start <= at < end]
        for name, value in where.equal:
            column = self.column(f"{of}{name}")
            rows = [i for i in rows if column[i] == value]
        return rows


# A touch: the visitor's first or last view before the purchase that came by a campaign.
_TOUCH = """(SELECT t.campaign FROM hits AS t
  WHERE t.visitor = h.visitor AND h.visitor <> 0 AND t.campaign <> 0
    AND (t.at, t.seq) <= (h.at, h.seq) ORDER BY t.at {order}, t.seq {order} LIMIT 1)"""
FIRST, LAST = _TOUCH.replace("{order}", "ASC"), _TOUCH.replace("{order}", "DESC")
# A purchase is asked for by its event, in order of time; it has that one's number and time.
PURCHASES = """hit_sales AS h INDEXED BY hit_sales_by_time
  CROSS JOIN purchases AS p ON p.seq = h.seq"""
OF_ITEM = """coalesce(i.name, i.product_id, i.sku) AS product, i.category AS category,
  i.price_micros * coalesce(i.quantity, 1) AS micros, coalesce(i.quantity, 1) AS count"""
_OF_EVENT = ", ".join(f"h.{name}" for name in _EQUAL)
_WITHIN = "h.at >= ?1 AND h.at < ?2 ORDER BY h.at, h.seq"
_SALES = f"""SELECT h.at, {_OF_EVENT}, p.counted, p.currency, p.total_micros AS micros,
  {FIRST} AS first, {LAST} AS last FROM {PURCHASES} WHERE {_WITHIN}"""
_ITEMS = f"""SELECT s.place AS sale, {OF_ITEM}
  FROM (SELECT h.seq, row_number() OVER (ORDER BY h.at, h.seq) - 1 AS place
    FROM {PURCHASES} WHERE {_WITHIN}) AS s
  CROSS JOIN purchase_items AS i ON i.seq = s.seq"""
_LEADS = f"""SELECT p.timestamp AS at, p.site AS of, {_OF_EVENT} FROM leads AS p
  LEFT JOIN hit_sales AS h INDEXED BY hit_sales_by_time
    ON h.at = p.timestamp AND h.message_id = p.message_id AND h.site_name = p.site
  WHERE p.timestamp >= ?1 AND p.timestamp < ?2 GROUP BY p.site, p.email"""
_TEXTS = ("currency", "item_product", "item_category", "lead_of")


def made(connection: sqlite.Connection, number: int) -> bytes:
    """The piece, as the tables are now."""
    columns: dict[str, list[Any]] = {}
    for of, select in (("", _SALES), ("item_", _ITEMS), ("lead_", _LEADS)):
        found = connection.execute(select, (number * SPAN_MS, (number + 1) * SPAN_MS))
        rows = found.fetchall()
        for place, (name, *_) in enumerate(found.description):
            columns[f"{of}{name}"] = [row[place] for row in rows]
    texts: dict[str | None, int] = {}
    for name in _TEXTS:
        columns[name] = [texts.setdefault(text, len(texts)) for text in columns[name]]
    return _encode(columns | {"texts": list(texts)})


class Piece(msgspec.Struct):
    """What one transaction writes: `content` is empty where it is announced only."""

    number: int
    content: bytes = b""


_UNMADE = """WITH RECURSIVE filled (number) AS (
    SELECT min(at) / ?1 FROM hit_sales WHERE at >= 0
    UNION ALL SELECT (SELECT min(at) / ?1 FROM hit_sales WHERE at >= (number + 1) * ?1)
      FROM filled WHERE number IS NOT NULL)
  SELECT f.number, p.content IS NOT NULL FROM filled AS f
  LEFT JOIN sale_pieces AS p ON p.number = f.number
  WHERE f.number < ?2 AND coalesce(p.content, x'') = x'' LIMIT 1"""


def plan(connection: sqlite.Connection, now: int) -> Piece | None:
    """What is to be made next, at `now` (milliseconds); None when there is all. First the piece is
    announced: if it is still there when it was made, nothing was changed meanwhile. Of one
    moment: within a transaction."""
    row = connection.execute(_UNMADE, (SPAN_MS, (now - _SETTLED_MS) // SPAN_MS)).fetchone()
    if not row:
        return None
    number, announced = row
    return Piece(number, made(connection, number) if announced else b"")


def apply(connection: sqlite.Connection, piece: Piece) -> None:
    with cursors.derived(connection):
        if piece.content:
            connection.execute(
                "UPDATE sale_pieces SET content = ?2 WHERE number = ?1 AND content = x''",
                (piece.number, piece.content),
            )
        else:
            connection.execute("INSERT OR IGNORE INTO sale_pieces VALUES (?, x'')", (piece.number,))


_TOUCHED = f"""DELETE FROM sale_pieces WHERE number IN (
  SELECT s.at / {SPAN_MS} FROM hits AS t NOT INDEXED
  CROSS JOIN hit_sales AS s INDEXED BY hit_sales_by_visitor
    ON s.visitor = t.visitor AND s.at >= t.at
  WHERE {{which}} AND t.campaign <> 0 AND t.visitor <> 0
    AND t.at < (SELECT max(number) + 1 FROM sale_pieces) * {SPAN_MS})"""


def touched(connection: sqlite.Connection, which: str, values: tuple[object, ...]) -> None:
    """Hits `t`, of which `which` (SQL) holds, came late or go: the pieces with what their
    visitors bought after them. Within a transaction."""
    connection.execute(_TOUCHED.replace("{which}", which), values)


def parts(
    connection: sqlite.Connection, start: int, end: int
) -> Iterator[tuple[int, int, Sales | None]]:
    """The time from `start` to before `end` (milliseconds) in parts, the newest first: with a
    piece, or with none where the tables are to be asked."""
    for number, content in connection.execute(
        "SELECT number, content FROM sale_pieces "
        "WHERE number >= ? AND number < ? AND content <> x'' ORDER BY number DESC",
        (start // SPAN_MS, -(-end // SPAN_MS)),
    ):
        first, last = max(start, number * SPAN_MS), min(end, (number + 1) * SPAN_MS)
        if last < end:
            yield last, end, None
        yield first, last, Sales(content)
        end = first
    if start < end:
        yield start, end, None
