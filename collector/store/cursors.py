"""Readers of the log: each one's cursor, and the events that lie beyond it.

Invariant: a cursor moves only in the transaction that holds the work it stands for, so whoever
was killed goes on where the work ended. A reader without a cursor begins at the log's start.
"""

import contextlib
from collections.abc import Iterator

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.event import Event

_NORMAL = 1  # of PRAGMA synchronous
_COLUMNS = ", ".join(Event.__struct_fields__)
# Both bounds on seq: what is committed but not yet announced is left for the next step.
_AFTER = (
    f"SELECT seq, {_COLUMNS} FROM events WHERE seq > ? AND seq <= ? "  # noqa: S608
    "ORDER BY seq LIMIT ?"
)


class Row(msgspec.Struct, frozen=True, gc=False):
    """An event of the log with its number."""

    seq: int
    event: Event


def position(connection: sqlite.Connection, name: str) -> int:
    """The number of the last event that reader `name` is done with; 0 at its beginning."""
    row = connection.execute("SELECT seq FROM cursors WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def move(connection: sqlite.Connection, name: str, seq: int) -> None:
    """Set the cursor; inside the transaction of the work it stands for."""
    connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (name, seq))


def events_after(connection: sqlite.Connection, seq: int, last_seq: int, limit: int) -> list[Row]:
    """At most `limit` events with `seq` < number <= `last_seq`, in order; numbers have gaps."""
    rows = connection.execute(_AFTER, (seq, last_seq, limit)).fetchall()
    return [Row(row[0], Event(*row[1:])) for row in rows]


@contextlib.contextmanager
def transaction(connection: sqlite.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT on the writing connection; undone when the body raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def derived(connection: sqlite.Connection) -> Iterator[None]:
    """A transaction of what is made from the log, and can be again: its commit does not wait for
    the disk. A power cut may take it back, then with all that came later: the next commit that
    does wait takes along what stands before it in the write-ahead log."""
    level = connection.execute("PRAGMA synchronous").fetchone()[0]
    connection.execute(f"PRAGMA synchronous = {min(level, _NORMAL)}")
    try:
        with transaction(connection):
            yield
    finally:
        connection.execute(f"PRAGMA synchronous = {level}")
