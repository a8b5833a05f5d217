"""Visits: follows the projector, and now and then writes down when everybody was last seen."""

import asyncio
from collections.abc import Awaitable, Callable

from collector.store import visits
from collector.store.database import Database
from collector.store.reader import Reader

_MOST = 100_000  # events looked at in one go
_PIECE = 1_000  # ids written in one transaction


class Visits:
    """A follower's step. `lock`: the projector's, which writes the same rows."""

    def __init__(self, reader: Reader, database: Database, lock: asyncio.Lock) -> None:
        self.reader = reader
        self._database = database
        self._lock = lock
        self.rest: Callable[[], Awaitable[None]] | None = None  # after all that there was

    async def __call__(self, after: int, last_seq: int) -> int:
        reached = min(last_seq, after + _MOST)
        seen = await self.reader.run(visits.seen, after, reached)
        pieces = [seen[i : i + _PIECE] for i in range(0, len(seen), _PIECE)] or [[]]
        for number, piece in enumerate(pieces, 1):
            async with self._lock:
                await self._database.run(
                    visits.put, piece, reached if number == len(pieces) else None
                )
        if self.rest and reached == last_seq:
            await self.rest()
        return reached
