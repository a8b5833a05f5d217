"""A data folder whose deduplication window is full, without the events that filled it."""

import asyncio
import random
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

from bench.process import scratch_folder
from collector.app import DATABASE
from collector.config import Store
from collector.store.database import open_database
from collector.store.window import SEGMENT


def make(count: int = Store().dedupe_ids) -> Path:
    """The hashes of `count` events as the log keeps them; the next event's seq is count + 1."""
    folder = scratch_folder()
    asyncio.run(_fill(folder, count))
    return folder


async def _fill(folder: Path, count: int) -> None:
    database = await open_database(folder / DATABASE, "full", 4000)
    await database.run(_write, count)
    await database.close()


def _write(connection: sqlite.Connection, count: int) -> None:
    rand = random.Random(1)
    connection.execute("BEGIN IMMEDIATE")
    segments = -(-count // SEGMENT)
    for segment in range(segments):
        connection.execute(
            "INSERT INTO dedupe_segments VALUES (?, ?)",
            (segment * SEGMENT + 1, rand.randbytes(8 * SEGMENT)),
        )
    connection.execute("INSERT INTO sqlite_sequence VALUES ('events', ?)", (segments * SEGMENT,))
    connection.execute("COMMIT")
