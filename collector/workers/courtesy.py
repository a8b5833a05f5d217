"""Courtesy: whoever follows the log gives way to ingest.

At ingest's peak the loop's own thread takes a core, and each step of a follower costs ingest the
interpreter lock, the writing thread and the second core. So while that thread is busy they all
together take one step at a time, in turn, and rest after it for many times as long as it took.
They lag, visibly; what does not get done at a peak is done after it.

On a machine that others use as well ingest is at its peak at a fraction of a core: more than a
whole transaction waiting in the writer's buffer counts as busy, too.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

_BUSY = 0.5  # of a core that the loop's own thread takes; 5,000 single events/s take a third
_RESTS = 20  # times as long as a step: 5 % of one thread's time
_LONGEST_REST_S = 5.0
_LOOK_S = 0.1


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

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Around a step. Nothing while there is room for all."""
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

    async def _rest(self) -> None:
        while self.busy and (left := self._next_at - time.perf_counter()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_S)):
                    await self._stopping.wait()
