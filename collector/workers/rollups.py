"""Rollups: reads the log in order and keeps what the dashboard counts.

Beside ingest it gives way, as all do (workers/courtesy.py), and to the projector and the
audiences as well: after each step it rests, for several times as long as the step took while
there is much to do, and for longer while they are behind.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from collector.store import hits, rollups, seals
from collector.store.database import Database
from collector.store.reader import Reader, snapshot
from collector.store.sums import Work
from collector.wire.visit import Places, agent, campaign, referrer_host
from collector.workers.courtesy import Courtesy

# While ingest leaves it the machine, a step of 2,000 takes some 20 ms.
_REST_RATIO = 2.0
_SHORTEST_REST_S = 0.25
# Who enters an audience is to be known within a second, what is counted within ten.
_BEHIND = 2_500
_MOST_PATIENT_S = 5.0
# Adding up a block takes 0.7 s of Python. Each wait for the interpreter lock is 5 ms then,
# and who enters an audience waits for it a hundred times: so a slice, and a rest.
_SLICE_S = 0.02
_SLICE_REST_RATIO = 0.5  # as long as a slice: blocks of 5,000 events/s fell behind
T = TypeVar("T")


class Rollups:
    """A follower's step. `rest` is how it waits (the follower's own, which a stop ends);
    `others_lag` how many events those are behind who go first."""

    def __init__(
        self,
        reader: Reader,
        database: Database,
        places: Places,
        courtesy: Courtesy,
        others_lag: Callable[[], int],
        limit: int = 1000,
    ) -> None:
        self._reader = reader
        self._database = database
        self._places = places
        self._limit = limit
        self._courtesy = courtesy
        self._others_lag = others_lag
        self._book = rollups.Book()
        self.rest: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def __call__(self, after: int, last_seq: int) -> int:
        await self._let_others_go_first()
        started = time.monotonic()
        async with self._courtesy.turn():
            full, seq = await self._step(after, last_seq)
            took = time.monotonic() - started
        await self._seal(seq)
        await self.rest(took * _REST_RATIO if full else max(took, _SHORTEST_REST_S))
        return seq

    async def _let_others_go_first(self) -> None:
        until = time.monotonic() + _MOST_PATIENT_S
        while self._others_lag() > _BEHIND and time.monotonic() < until:
            if self._courtesy.stopping:
                return
            await self.rest(_SHORTEST_REST_S)

    async def _step(self, after: int, last_seq: int) -> tuple[bool, int]:
        step, seq = await self._reader.run(self._plan, after, last_seq)
        try:
            written = await self._database.run(rollups.apply, step, seq)
        except BaseException:
            self._book.forget()
            raise
        if not written:  # somebody was erased meanwhile
            self._book.forget()
            return False, after
        return len(step.hits) == self._limit, seq

    async def _seal(self, seq: int) -> None:
        """Add up what has come together, once it is a block. A stop leaves it to the next start."""
        if seq - await self._reader.run(hits.added_up) < seals.BLOCK:
            return
        work = await self._reader.run(seals.plan, seq)
        while not self._courtesy.stopping:
            async with self._courtesy.turn():
                started = time.monotonic()
                if done := await self._reader.run(_some, work):
                    if seal := done[0]:
                        await self._database.run(seals.apply, seal)
                    return
                took = time.monotonic() - started
            await self.rest(took * _SLICE_REST_RATIO)

    def _plan(self, connection: Any, after: int, last_seq: int) -> tuple[rollups.Step, int]:
        with snapshot(connection):
            rows = rollups.rows(connection, after, last_seq, self._limit)
            try:
                step = self._book.step(connection, [self._seen(row) for row in rows])
            except BaseException:
                self._book.forget()
                raise
        return step, rows[-1].seq if len(rows) == self._limit else last_seq

    def _seen(self, row: rollups.Row) -> rollups.Seen:
        device, browser = agent(row.user_agent) if row.user_agent else ("", "")
        return rollups.Seen(
            row,
            referrer_host(row.referrer, row.url),
            campaign(row.url),
            device,
            browser,
            self._places.country(row.ip),
        )


def _some(_: Any, work: Work[T]) -> list[T]:
    """Go on with it for a slice of time: what it comes to, once it is done."""
    until = time.thread_time() + _SLICE_S
    while time.thread_time() < until:
        try:
            next(work)
        except StopIteration as done:
            return [done.value]
    return []
