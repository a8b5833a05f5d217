"""The log as a spool: its size, and making room at its old end."""

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store.arrivals import Absent, write_absent
from collector.store.cursors import transaction

_PAGES = 100  # given back in one go
_SIZE = (
    "SELECT (page_count - freelist_count) * page_size "
    "FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)


class Dropped(msgspec.Struct, frozen=True):
    deleted: int
    lost: int


def measure(connection: sqlite.Connection, delivered: int) -> tuple[int, int | None]:
    """Bytes that are in use, and when the oldest event that is not delivered came."""
    size = int(connection.execute(_SIZE).fetchone()[0])
    row = connection.execute(
        "SELECT received_at FROM events WHERE seq > ? ORDER BY seq LIMIT 1", (delivered,)
    ).fetchone()
    return size, row and int(row[0])


def expire(connection: sqlite.Connection, delivered: int, until: int, limit: int) -> int:
    """Delete at most so many of the oldest events, up to that number and time of arrival."""
    last = connection.execute(
        "SELECT max(seq) FROM (SELECT seq, received_at FROM events WHERE seq <= ? "
        "ORDER BY seq LIMIT ?) WHERE received_at < ?",
        (delivered, limit, until),
    ).fetchone()[0]
    if last is None:
        return 0
    return int(connection.execute("DELETE FROM events WHERE seq <= ?", (last,)).rowcount)


def drop_oldest(connection: sqlite.Connection, node_id: str, delivered: int, limit: int) -> Dropped:
    """Delete so many of the oldest events; those that were not delivered are noted as dropped."""
    rows = connection.execute("SELECT seq FROM events ORDER BY seq LIMIT ?", (limit,)).fetchall()
    if not rows:
        return Dropped(0, 0)
    first, last = rows[0][0], rows[-1][0]
    lost = sum(1 for (seq,) in rows if seq > delivered)
    with transaction(connection):
        connection.execute("DELETE FROM events WHERE seq <= ?", (last,))
        if lost:
            from_number = max(first, delivered + 1)
            write_absent(connection, [Absent(node_id, from_number, last, "dropped")])
    return Dropped(len(rows), lost)


def give_back(connection: sqlite.Connection) -> bool:
    """Return free pages at the file's end to the disk, a few at a time; True while there are
    more. Does nothing in a file that an older version made."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        return False
    before = connection.execute("PRAGMA freelist_count").fetchone()[0]
    if before < _PAGES:
        return False
    connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
    return bool(connection.execute("PRAGMA freelist_count").fetchone()[0] < before)
