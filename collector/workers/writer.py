"""Group commit: what arrived while the last commit was under way goes into the next one.

While a sync is under way a batch that is full is inserted meanwhile, and on disk with the next one;
a smaller one waits for more.

Invariants: a request is answered once, when its events are on disk or with the reason why they
are not; at most one transaction is under way; nothing leaves the buffer without an answer; a buffer
that has reached its limits takes nothing, so it exceeds them by one request at most.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from collector.config import Store
from collector.errors import BadRow, CollectorError, Conflict, Overloaded, StoreUnavailable
from collector.event import Event, Reject
from collector.metrics import Metrics
from collector.rows import Entry, shown
from collector.store.edges import Edges
from collector.store.inserts import Durable
from collector.store.log import EventLog, Prepared
from collector.workers.follow import Committed

log = logging.getLogger(__name__)

Reply = Callable[[Any], None]
Refuse = Callable[[CollectorError], Any]
_NONE: list[Entry] = []
_AHEAD = 16  # parts of store.batch_events: as many are inserted while a sync is under way
_EDGE_COMMIT = 4  # times store.batch_events: nobody's visitor waits for an edge's answer


class Batch(msgspec.Struct, gc=False):
    """What one commit takes: the requests' events, gathered as they come, and for each request
    whom to tell what. `size` is what they count for in the buffer, in bytes. `edge`: who
    forwarded them, `text`: as which JSON array; such requests are put together at the commit."""

    events: list[Entry] = msgspec.field(default_factory=list)
    rejects: list[Reject] = msgspec.field(default_factory=list)
    waiting: list[tuple[Reply, Any, Refuse]] = msgspec.field(default_factory=list)
    size: int = 0
    edge: str | None = None
    began: float = msgspec.field(default_factory=time.perf_counter)
    text: str | None = None
    prepared: Prepared | None = None


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
        self._batches: deque[Batch] = deque()  # the last one takes more, until it is full
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._syncing: set[asyncio.Task[None]] = set()  # batches inserted and not yet on disk
        self._max_events = settings.buffer_events
        self._max_bytes = settings.buffer_bytes
        self._batch_events = settings.batch_events
        self.full = False
        self._held: str | None = None
        self.waiting = 0  # requests to be answered
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
        events: Sequence[Entry],
        rejects: list[Reject],
        size: int,
        reply: Reply,
        answer: Any,
        refuse: Refuse,
        edge: str | None = None,
        text: str | None = None,
    ) -> None:
        """Take a request's events. `reply` is called once: with `answer` when they are on disk,
        with what `refuse` makes of the error when they cannot be. Raises Overloaded when the
        buffer is full: nothing was taken, the client is to come again."""
        if self.full or self._stopping:
            raise Overloaded(self.why if self.full else "the collector is stopping")
        batches = self._batches
        if edge is not None or not batches or not self._takes_more(batches[-1]):
            batches.append(Batch(edge=edge, text=text))
            self._wake.set()
        batch = batches[-1]
        batch.events.extend(events)
        if rejects:
            batch.rejects += rejects
        if self._syncing and len(batch.events) >= self._batch_events // _AHEAD:
            self._wake.set()
        batch.waiting.append((reply, answer, refuse))
        batch.size += size
        self.waiting += 1
        self.buffered_events += len(events) + len(rejects)
        self.buffered_bytes += size
        if self.buffered_events >= self._max_events or self.buffered_bytes >= self._max_bytes:
            self.full = True

    @property
    def why(self) -> str:
        """Why it is full."""
        return self._held or "the buffer is full"

    def hold(self, reason: str | None) -> None:
        """Take nothing, for that reason; None: take events again."""
        if reason != self._held:
            log.log(
                logging.ERROR if reason else logging.INFO,
                "%s",
                f"{reason}: answering 503" if reason else "there is room again, taking events",
            )
        self._held = reason
        self._weigh()

    def _weigh(self) -> None:
        self.full = (
            self._held is not None
            or self.buffered_events >= self._max_events
            or self.buffered_bytes >= self._max_bytes
        )

    def _takes_more(self, batch: Batch) -> bool:
        return batch.edge is None and len(batch.events) < self._batch_events

    async def append(
        self, events: Sequence[Entry], rejects: list[Reject] | None = None, edge: str | None = None
    ) -> None:
        """`submit` for callers who wait: returns when the events are on disk, or raises."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: CollectorError | None) -> None:
            if not future.done():
                future.set_exception(error) if error else future.set_result(None)

        self.submit(events, rejects or [], 0, done, None, lambda error: error, edge)
        await future

    async def _run(self) -> None:
        while not (self._stopping and not self._batches and not self._syncing):
            if not self._ready():
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = self._batches.popleft()
            parts = self._more_of(batch) if batch.edge is not None else []
            asyncio.get_running_loop().call_soon(self._prepare)
            await self._commit(_joined(parts) if parts else batch, parts)

    def _prepare(self) -> None:
        """The next batch, if it is full, while one is under way. Not where the loop has more than
        enough to do: what is packed early has left the processor's caches when it is read."""
        if self._batches and self.buffered_events < self._max_events // 2:
            batch = self._batches[0]
            if batch.edge is None and not batch.prepared and not self._takes_more(batch):
                batch.prepared = self._log.prepare(batch.events)

    def _ready(self) -> bool:
        batches = self._batches
        if not batches:
            return False
        first = batches[0]
        return (
            not self._syncing
            or first.edge is not None
            or len(first.events) >= self._batch_events // _AHEAD
            or self._stopping
        )

    def _more_of(self, batch: Batch) -> list[Batch]:
        """An edge's requests that wait in a row, this one first; one sync does for all of them.
        Empty when it is the only one."""
        parts, count, most = [batch], len(batch.events), _EDGE_COMMIT * self._batch_events
        while self._batches and self._batches[0].edge == batch.edge and count < most:
            parts.append(self._batches.popleft())
            count += len(parts[-1].events)
        return parts if len(parts) > 1 else []

    async def _commit(self, batch: Batch, parts: list[Batch]) -> None:
        """`parts`: the requests that the batch is made of, where they can be told apart."""
        events, rejects = batch.events, batch.rejects
        started = time.perf_counter()
        try:
            durable = await self._store(
                events, rejects, batch.edge, text=batch.text, prepared=batch.prepared
            )
        except Conflict as caught:
            if parts:  # of two nodes under one key, one may be sound
                for part in parts:
                    await self._commit(part, [])
                return
            log.error("edge %s is refused, it keeps its events: %s", batch.edge, caught)
            self._done(batch, caught)
        except CollectorError as caught:
            self._failed(caught)
            self._done(batch, caught)
        except Exception as caught:
            log.exception("the writer failed at a batch of %d events", len(events))
            error = StoreUnavailable(f"internal error: {type(caught).__name__}")
            self._failed(error)
            self._done(batch, error)
        else:
            if durable is None:
                self._stored(batch, started, self._log.last_seq)
                return
            later = self._sync(batch, started, self._log.last_seq, durable)
            task = asyncio.create_task(later, name="sync")
            self._syncing.add(task)

    async def _sync(self, batch: Batch, started: float, last_seq: int, durable: Durable) -> None:
        """They come to their ends in the order in which they began."""
        try:
            await self._log.on_disk(durable)
        except CollectorError as error:
            self._failed(error)
            self._done(batch, error)
        else:
            self._stored(batch, started, last_seq)
        finally:
            self._syncing.discard(cast(asyncio.Task[None], asyncio.current_task()))
            self._wake.set()

    def _stored(self, batch: Batch, started: float, last_seq: int) -> None:
        self._observe(time.perf_counter() - started)
        self.recovered()
        # One without new events can be told before that of which it repeats some.
        self.committed.advance(max(last_seq, self.committed.seq))
        self._done(batch, None)

    def _done(self, batch: Batch, error: CollectorError | None) -> None:
        self.waiting -= len(batch.waiting)
        self.buffered_events -= len(batch.events) + len(batch.rejects)
        self.buffered_bytes -= batch.size
        self._weigh()
        # The next transaction is under way before they are given: a thousand take 9 ms.
        asyncio.get_running_loop().call_soon(self._answer, batch, error)

    def _answer(self, batch: Batch, error: CollectorError | None) -> None:
        for reply, answer, refuse in batch.waiting:
            try:
                reply(answer if error is None else refuse(error))
            except Exception:  # stored all the same, and the others must hear of theirs
                log.exception("an answer could not be given")
        self._metrics.waits.note(batch.began, len(batch.waiting))

    async def _store(
        self,
        events: list[Entry],
        rejects: list[Reject],
        edge: str | None,
        refused: list[Entry] = _NONE,
        text: str | None = None,
        prepared: Prepared | None = None,
    ) -> Durable | None:
        """One transaction; where a row cannot be stored, halves, until that row is alone."""
        try:
            if edge is None or self._edges is None:
                result = await self._log.insert(events, rejects, prepared=prepared)
            else:
                # What an edge has sent comes as events alone.
                of_edge, left_out = cast(list[Event], events), cast(list[Event], refused)
                result = await self._edges.append(edge, of_edge, rejects, left_out, text)
        except BadRow as error:
            if len(events) <= 1:
                return await self._refuse(events, rejects, error, edge)
            middle = len(events) // 2
            await self._store(events[:middle], rejects, edge)
            return await self._store(events[middle:], [], edge)  # which covers the first, too
        metrics = self._metrics
        metrics.commits += 1
        metrics.stored_events += result.stored
        metrics.duplicate_events += result.duplicates
        metrics.rejected_events += len(rejects)
        metrics.rejected_expired_events += result.rejects_expired
        return result.durable

    async def _refuse(
        self, events: list[Entry], rejects: list[Reject], error: BadRow, edge: str | None
    ) -> Durable | None:
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
            shown(bad),
        )
        return await self._store([], [*rejects, row], edge, events)

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


def _joined(parts: list[Batch]) -> Batch:
    """Requests of one edge as one batch."""
    texts = [part.text for part in parts if part.text is not None]
    whole = len(texts) == len(parts)
    return Batch(
        [event for part in parts for event in part.events],
        [],
        [waiting for part in parts for waiting in part.waiting],
        sum(part.size for part in parts),
        parts[0].edge,
        parts[0].began,
        f"[{','.join([text.strip()[1:-1] for text in texts])}]" if whole else None,
    )
