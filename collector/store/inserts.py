"""Batches of events alone, the common case, to the writing thread and back without the interpreter
lock (c/inserts.c): while the loop is busy the thread gets it after 5 ms, and needed it three times
a transaction. All other work goes to the same thread through aiosqlite, in turn.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import aiosqlite
from pysqlite3 import dbapi2 as sqlite

from collector import compiled
from collector.store.folding import HARD_LIMIT, Folding

log = logging.getLogger(__name__)


class Inserts:
    """`await inserts(…)` is one transaction, and one at a time; `begin` makes it."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        made: compiled.Inserts,
        told: int,
        tell: int,
        folding: Folding,
    ) -> None:
        self._connection = connection
        self._made = made
        self._pipe = told, tell
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(told, self._done)
        self._waiting: asyncio.Future[None] | None = None
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
        """Returns when they are committed and synced, and the last seq is in the file `mark`.
        Raises SQLite's error, with its code."""
        absent = self._made.put(statement, events, first_seq, count, node_id, mark)
        self._waiting = self._loop.create_future()
        if absent:
            self._connection._tx.put_nowait((None, self._made.serve))
        await self._waiting

    def _done(self) -> None:
        os.read(self._pipe[0], 64)
        outcome, waiting = self._made.outcome(), self._waiting
        if outcome is None or waiting is None or waiting.done():
            return
        self._folding.look(self._made.pages, self._made.finish)
        code, message = outcome
        if code:
            error = sqlite.DatabaseError(message)
            error.sqlite_errorcode = code
            waiting.set_exception(error)
        else:
            waiting.set_result(None)

    async def close(self) -> None:
        """Before the connection is closed, which prepared statements would keep open."""
        await self._folding.close()
        self.leave()
        await _on(self._connection, self._made.close)
        self._loop.remove_reader(self._pipe[0])
        for end in self._pipe:
            os.close(end)


async def begin(
    connection: aiosqlite.Connection, path: Path, statements: tuple[str, ...]
) -> Inserts | None:
    """None where it cannot be had: without the compiled part, or where Python's SQLite loads no
    extensions."""
    if not compiled.COMPILED:
        return None
    told, tell = os.pipe()
    os.set_blocking(told, False)
    os.set_blocking(tell, False)
    try:
        made, pages = await _on(connection, _load, connection._conn, statements, tell)
    except (AttributeError, sqlite.Error, RuntimeError) as error:
        os.close(told)
        os.close(tell)
        log.warning("batches go to the store the slower way: %s", error)
        return None
    return Inserts(connection, made, told, tell, Folding(path, pages))


async def _on(connection: aiosqlite.Connection, *work: Any) -> Any:
    execute: Any = connection._execute
    return await execute(*work)


def _load(
    connection: sqlite.Connection, statements: tuple[str, ...], tell: int
) -> tuple[compiled.Inserts, int]:
    connection.enable_load_extension(True)
    try:
        connection.load_extension(compiled.FILE)
    finally:
        connection.enable_load_extension(False)
    pages = connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    return compiled.Inserts(statements, tell, min(HARD_LIMIT * pages, 2**31 - 1)), pages
