"""One upstream: reads the log beyond its cursor, sends, moves the cursor once it is confirmed.

Invariants: the cursor moves only over events that the upstream has stored, or has refused for
good and that are in `rejected`; where an upstream cannot tell a repetition at any age, a batch's
bounds are in the database before its first try, so that it is the same batch after a restart;
nothing is given up by time.
"""

import asyncio
import logging
import time
from collections import deque

import msgspec

from collector import clock
from collector.errors import CollectorError
from collector.event import Outgoing
from collector.fleet import Forward
from collector.store import database as db
from collector.store import outgoing
from collector.store.audit import Source
from collector.store.reader import Reader
from collector.upstream.sink import Batch, Denied, TooLarge, Unreached, Unwanted, Upstream
from collector.workers.follow import Committed, Follower, Rest
from collector.workers.pace import Pace

log = logging.getLogger(__name__)

_MOVE_S = 1.0  # how often the cursor of an exact upstream is written
_STOP_S = 2.0
_ALL_REFUSED = 100  # events refused one after the other: it is the upstream that is wrong


class Counts(msgspec.Struct):
    """Since the start."""

    events: int = 0
    batches: int = 0
    retries: int = 0
    refused: int = 0
    in_flight: int = 0
    bytes: int = 0


class Status(msgspec.Struct, frozen=True):
    """One upstream, as status, metrics and dashboard show it. Times in seconds since 1970."""

    name: str
    kind: str = ""
    to: str = ""
    state: str = "running"
    cursor: int = 0
    lag_events: int = 0
    lag_s: float = 0.0
    in_flight: int = 0
    forwarded_events: int = 0
    batches: int = 0
    retries: int = 0
    refused_events: int = 0
    sent_bytes: int = 0
    batch_events: int = 0
    connections: int = 0
    last_error: str | None = None
    last_error_at: float | None = None
    next_try_at: float | None = None
    erasures: int = 0
    erasure_error: str | None = None


class Start(msgspec.Struct, frozen=True):
    """Where an upstream's forwarder goes on. `plan`: bounds of a batch under way."""

    position: int
    plan: tuple[int, int] | None


