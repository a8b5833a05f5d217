"""What hits are added up by: quarters of an hour of all, hours of each value, days; and once a
month (of 32 days) is over, by what store/months.py makes of it. Which of these a range of slots is
made of, and reading them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store.reader import rows_at_once
from collector.store.sums import DAY, HOUR, MONTH, WEEK, finest

# What there is of cells in months, beside the days: weeks, since a range begins where it likes.
OF_CELLS = (HOUR, WEEK, MONTH)
# What is kept of the hits of a month's marks, in the order of the table's columns.
OF_MARKS = ("device", "browser", "country", "type", "referrer", "campaign", "event", "path")


def pieces(first: int, end: int, levels: Sequence[int]) -> Iterator[tuple[int, int, int]]:
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


def units(
    first: int,
    end: int,
    levels: Sequence[int],
    months: Collection[int],
    more: Sequence[int] = (MONTH,),
) -> Iterator[tuple[int, int, int]]:
    """The same, of `levels` as far as days, and in `months` of `more`."""
    within = sorted({*levels, *more})
    for month in range(first // MONTH * MONTH, end, MONTH):
        own = within if month in months else levels
        yield from pieces(max(first, month), min(end, month + MONTH), own)


def ready(connection: sqlite.Connection) -> frozenset[int]:
    """The months that are added up."""
    rows = connection.execute("SELECT start FROM months WHERE ready").fetchall()
    return frozenset(start for (start,) in rows)


def unready(connection: sqlite.Connection, slots: Iterable[int]) -> None:
    """The days of these slots have changed. Within the transaction that changes them."""
    starts = starts_of({slot // MONTH * MONTH for slot in slots})
    connection.execute(f"DELETE FROM months WHERE {STARTS}", (starts,))


def filled(connection: sqlite.Connection) -> tuple[int, int]:
    """The first and the last slot with something in the rollups."""
    row = connection.execute(
        "SELECT (SELECT min(start) FROM rollups WHERE dimension = 0 AND level = 1), "
        "(SELECT max(start) FROM rollups WHERE dimension = 0 AND level = 1)"
    ).fetchone()
    return (row[0], row[1]) if row[0] is not None else (0, -1)


def rounded(whole: tuple[int, int], first: int, end: int) -> tuple[int, int]:
    """A range of slots, as far as they are filled (`whole`), with whole units at its ends where
    nothing is beyond: so today is read as a day in every zone, and the first month as one."""
    oldest, newest = whole
    if first <= oldest:
        first = oldest // MONTH * MONTH
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
        starts: Iterable[int],
    ) -> list[Any]:
        """Rows with `columns`, blobs as hexadecimal text, at once: of many small ones."""
        select = f"SELECT json_array({columns}) AS j FROM {table} WHERE {self._said} AND {said}"
        return rows_at_once(connection, select, self._values(starts), row)

    def each(
        self,
        connection: sqlite.Connection,
        columns: str,
        table: str,
        starts: Iterable[int],
        said: str = STARTS,
    ) -> Iterator[Any]:
        """The same, row by row: of a few with large blobs."""
        select = f"SELECT {columns} FROM {table} WHERE {self._said} AND {said}"
        yield from connection.execute(select, self._values(starts))

    def cells(
        self, connection: sqlite.Connection, level: int, first: int, end: int
    ) -> Iterator[tuple[int, int, bytes]]:
        """Events, views and visitors."""
        said, starts = f"level = {level} AND {STARTS}", range(first, end, level)
        table = "rollups" if level in (finest(self.dimension), DAY) else "month_cells"
        if level >= DAY:
            yield from self.each(connection, "events, views, visitors", table, starts, said)
            return
        columns = "events, views, hex(visitors)"
        for events, views, visitors in self.rows(connection, _CELL, columns, table, said, starts):
            yield events, views, bytes.fromhex(visitors)

    def _values(self, starts: Iterable[int]) -> tuple[int, int, str]:
        return self.dimension, self.value, starts_of(starts)

    @property
    def _said(self) -> str:
        site = "" if self.site is None else f" AND site = {self.site}"
        return f"dimension = ? AND value = ?{site}{'' if self.bots else ' AND bot = 0'}"
