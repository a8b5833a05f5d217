"""Group commit: what arrived while the last commit was under way goes into the next one.

Invariants: a ticket's `done` is called once, after its events are on disk or with the reason
why they are not; at most one batch is under way; nothing leaves the buffer without an answer;
a buffer that has reached its limits takes nothing, so it exceeds them by one request at most.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

import msgspec

from collector.config import Store
from collector.errors import BadRow, CollectorError, Conflict, Overloaded, StoreUnavailable
from collector.event import Event, Reject
from collector.metrics import Metrics
from collector.store.edges import Edges
from collector.store.log import EventLog
from collector.workers.follow import Committed

log = logging.getLogger(__name__)

Done = Callable[[CollectorError | None], None]
_NONE: list[Event] = []


class Ticket(msgspec.Struct, frozen=True):
    """One request's events. `size` is what it counts for in the buffer, in bytes. `edge`: who
    forwarded them; such a ticket is a batch by itself."""

    events: list[Event]
    rejects: list[Reject]
    size: int
    done: Done
    edge: str | None = None


class Writer:
    """The buffer and the task that empties it into the log."""

    def __init__(
        self,
        event_log: EventLog,
        settings: Store,
        metrics: Metrics,
        observe: Callable[[float], None],
        edges: Edges | None = None,
    ) -> None:
        self._log = event_log
        self._edges = edges
        self.committed = Committed(event_log.last_seq)
        self._settings = settings
        self._metrics = metrics
        self._observe = observe
        self._tickets: deque[Ticket] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._max_events = settings.buffer_events
        self._max_bytes = settings.buffer_bytes
        self.full = False
        self.buffered_events = 0
        self.buffered_bytes = 0
        self.unavailable: str | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Store what is buffered, then end."""
        self._stopping = True
        self._wake.set()
        if self._task:
            await self._task

    def submit(
        self,
        events: list[Event],
        rejects: list[Reject],
        size: int,
        done: Done,
        edge: str | None = None,
    ) -> None:
        """Take a request's events; `done` hears of them once. Raises Overloaded when the
        buffer is full: nothing was taken, the client is to come again."""
        if self.full or self._stopping:
            raise Overloaded("the buffer is full" if self.full else "the collector is stopping")
        if not self._tickets:
            self._wake.set()
        self._tickets.append(Ticket(events, rejects, size, done, edge))
        self.buffered_events += len(events) + len(rejects)
        self.buffered_bytes += size
        if self.buffered_events >= self._max_events or self.buffered_bytes >= self._max_bytes:
            self.full = True

    async def append(self, events: list[Event], rejects: list[Reject] | None = None) -> None:
        """`submit` for callers who wait: returns when the events are on disk, or raises."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: CollectorError | None) -> None:
            if not future.done():
                future.set_exception(error) if error else future.set_result(None)

        self.submit(events, rejects or [], 0, done)
        await future

    async def _run(self) -> None:
        while True:
            if not self._tickets:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._commit(self._take())

    def _take(self) -> list[Ticket]:
        taken: list[Ticket] = []
        count = 0
        while self._tickets and count < self._settings.batch_events:
            ticket = self._tickets[0]
            if ticket.edge is not None and taken:
                break
            taken.append(self._tickets.popleft())
            count += len(ticket.events) + len(ticket.rejects)
            if ticket.edge is not None:
                break
        return taken

    async def _commit(self, tickets: list[Ticket]) -> None:
        events = [event for ticket in tickets for event in ticket.events]
        rejects = [reject for ticket in tickets for reject in ticket.rejects]
        started = time.perf_counter()
        error: CollectorError | None = None
        try:
            await self._store(events, rejects, tickets[0].edge)
        except Conflict as caught:
            error = caught
        except CollectorError as caught:
            error = caught
            self._failed(caught)
        except Exception as caught:
            log.exception("the writer failed at a batch of %d events", len(events))
            error = StoreUnavailable(f"internal error: {type(caught).__name__}")
            self._failed(error)
        else:
            self._observe(time.perf_counter() - started)
            self.recovered()
        self.buffered_events -= len(events) + len(rejects)
        self.buffered_bytes -= sum([ticket.size for ticket in tickets])
        self.full = (
            self.buffered_events >= self._max_events or self.buffered_bytes >= self._max_bytes
        )
        for ticket in tickets:
            try:
                ticket.done(error)
            except Exception:  # stored all the same, and the others must hear of theirs
                log.exception("an answer could not be given")

    async def _store(
        self,
        events: list[Event],
        rejects: list[Reject],
        edge: str | None,
        refused: list[Event] = _NONE,
    ) -> None:
        """One transaction; where a row cannot be stored, halves, until that row is alone."""
        try:
            if edge is None or self._edges is None:
                result = await self._log.append(events, rejects)
            else:
                result = await self._edges.append(edge, events, rejects, refused)
        except BadRow as error:
            if len(events) <= 1:
                await self._refuse(events, rejects, error, edge)
                return
            middle = len(events) // 2
            await self._store(events[:middle], rejects, edge)
            await self._store(events[middle:], [], edge)
            return
        self.committed.advance(self._log.last_seq)
        metrics = self._metrics
        metrics.commits += 1
        metrics.stored_events += result.stored
        metrics.duplicate_events += result.duplicates
        metrics.rejected_events += len(rejects)
        metrics.rejected_expired_events += result.rejects_expired

    async def _refuse(
        self, events: list[Event], rejects: list[Reject], error: BadRow, edge: str | None
    ) -> None:
        if not events:
            raise StoreUnavailable(f"a refused event cannot be kept: {error}") from error
        bad = events[0]
        log.warning("a row of site %s cannot be stored and goes to rejected: %s", bad.site, error)
        row = Reject(
            bad.site,
            bad.received_at,
            0,
            400,
            "unstorable",
            str(error)[:500],
            repr(bad).encode("utf-8", "backslashreplace"),
        )
        await self._store([], [*rejects, row], edge, events)

    def recovered(self) -> None:
        """The store has shown that it can write."""
        if self.unavailable:
            log.info("the store can write again")
            self.unavailable = None

    def _failed(self, error: CollectorError) -> None:
        self._metrics.failed_commits += 1
        if self.unavailable is None:
            log.error("the store cannot write, answering 503 until it can: %s", error)
        self.unavailable = str(error)
