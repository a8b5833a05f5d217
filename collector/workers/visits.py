"""Visits: follows the projector, and now and then writes down when everybody was last seen."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from collector.store import visits
from collector.store.database import Database
from collector.store.reader import Reader
from collector.workers.courtesy import Courtesy

_MOST = 100_000  # events looked at in one go
_PIECE = 500  # ids written in one transaction
_RESTS = 2  # times as long as a piece took
_LONGEST_REST_S = 0.5  # a stop waits for it


class Visits:
    """A follower's step. `lock`: the projector's, which writes the same rows."""

    def __init__(
        self,
        reader: Reader,
        database: Database,
        lock: asyncio.Lock,
        courtesy: Courtesy | None = None,
    ) -> None:
        self.reader = reader
        self._database = database
        self._lock = lock
        self._courtesy = courtesy
        self.rest: Callable[[], Awaitable[None]] | None = None  # after all that there was
        self.leaving = False  # a stop does not wait for all pieces: they are written again

    async def __call__(self, after: int, last_seq: int) -> int:
        reached = min(last_seq, after + _MOST)
        async with self._turn():
            seen = await self.reader.run(visits.seen, after, reached)
        pieces = [seen[i : i + _PIECE] for i in range(0, len(seen), _PIECE)] or [[]]
        for number, piece in enumerate(pieces, 1):
            if self.leaving:
                return after
            done = reached if number == len(pieces) else None
            async with self._turn(), self._lock:
                started = time.perf_counter()
                await self._database.run(visits.put, piece, done)
                took = time.perf_counter() - started
            if self._courtesy and done is None:  # nobody waits for this, many for what others write
                await asyncio.sleep(min(_LONGEST_REST_S, _RESTS * took))
        if self.rest and reached == last_seq:
            await self.rest()
        return reached

    def _turn(self) -> contextlib.AbstractAsyncContextManager[None]:
        return self._courtesy.turn() if self._courtesy else contextlib.nullcontext()
