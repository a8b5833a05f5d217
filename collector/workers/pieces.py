"""Pieces: follows what is added up (workers/rollups.py) and keeps it once more by columns. What is
not there yet is looked through row by row: the answers are the same, only later."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from collector.store import cursors, hits, people, pieces, seals
from collector.store.database import Database
from collector.store.reader import Reader, snapshot
from collector.workers.courtesy import Courtesy

_REST_RATIO = 4.0  # a piece takes 0.1 s, and comes once in 32,768 events


class Pieces:
    """A follower's step. It has no place of its own in the log: what is missing is looked for."""

    def __init__(self, reader: Reader, database: Database, courtesy: Courtesy) -> None:
        self._reader = reader
        self._database = database
        self._courtesy = courtesy
        self._complete: tuple[int, int, int] | None = None
        self.rest: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def __call__(self, after: int, last_seq: int) -> int:
        """Make one piece; all there is, then `last_seq`."""
        started = time.monotonic()
        async with self._courtesy.turn():
            made = await self._reader.run(self._plan)
            if made is None:
                return last_seq
            await self._database.run(pieces.apply, made)
        await self.rest((time.monotonic() - started) * _REST_RATIO)
        return after

    def _plan(self, connection: Any) -> pieces.Made | None:
        with snapshot(connection):
            now = (
                hits.added_up(connection),
                seals.epoch(connection),
                cursors.position(connection, people.CURSOR) // pieces.PIECE,
            )
            if now == self._complete:
                return None
            made = pieces.plan(connection)
            self._complete = now if made is None else None
            return made
