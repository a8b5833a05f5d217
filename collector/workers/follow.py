"""What every reader of the log shares: wait for news, do a step, move the cursor, try again.

A follower is one task with one cursor. Its step does its work and moves the cursor in one
transaction (store/cursors.py), so a kill at any point repeats a step or does not, and never
half of one.

Invariants: a step that fails is tried again, for ever, with a growing pause, and said in the
log once; a stop lets the step under way finish and begins no other.
"""

import asyncio
import logging
import random
from typing import Protocol

from collector.errors import CollectorError

log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 30.0


class Rest(CollectorError):
    """A step could not be done and says when it is to be tried again."""

    def __init__(self, message: str, pause_s: float) -> None:
        super().__init__(message)
        self.pause_s = pause_s


class Committed:
    """The number of the newest event on disk, and a way to wait for a newer one."""

    def __init__(self, seq: int = 0) -> None:
        self.seq = seq
        self._news: asyncio.Event | None = None

    def advance(self, seq: int) -> None:
        """Called after each sync; costs next to nothing while nobody waits."""
        self.seq = seq
        if self._news is not None:
            self._news.set()
            self._news = None

    async def beyond(self, seq: int) -> int:
        """The newest number, once it is greater than `seq`."""
        while self.seq <= seq:
            self._news = self._news or asyncio.Event()
            await self._news.wait()
        return self.seq


class Step(Protocol):
    """What a follower does."""

    async def __call__(self, after: int, last_seq: int) -> int:
        """Work on events with `after` < number <= `last_seq`, as many as one step should take;
        returns the cursor's new place, which is in the database by then."""


class Follower:
    """A task that keeps calling `step` while there is something beyond its cursor."""

    def __init__(
        self,
        name: str,
        step: Step,
        committed: Committed,
        position: int,
        reached: Committed | None = None,
    ) -> None:
        """`reached` is told of each step, for who follows the follower."""
        self.name = name
        self.position = position
        self._reached = reached
        self.failure: str | None = None
        self._step = step
        self._committed = committed
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def lag(self) -> int:
        """Numbers between the cursor and the newest event."""
        return max(0, self._committed.seq - self.position)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        self._stopping.set()
        if self._task:
            await self._task

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            if not await self._news():
                return
            try:
                self.position = await self._step(self.position, self._committed.seq)
            except CollectorError as error:
                failures += 1
                self._failed(str(error))
                if isinstance(error, Rest):
                    await self.rest(error.pause_s)
                    continue
            except Exception as error:  # supervised: told, shown in `failure`, and tried again
                failures += 1
                if self.failure is None:
                    log.exception("%s failed at event %d", self.name, self.position)
                self._failed(f"internal error: {type(error).__name__}: {error}")
            else:
                failures = 0
                if self._reached:
                    self._reached.advance(self.position)
                if self.failure:
                    log.info("%s goes on", self.name)
                    self.failure = None
                continue
            await self._pause(failures)

    async def _news(self) -> bool:
        """True when there is something to do, False at a stop."""
        if self._committed.seq > self.position:
            await asyncio.sleep(0)  # a long way to go must not keep the loop from requests
            return not self._stopping.is_set()
        news = asyncio.ensure_future(self._committed.beyond(self.position))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((news, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            stop.cancel()
        return not self._stopping.is_set()

    def _failed(self, why: str) -> None:
        if self.failure is None:
            log.warning("%s cannot go on, nothing is lost, trying again: %s", self.name, why)
        self.failure = why

    async def _pause(self, failures: int) -> None:
        longest = min(_LONGEST_PAUSE_S, 0.1 * 2 ** min(failures, 10))
        await self.rest(random.uniform(longest / 2, longest))  # noqa: S311

    async def rest(self, pause_s: float) -> None:
        """Wait so long, or until the stop."""
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            pass
