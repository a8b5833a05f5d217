"""The store's limit: the collector's own schema and settings, rows made beforehand, one bare
multi-row INSERT after another on one connection, nothing else going on."""

import asyncio
import shutil
import time
from pathlib import Path

import msgspec
from pysqlite3 import dbapi2 as sqlite

from bench.console import Progress
from bench.process import scratch_folder
from bench.result import Run
from bench.rooms import Feed, Stopwatch
from collector.app import DATABASE
from collector.config import Store
from collector.event import Event
from collector.store.database import open_database

_COLUMNS = Event.__struct_fields__
_ROW = f"({', '.join('?' * len(_COLUMNS))})"
_INSERT = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES "
_MOST_ROWS = 1024  # SQLite takes 32,766 parameters a statement


class Limit:
    """A database of its own; `insert` is one transaction."""

    def __init__(self, settings: Store) -> None:
        self._folder = scratch_folder()
        path = self._folder / DATABASE
        asyncio.run(_create(path, settings))
        self._connection = sqlite.connect(path, isolation_level=None)
        self._connection.execute(f"PRAGMA synchronous = {settings.durability}")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {settings.checkpoint_pages}")
        self._connection.execute("PRAGMA journal_size_limit = 67108864")
        self._connection.execute("PRAGMA secure_delete = ON")

    def close(self) -> None:
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def insert(self, events: list[Event], watch: Stopwatch) -> None:
        """Timed without the making of the parameters."""
        statements = [
            _statement(events[i : i + _MOST_ROWS]) for i in range(0, len(events), _MOST_ROWS)
        ]
        with watch:
            if len(statements) == 1:
                self._connection.execute(*statements[0])
            else:
                self._connection.execute("BEGIN IMMEDIATE")
                for statement in statements:
                    self._connection.execute(*statement)
                self._connection.execute("COMMIT")
        watch.events += len(events)


def _statement(events: list[Event]) -> tuple[str, list[object]]:
    rows = (msgspec.structs.astuple(event) for event in events)
    values = [value for number, row in enumerate(rows) for value in (*row[:-2], "node", number)]
    return _INSERT + ",".join([_ROW] * len(events)), values


async def _create(path: Path, settings: Store) -> None:
    database = await open_database(path, settings.durability, settings.checkpoint_pages)
    await database.close()


def measure(shape: str, seconds: float, size: int = 4096) -> Run:
    """The limit for rows of `shape` at the writer's largest batches."""
    feed, watch, limit = Feed(shape), Stopwatch(), Limit(Store())
    progress = Progress(f"limit {shape}", seconds)
    until = time.perf_counter() + seconds
    try:
        while time.perf_counter() < until:
            limit.insert(feed.take(size), watch)
            progress.tick()
    finally:
        limit.close()
    return watch.run("limit", shape, None, progress)
