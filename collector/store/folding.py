"""The write-ahead log is brought into the database file by a connection of its own, while the
writing one goes on: done by a commit, as SQLite does it by itself, it was two further syncs and
16 MB for whoever waited for that commit: with syncs of 20 ms, 60 ms in each 850.

A log that is always written to never comes to an end in that way, and grows. So from time to time
the writing connection does the rest, what came during the last folding, and the log begins anew.
SQLite syncs the file only then: what was folded back before is synced here, or that commit would
wait for all of it (35 to 60 ms for 128 MB on a fast disk).
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
from pysqlite3 import dbapi2 as sqlite

from collector.store.failures import IOERR_FSYNC, made

log = logging.getLogger(__name__)

# SQLite before 3.51.3 can corrupt a database whose log begins anew just when another connection
# folds it back (https://sqlite.org/wal.html#walresetbug): there the writing one does it alone.
_SOUND = sqlite.sqlite_version_info >= (3, 51, 3)
_PATIENCE_S = 5.0
# Times store.checkpoint_pages. The rest takes two syncs in which nothing is inserted: at 16 once in
# 256 MB, p99 with syncs of 20 ms is 64 ms, at 8 it was 66 to 95.
SOFT_LIMIT = 16  # the writing connection does the rest
HARD_LIMIT = 32 if _SOUND else 1  # it does all


class Folding:
    """Used on the loop; `file`: a descriptor of the database, `every`: pages of the write-ahead
    log."""

    def __init__(self, path: Path, file: int, every: int) -> None:
        self._path = path
        self._file = file
        self._every = every
        self._seen = 0
        self._connection: aiosqlite.Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def look(self, pages: int, finish: Callable[[], None]) -> None:
        """After a commit: `pages` are in the log. Begins to fold back where it is time, and in
        the end has the writing connection `finish` where the log is long."""
        if pages < self._seen:  # it has begun anew
            self._seen = 0
        if _SOUND and pages - self._seen >= self._every and self._task is None:
            self._task = asyncio.create_task(self._fold(pages, finish), name="folding")

    async def _fold(self, pages: int, finish: Callable[[], None]) -> None:
        try:
            connection = self._connection or await self._connect()
            # As far as readers let it; what they hold back is tried again with the next pages.
            self._seen = await _on(connection, _fold_back, connection._conn, self._file)
            self._failing = False
            if pages >= SOFT_LIMIT * self._every:
                finish()
        except (
            sqlite.Error,
            OSError,
            RuntimeError,
        ) as error:  # nothing is lost by it: the log grows, commits tell of it
            self._seen = pages
            if not self._failing:
                log.warning("the write-ahead log cannot be folded back: %s", error)
            self._failing = True
        finally:
            self._task = None

    async def _connect(self) -> aiosqlite.Connection:
        self._connection = await aiosqlite.Connection(
            lambda: sqlite.connect(self._path, isolation_level=None, check_same_thread=False), 64
        )
        return self._connection

    async def close(self) -> None:
        if self._task:
            await self._task
        if self._connection:
            await self._connection.close()


async def _on(connection: aiosqlite.Connection, *work: Any) -> Any:
    execute: Any = connection._execute
    return await execute(*work)


def _fold_back(connection: sqlite.Connection, file: int) -> int:
    """The pages in the log."""
    pages = int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])
    os.fdatasync(file)
    return pages


def settle(connection: sqlite.Connection, path: Path) -> bool:
    """`empty`, and on disk whatever was in the log, be it only in the system's memory, as after a
    kill. SQLite does not sync the cutting off itself: a log that came back after a sync that
    failed, with a hole, would be laid over what is newer."""
    emptied = empty(connection)
    try:
        file = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)  # SQLite's locks are on other files
        try:
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise made(IOERR_FSYNC, f"sync: {error.strerror}") from error
    return emptied


def empty(connection: sqlite.Connection) -> bool:
    """Fold all back and cut the log off; whether that could be done. SQLite itself waits for
    readers, but not for another connection that is folding back."""
    until = time.monotonic() + _PATIENCE_S
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
