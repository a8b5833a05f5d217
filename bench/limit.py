"""The store's limit: the collector's own schema and settings, rows made beforehand in
the form in which the collector hands them over, one bare multi-row INSERT after another on one
connection, nothing else going on."""

import asyncio
import shutil
import time
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

from bench.console import Progress
from bench.process import scratch_folder
from bench.result import Run
from bench.rooms import Feed, Stopwatch
from collector import rows
from collector.app import DATABASE
from collector.config import Store
from collector.event import Event
from collector.store.database import open_database
from collector.store.folding import SOFT_LIMIT
from collector.store.log import INSERT


class Limit:
    """A database of its own; `insert` is one transaction."""

    def __init__(self, settings: Store) -> None:
        self._folder = scratch_folder()
        path = self._folder / DATABASE
        asyncio.run(_create(path, settings))
        self._connection = sqlite.connect(path, isolation_level=None)
        self._connection.execute(f"PRAGMA synchronous = {settings.durability}")
        rarely = SOFT_LIMIT * settings.checkpoint_pages  # as commits of the writer's do at most
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {rarely}")
        self._connection.execute("PRAGMA secure_delete = ON")
        self._last_seq = 0

    def close(self) -> None:
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def insert(self, events: list[Event], watch: Stopwatch) -> None:
        """Timed without the making of the rows."""
        packed, rare = rows.packed(events)
        with watch:
            self._connection.execute(INSERT[rare], (packed, self._last_seq + 1, "node"))
        self._last_seq += len(events)
        watch.events += len(events)


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
