"""Courtesy: whoever follows the log gives way to ingest, and to whoever looks at the dashboard.

At ingest's peak the loop's own thread takes a core, and each step of a follower costs ingest the
interpreter lock, the writing thread and the second core. So while that thread is busy they all
together take one step at a time, in turn, and rest after it for many times as long as it took.
They lag, visibly; what does not get done at a peak is done after it.

On a machine that others use as well ingest is at its peak at a fraction of a core: more than a
whole transaction waiting in the writer's buffer counts as busy, too.

While a question of the dashboard's is answered no step begins: beside ingest at half its peak the
followers took as much of the second core as ingest did, and a viewer waited three times as long.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

_BUSY = 0.2  # of a core that the loop's own thread takes; 5,000 single events/s take a seventh
_RESTS = 50  # times as long as a step: 2 % of one thread's time
_LONGEST_REST_S = 20.0
_LOOK_S = 0.025
_MOST_PATIENT_S = 1.0  # with questions: one that looks through everything takes many seconds


class Courtesy:
    """One for all followers of a collector, made on the loop's thread. `pressed`: whether more
    waits to be stored than one transaction takes."""

    def __init__(self, pressed: Callable[[], bool]) -> None:
        self._pressed = pressed
        self._turn = asyncio.Lock()
        self._next_at = 0.0
        self._busy = False
        self._looked = time.perf_counter(), time.thread_time()
        self._stopping = asyncio.Event()
        self._asked = 0
        self._answered = asyncio.Event()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Around a question that somebody waits for."""
        self._asked += 1
        try:
            yield
        finally:
            self._asked -= 1
            if not self._asked:
                self._answered.set()
                self._answered = asyncio.Event()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Around a step. Nothing while there is room for all."""
        if self._asked:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MOST_PATIENT_S):
                    while self._asked and not self.stopping:
                        await self._answered.wait()
        if not self.busy:
            yield
            return
        async with self._turn:
            await self._rest()
            started = time.perf_counter()
            yield
            now = time.perf_counter()
            self._next_at = now + min(_LONGEST_REST_S, _RESTS * (now - started))

    @property
    def busy(self) -> bool:
        """By what there was since the last look."""
        before, used_before = self._looked
        now = time.perf_counter()
        if (passed := now - before) >= _LOOK_S:
            used = time.thread_time()
            self._busy = used - used_before > _BUSY * passed or self._pressed()
            self._looked = now, used
        return self._busy and not self.stopping

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Nobody rests any more."""
        self._stopping.set()
        self._answered.set()

    async def _rest(self) -> None:
        while self.busy and (left := self._next_at - time.perf_counter()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_S)):
                    await self._stopping.wait()
