"""What is too old leaves the log, a piece at a time; a snapshot keeps what it stood for."""

from pathlib import Path

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.event import Event
from collector.store import audiences, cursors, people, seals, whose
from collector.store.people import BLOCK, CURSOR, PROJECTED

_COLUMNS = Event.__struct_fields__
_PUT = (
    f"INSERT OR REPLACE INTO events (seq, {', '.join(_COLUMNS)}) SELECT value ->> 0, "
    + ", ".join(f"value ->> 1 ->> {i}" for i in range(len(_COLUMNS)))
    + " FROM jsonb_each(?)"
)
_encode = msgspec.json.Encoder().encode


DAY_MS = 86_400_000
_CLOCK = "retention_clock"


def believed(connection: sqlite.Connection, now_ms: int, most_ms: int) -> tuple[int, int]:
    """What retention takes for the time: now, but at most `most_ms` later than it ever took it
    for, over restarts too; and the latest that it ever was."""
    row = connection.execute(
        "SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?", (_CLOCK,)
    ).fetchone()
    time_ms = min(now_ms, row[0] + most_ms) if row else now_ms
    latest_ms = max(time_ms, row[0]) if row else now_ms
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_CLOCK, str(latest_ms)))
    return time_ms, latest_ms


def horizon(connection: sqlite.Connection, cutoff_ms: int, now_ms: int, limit: int) -> int:
    """Up to which number the log may go: older than the cutoff, and read by all who follow; at
    most `limit` events. 0 when there is nothing to do. What seems to come from beyond tomorrow
    came under a wrong clock, and goes with its neighbours."""
    row = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM (SELECT seq, "
        "max(CASE WHEN received_at <= ?4 THEN received_at END) OVER (ORDER BY seq) AS at "
        "FROM (SELECT seq, received_at FROM events ORDER BY seq LIMIT ?2)) "
        "WHERE at < ?1 AND seq <= (SELECT min(seq) FROM cursors WHERE name <> ?3)",
        (
            cutoff_ms,
            limit,
            audiences.CHANGES,
            now_ms + DAY_MS,
        ),  # CHANGES counts changes, not events
    ).fetchone()
    return int(row[0])


def surplus(connection: sqlite.Connection, most_bytes: int, limit: int) -> int:
    """Up to which number the log may go while the database holds more than `most_bytes`, the
    pages that are free not counted; at most `limit` events, and read by all who follow."""
    size, pages, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    if (pages - free) * size <= most_bytes:
        return 0
    row = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM events ORDER BY seq LIMIT ?1) "
        "WHERE seq <= (SELECT min(seq) FROM cursors WHERE name <> ?2)",
        (limit, audiences.CHANGES),
    ).fetchone()
    return int(row[0])


def expire(connection: sqlite.Connection, upto: int) -> int:
    """Take the events up to a number out of the log; returns how many."""
    with cursors.transaction(connection):
        connection.execute(audiences.EXPIRE, (upto,))
        seals.expire(connection, upto)
        whose.expire(connection, upto)
        connection.execute("DELETE FROM event_keys WHERE seq <= ?", (upto,))
        connection.execute(
            f"DELETE FROM event_blocks WHERE (block + 1 << {BLOCK}) <= ?", (upto + 1,)
        )
        return int(connection.execute("DELETE FROM events WHERE seq <= ?", (upto,)).rowcount)


def give_back(connection: sqlite.Connection, pages: int) -> int:
    """Hand free pages back to the file system, the file getting shorter; returns how many are
    left. Databases of before version 0.2 keep theirs, for new events."""
    connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        return 0
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def put_events(connection: sqlite.Connection, rows: list[cursors.Row]) -> None:
    """Events under their own numbers, in the snapshot's log."""
    text = str(_encode([(row.seq, row.event) for row in rows]), "utf-8")
    connection.execute(_PUT, (text,))


def restore(connection: sqlite.Connection, snapshot: Path) -> int:
    """Fill the projected tables, which are empty, from the snapshot; returns its horizon."""
    connection.execute("ATTACH DATABASE ? AS snapshot", (str(snapshot),))
    try:
        with cursors.transaction(connection):
            for table in PROJECTED:
                columns = ", ".join(
                    row[1] for row in connection.execute(f"PRAGMA table_info({table})")
                )
                connection.execute(
                    f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM snapshot.{table}"
                )
            row = connection.execute(
                "SELECT seq FROM snapshot.cursors WHERE name = ?", (CURSOR,)
            ).fetchone()
            at = int(row[0]) if row else 0
            people.begin(connection, at)
    finally:
        connection.execute("DETACH DATABASE snapshot")
    return at
