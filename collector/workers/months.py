"""Months: adds up months whose days are over. What is not there yet is read by its days: the
answers are the same, only later."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from collector.clock import now_ms
from collector.store import hits, months, seals
from collector.store.database import Database
from collector.store.months import Part
from collector.store.reader import Reader, snapshot
from collector.workers.courtesy import Courtesy

_SLICE_S = 0.02
_REST_RATIO = 4.0  # a month of a million events takes seconds, and there is no hurry
_LEAST_S = 600  # between two builds of a month, into which late events may trickle


class Months:
    """A follower's step. It has no place of its own in the log: what is missing is looked for."""

    name = "months"

    def __init__(self, reader: Reader, database: Database, courtesy: Courtesy) -> None:
        self._reader = reader
        self._database = database
        self._courtesy = courtesy
        self._begun: dict[int, float] = {}
        self._complete: tuple[int, int] | None = None
        self.rest: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def __call__(self, after: int, last_seq: int) -> int:
        """Add up one month; all there is, then `last_seq`."""
        start = await self._reader.run(self._due)
        if start is None:
            return last_seq
        self._begun[start] = time.monotonic()
        while not await self._turn(self._begin, start):
            if self._courtesy.stopping:
                return after
        work = await self._reader.run(months.building, start)
        while not await self._turn(self._go_on, start, work):
            if self._courtesy.stopping:
                return after
        return after

    async def _turn(self, slice_: Callable[..., Awaitable[bool]], *args: Any) -> bool:
        """A slice, and a rest in proportion."""
        async with self._courtesy.turn():
            started = time.monotonic()
            done = await slice_(*args)
            took = time.monotonic() - started
        await self.rest(took * _REST_RATIO)
        return done

    async def _begin(self, start: int) -> bool:
        return await self._database.run(months.begin, start)

    async def _go_on(self, start: int, work: Iterator[Part | None]) -> bool:
        """True when it is done, or a day has changed: then another build begins later."""
        for part in await self._reader.run(_some, work):
            return not await self._database.run(months.apply, start, part) or part is None
        return False

    def _due(self, connection: Any) -> int | None:
        """What has not changed since nothing was due is not looked at again."""
        with snapshot(connection):
            now = hits.added_up(connection), seals.epoch(connection)
            if now == self._complete:
                return None
            recent = time.monotonic() - _LEAST_S
            resting = {start for start, begun in self._begun.items() if begun > recent}
            start = months.due(connection, now_ms(), resting)
            self._complete = now if start is None and not resting else None
            return start


def _some(_: Any, work: Iterator[Part | None]) -> list[Part | None]:
    """Go on for a slice of time, or until there is something to write; None is the end of it."""
    until = time.thread_time() + _SLICE_S
    for part in work:
        if part:
            return [part]
        if time.thread_time() > until:
            return []
    return [None]
