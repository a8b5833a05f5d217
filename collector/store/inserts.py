"""Batches of events alone, the common case, to the writing thread and back without the interpreter
lock (c/inserts.c): while the loop is busy the thread gets it after 5 ms, and needed it three times
a transaction. All other work goes to the same thread through aiosqlite, in turn.

Their commits are not synced each by itself: what is inserted while a sync is under way is on disk
with the next one. Nobody is told before; the events are in the log then, and not yet `durable`.

Invariant: after a sync that failed nothing is inserted until the write-ahead log has been folded
back as a whole and begun anew: what the kernel has of it may not be what the disk has.
"""

import asyncio
import logging
import os
from collections import deque
from pathlib import Path
from typing import Any

import aiosqlite
from pysqlite3 import dbapi2 as sqlite

from collector import compiled
from collector.store.failures import IOERR_FSYNC, made
from collector.store.folding import HARD_LIMIT, Folding, settle

log = logging.getLogger(__name__)

Durable = asyncio.Future[None]
_FULL = 2  # of PRAGMA synchronous


class Inserts:
    """`await inserts(…)` is one transaction, and one at a time; `begin` makes it."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        made: compiled.Inserts,
        files: list[int],
        folding: Folding,
    ) -> None:
        """`files`: both ends of the pipe and the write-ahead log, which are closed in the end."""
        self._connection = connection
        self._made = made
        self._files = files
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(files[0], self._told)
        self._inserting: asyncio.Future[None] | None = None
        self._syncing: deque[tuple[int, Durable]] = deque()
        self._folding = folding
        self.leave = made.leave  # the thread, for other work

    async def __call__(
        self,
        statement: int,
        events: bytes,
        first_seq: int,
        count: int,
        node_id: bytes,
        mark: int,
    ) -> None:
        """Returns when they are committed; see `durable`. Raises SQLite's error, with its code."""
        absent = self._made.put(statement, events, first_seq, count, node_id, mark)
        self._inserting = self._loop.create_future()
        if absent:
            self._connection._tx.put_nowait((None, self._made.serve))
        await self._inserting

    def durable(self) -> Durable | None:
        """Done when all that was inserted so far is on disk, with SQLite's error where it cannot
        be had there; None where it is already."""
        inserted, synced, failed = self._made.synced()
        if synced == inserted and not failed:
            return None
        if self._syncing and self._syncing[-1][0] == inserted:
            return self._syncing[-1][1]
        future = self._loop.create_future()
        self._syncing.append((inserted, future))
        if failed:
            self.tell_synced()
        return future

    @property
    def failed(self) -> bool:
        return self._made.synced()[2] != 0

    def recover(self, connection: sqlite.Connection, path: Path) -> bool:
        """On the writing thread, after a sync that failed; whether it could be done. In one job:
        what is inserted next has its own sync to wait for. `tell_synced` afterwards."""
        if not settle(connection, path):
            return False
        if self.failed:
            try:
                connection.execute("PRAGMA synchronous = FULL")  # where leaving could not set it
            except sqlite.Error as error:
                raise made(IOERR_FSYNC, f"syncs cannot be had: {error}") from error
        self._made.recovered()
        return True

    def look(self) -> None:
        """At how long the write-ahead log is, by whomever."""
        self._folding.look(self._made.pages, self._made.finish)

    def _told(self) -> None:
        os.read(self._files[0], 64)
        outcome, inserting = self._made.outcome(), self._inserting
        if outcome is not None:
            self.look()
            if inserting is not None and not inserting.done():
                _set(inserting, *outcome)
        if self._syncing:
            self.tell_synced()

    def tell_synced(self) -> None:
        _, synced, failed = self._made.synced()
        while self._syncing and (self._syncing[0][0] <= synced or failed):
            number, future = self._syncing.popleft()
            if not future.done():
                error = sqlite.SQLITE_IOERR if number > synced else 0
                _set(future, error, f"sync: {os.strerror(failed)}")

    async def close(self) -> None:
        """Before the connection is closed, which prepared statements would keep open."""
        await self._folding.close()
        self.leave()
        await _on(self._connection, self._made.close)
        self.tell_synced()
        self._loop.remove_reader(self._files[0])
        for file in self._files:
            os.close(file)


async def begin(
    connection: aiosqlite.Connection, path: Path, file: int, statements: tuple[str, ...]
) -> Inserts | None:
    """None where it cannot be had: without the compiled part, or where Python's SQLite loads no
    extensions. `file`: a descriptor of the database."""
    if not compiled.COMPILED:
        return None
    files: list[int] = []
    try:
        files.extend(os.pipe())
        for end in files:
            os.set_blocking(end, False)
        # SQLite's locks are on other files than this one.
        files.append(os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC))
        loaded, pages = await _on(connection, _load, connection._conn, statements, *files[1:])
    except (AttributeError, sqlite.Error, RuntimeError, OSError) as error:
        for opened in files:
            os.close(opened)
        log.warning("batches go to the store the slower way: %s", error)
        return None
    return Inserts(connection, loaded, files, Folding(path, file, pages))


async def _on(connection: aiosqlite.Connection, *work: Any) -> Any:
    execute: Any = connection._execute
    return await execute(*work)


def _set(future: asyncio.Future[None], code: int, message: str) -> None:
    if code:
        future.set_exception(made(code, message))
        future.exception()  # asked for, should nobody wait any more
    else:
        future.set_result(None)


def _load(
    connection: sqlite.Connection, statements: tuple[str, ...], tell: int, wal: int
) -> tuple[compiled.Inserts, int]:
    connection.enable_load_extension(True)
    try:
        connection.load_extension(compiled.FILE)
    finally:
        connection.enable_load_extension(False)
    pages = connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    if connection.execute("PRAGMA synchronous").fetchone()[0] < _FULL:
        wal = -1
    limit = min(HARD_LIMIT * pages, 2**31 - 1)
    return compiled.Inserts(statements, tell, limit, wal), pages