class Forwarder:
    def __init__(
        self,
        settings: Forward,
        upstream: Upstream,
        database: db.Database,
        reader: Reader,
        committed: Committed,
        node_id: str,
        start: Start,
        rejected_per_site: int,
    ) -> None:
        self.settings = settings
        self.upstream = upstream
        self.counts = Counts()
        self.pace = Pace(settings, upstream.lanes)
        self.denied: str | None = None
        self.last_error: str | None = None
        self.last_error_at = 0.0
        self.next_try_at = 0.0
        self._committed = committed
        self.reached = Committed(start.position)
        self.follower = self._follow(start.position)
        self._database = database
        self._reader = reader
        self._node_id = node_id
        self._rejected_per_site = rejected_per_site
        self._filter = outgoing.Filter(settings.sites, settings.types, settings.events)
        self._plan = start.plan
        self._chunk: outgoing.Chunk | None = None
        self._ahead: asyncio.Task[outgoing.Chunk] | None = None
        self._queues: list[deque[list[Outgoing]]] = []
        self._tasks: set[asyncio.Task[float]] = set()
        self._written = start.position
        self._written_at = 0.0
        self._sent_at = 0.0
        self._more_until = 0.0
        self._refused_in_a_row = 0

    @property
    def name(self) -> str:
        return self.settings.name

    def start(self) -> None:
        self.follower.start()

    async def stop(self) -> None:
        """A request under way has a moment to end; what is cut off is sent again."""
        await self._halt()
        if self._plan is None and self._written != self.follower.position:
            await self._write_cursor(self.follower.position)
        await self.upstream.close()
        await self._reader.close()

    def source(self, node_id: str) -> Source:
        """Which events the upstream is to have."""
        return Source(node_id, self.name, self._filter)

    def _follow(self, position: int) -> Follower:
        name = f"forward {self.name}"
        return Follower(name, self._step, self._committed, position, self.reached)

    async def _halt(self) -> None:
        self._more_until = 0.0
        stopping = asyncio.create_task(self.follower.stop())
        await asyncio.wait({stopping}, timeout=_STOP_S)
        for task in self._tasks:
            task.cancel()
        await stopping
        if self._ahead:
            await asyncio.gather(self._ahead, return_exceptions=True)
            self._ahead = None

    async def rewind(self, position: int) -> None:
        """Go on from there. What the upstream has and can tell, it will not take twice."""
        await self._halt()
        await self._database.run(outgoing.confirmed, self.name, position)
        self._chunk = self._plan = None
        self._written = position
        self.follower = self._follow(position)
        self.follower.start()

    def status(self) -> Status:
        chunk, counts = self._chunk, self.counts
        failing = self.last_error is not None and self.next_try_at > 0
        return Status(
            self.name,
            self.settings.kind,
            self.settings.url,
            "stopped" if self.denied else "trying again" if failing else "running",
            self.follower.position,
            self.follower.lag,
            max(0.0, time.time() - chunk.rows[0].received_at / 1000)
            if chunk and chunk.rows
            else 0.0,
            counts.in_flight,
            counts.events,
            counts.batches,
            counts.retries,
            counts.refused,
            counts.bytes,
            self.pace.size,
            self.pace.width,
            self.last_error,
            self.last_error_at or None,
            self.next_try_at or None,
        )

    async def _step(self, after: int, last_seq: int) -> int:
        if self._chunk is None:
            self._chunk = await self._read(after, last_seq)
            self._queues = self.pace.split(self._chunk.rows)
            self._more_until = time.monotonic() + _MOVE_S
        while any(self._queues):
            await self._deliver()
            self._sent_at = time.monotonic()
        chunk, self._chunk = self._chunk, None
        await self._confirm(chunk)
        return chunk.upto

    async def _read(self, after: int, last_seq: int) -> outgoing.Chunk:
        if self._plan is not None:
            after, last_seq = self._plan
            size, most = last_seq - after, 1 << 40
        else:
            last_seq = await self._gathered(after, last_seq)
            size = self.pace.size * self.pace.width
            most = self._most_bytes
        ahead, self._ahead = self._ahead, None
        chunk = await ahead if ahead else None
        if chunk is None or chunk.after != after:
            chunk = await self._fetch(after, last_seq, size, most)
        if chunk.whole and self.upstream.exact:
            self._read_ahead(chunk.upto, size, most)
        if chunk.rows and not self.upstream.exact and self._plan is None:
            await self._database.run(outgoing.begin, self.name, chunk.after, chunk.upto)
            self._plan = (chunk.after, chunk.upto)
        return chunk

    def _read_ahead(self, after: int, size: int, most: int) -> None:
        """The next is read while this one travels."""
        self._ahead = asyncio.create_task(self._fetch(after, self._committed.seq, size, most))

    async def _more(self, queue: deque[list[Outgoing]]) -> bool:
        """Put what was read ahead behind what is left, so that a lane that is done waits for no
        other; not for longer than until the cursor is to be written. True when the queue got
        something."""
        ahead, chunk = self._ahead, self._chunk
        if ahead is None or chunk is None or not self._takes_more():
            return False
        await asyncio.wait({ahead})  # several lanes wait for it; one that is cancelled leaves it
        if ahead is self._ahead and chunk is self._chunk and self._takes_more():
            self._take_in(chunk, ahead.result())
        return bool(queue)

    def _takes_more(self) -> bool:
        return self.pace.settled and time.monotonic() < self._more_until

    def _take_in(self, chunk: outgoing.Chunk, ahead: outgoing.Chunk) -> None:
        waiting = sum(len(rows) for queue in self._queues for rows in queue)
        if waiting > len(ahead.rows) or ahead.after != chunk.upto:
            return
        self._ahead = None
        self.pace.join(self._queues, ahead.rows)
        # `rows` of a chunk are looked at for the oldest one's age alone.
        self._chunk = outgoing.Chunk(chunk.after, ahead.upto, ahead.rows, ahead.whole)
        if ahead.whole:
            self._read_ahead(ahead.upto, self.pace.size * self.pace.width, self._most_bytes)

    async def _fetch(self, after: int, last_seq: int, size: int, most: int) -> outgoing.Chunk:
        return await self._reader.run(
            outgoing.chunk, self.upstream.form, self._filter, after, last_seq, size, most
        )

    async def _gathered(self, after: int, last_seq: int) -> int:
        """Let a few events wait for more: a request costs as much as a hundred events."""
        waited = time.monotonic() - self._sent_at
        if last_seq - after < self.pace.size and waited < self.settings.linger_s:
            await self.follower.rest(self.settings.linger_s - waited)
        return max(last_seq, self._committed.seq)

    @property
    def _most_bytes(self) -> int:
        return self.settings.batch_bytes * self.pace.width

    async def _deliver(self) -> None:
        """Send what is left of the chunk. Raises Rest when it cannot be sent now."""
        tasks = {asyncio.create_task(self._drain(queue)) for queue in self._queues}
        self._tasks |= tasks
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._tasks -= tasks
        failures = [result for result in results if isinstance(result, BaseException)]
        if not failures:
            self.denied = None
            self.next_try_at = 0
            whole = self._chunk is not None and self._chunk.whole
            self.pace.went_well(max(r for r in results if isinstance(r, float)), whole)
            return
        for failure in failures:
            if not isinstance(failure, Denied | Unreached | asyncio.CancelledError):
                raise failure
        self._rest(failures)

    def _rest(self, failures: list[BaseException]) -> None:
        said = next((f for f in failures if isinstance(f, Denied)), failures[0])
        self.last_error, self.last_error_at = str(said) or "cut off by the stop", time.time()
        self.counts.retries += 1
        if isinstance(said, Denied):
            if self.denied is None:
                log.error("upstream %s is stopped, everything is kept: %s", self.name, said)
            self.denied = str(said)
            pause = self.settings.denied_s
        else:
            self.pace.failed()
            asked = max(f.retry_after_s if isinstance(f, Unreached) else 0 for f in failures)
            pause = self.pace.rest_s(asked)
        self.next_try_at = time.time() + pause
        raise Rest(self.last_error, pause)

    async def _drain(self, queue: deque[list[Outgoing]]) -> float:
        """Send a queue's batches one after the other, halved where they are not taken; returns
        the longest time that an answer took."""
        slowest = 0.0
        while queue or await self._more(queue):
            started = time.monotonic()
            rows = queue[0]
            try:
                await self._send(rows)
            except (TooLarge, Unwanted) as error:
                if isinstance(error, TooLarge):
                    self.pace.too_large(len(rows))
                if len(rows) == 1:
                    status = error.status if isinstance(error, Unwanted) else 413
                    await self._refuse(rows[0], status, str(error))
                queue.popleft()
                middle = len(rows) // 2
                queue.extendleft([half for half in (rows[middle:], rows[:middle]) if middle])
            except (Denied, Unreached):
                self._more_until = 0.0
                raise
            else:
                queue.popleft()
                slowest = max(slowest, time.monotonic() - started)
        return slowest

    async def _send(self, rows: list[Outgoing]) -> None:
        token = f"{self._node_id}:{self.name}:{rows[0].seq}-{rows[-1].seq}"
        self.counts.in_flight += 1
        try:
            refusals = await self.upstream.send(Batch(token, rows))
        finally:
            self.counts.in_flight -= 1
        if len(refusals) < len(rows):
            self._refused_in_a_row = 0
        for refusal in refusals:
            await self._refuse(rows[refusal.index], refusal.status, refusal.words)
        self.counts.bytes = self.upstream.sent_bytes
        self.counts.batches += 1
        self.counts.events += len(rows) - len(refusals)

    async def _refuse(self, row: Outgoing, status: int, words: str) -> None:
        """The upstream will never have this event."""
        if self._refused_in_a_row >= _ALL_REFUSED:
            raise Denied(f"it refuses every event, the last with: {words}")
        self._refused_in_a_row += 1
        self.counts.refused += 1
        log.warning("event %d is refused by %s and goes to rejected: %s", row.seq, self.name, words)
        await self._database.run(
            outgoing.refuse,
            self.name,
            row,
            clock.now_ms(),
            status,
            words,
            self._rejected_per_site,
        )

    async def _confirm(self, chunk: outgoing.Chunk) -> None:
        due = time.monotonic() - self._written_at >= _MOVE_S
        if (chunk.rows and not self.upstream.exact) or due:
            await self._write_cursor(chunk.upto)

    async def _write_cursor(self, position: int) -> None:
        await self._database.run(outgoing.confirmed, self.name, position)
        self._plan = None
        self._written = position
        self._written_at = time.monotonic()


async def open_forwarder(
    settings: Forward,
    upstream: Upstream,
    database: db.Database,
    committed: Committed,
    node_id: str,
    rejected_per_site: int,
) -> Forwarder:
    """With a reader of its own: no upstream waits for another's."""
    try:
        start = Start(*await database.run(outgoing.start, settings.name))
        reader = await Reader.open(database.path)
    except CollectorError as error:
        raise CollectorError(f"forward {settings.name}: {error}") from None
    return Forwarder(
        settings, upstream, database, reader, committed, node_id, start, rejected_per_site
    )
