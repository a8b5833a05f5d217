"""Retention: the log's oldest events go when they are older than the settings say, or when the
database is larger.

People, purchases and leads stay as they are. So that they can be made anew all the same, a
database of its own, the snapshot, is first brought to what they were at the horizon: it is given
the events that are to go, projects them, and drops them. In that order, so that a kill at any
point leaves either the event or what it stood for.

The clock is believed with caution: set ten years ahead by a mistake, it would empty the log at
once. A leap is followed at sixty times the speed of time, a month in twelve hours; while it is
set back by more than a day, nothing goes.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from collector import clock
from collector.config import Config
from collector.errors import CollectorError
from collector.store import cursors, people, retention, visits
from collector.store.database import Database, open_database
from collector.store.reader import Reader
from collector.store.retention import DAY_MS
from collector.workers.projector import Projector
from collector.workers.visits import Visits

log = logging.getLogger(__name__)

SNAPSHOT = "snapshot.db"
_PIECE = 500  # events in one step
_PAGES = 250  # given back in one step: 2 MB
_SPEED = 60  # times that of time, at which a leap of the clock is followed


class Snapshot:
    """People, purchases and leads as of the log's horizon."""

    def __init__(self, database: Database, reader: Reader, projector: Projector) -> None:
        self.database = database
        self.reader = reader
        self.projector = projector
        self.visits = Visits(reader, database, projector.lock)

    @classmethod
    async def open(cls, folder: Path, config: Config) -> "Snapshot":
        store = config.store
        database = await open_database(folder / SNAPSHOT, store.durability, store.checkpoint_pages)
        reader = await Reader.open(folder / SNAPSHOT)
        projector = Projector(reader, database, config.people)
        return cls(database, reader, projector)

    async def take_over(self, rows: list[cursors.Row]) -> None:
        """Project events that are about to leave the log."""
        at = await self.reader.run(cursors.position, people.CURSOR)
        rows = [row for row in rows if row.seq > at]
        if rows:
            await self.database.run(retention.put_events, rows)
            while at < rows[-1].seq:
                at = await self.projector(at, rows[-1].seq)
        seen = await self.reader.run(cursors.position, visits.CURSOR)
        while seen < at:
            seen = await self.visits(seen, at)
        await self.database.run(retention.expire, at)

    async def close(self) -> None:
        await self.reader.close()
        await self.database.close()


class Retention:
    """The task. `snapshot()` opens the snapshot, made when there is none; None where nothing is
    projected."""

    def __init__(
        self,
        config: Config,
        database: Database,
        reader: Reader,
        snapshot: Callable[[], Awaitable[Snapshot]] | None,
    ) -> None:
        self._keep_ms = config.store.keep_ms
        self._most_bytes = config.store.retention_bytes
        self._every_s = config.store.retention_every_s
        self._database = database
        self._reader = reader
        self._snapshot = snapshot
        self.lock = asyncio.Lock()  # held while events are on their way to the snapshot
        self.expired_events = 0
        self._looked_at = time.monotonic() - self._every_s
        self._leapt = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._keep_ms is not None or self._most_bytes:
            self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        if self._task:
            async with self.lock:
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        failed = False
        while True:
            try:
                while await self.step():  # noqa: ASYNC110  (work, not waiting)
                    await asyncio.sleep(0.05)  # others come first
                failed = False
            except CollectorError as error:
                if not failed:
                    log.warning("old events stay for now: %s", error)
                failed = True
            await asyncio.sleep(self._every_s)

    async def step(self) -> bool:
        """One piece; False when nothing is left to do."""
        async with self.lock:
            upto = await self._due()
            if upto:
                if self._snapshot:
                    rows = await self._reader.run(cursors.events_after, 0, upto, _PIECE)
                    await (await self._snapshot()).take_over(rows)
                self.expired_events += await self._database.run(retention.expire, upto)
            left = await self._database.run(retention.give_back, _PAGES)
        return bool(upto or left)

    async def _due(self) -> int:
        """Up to which number the log may go: what is too old, then what is too much."""
        upto = 0
        if self._keep_ms is not None:
            now = await self._now()
            if now is not None:
                upto = await self._reader.run(retention.horizon, now - self._keep_ms, now, _PIECE)
        if not upto and self._most_bytes:
            upto = await self._reader.run(retention.surplus, self._most_bytes, _PIECE)
        return upto

    async def _now(self) -> int | None:
        """What is taken for the time; None when the clock is far behind what it has been."""
        elapsed_s, now = time.monotonic() - self._looked_at, clock.now_ms()
        most_ms = int(_SPEED * elapsed_s * 1000)
        believed, latest = await self._database.run(retention.believed, now, most_ms)
        self._looked_at += elapsed_s
        self._say((now - latest) / DAY_MS)
        return believed if believed > latest - DAY_MS else None

    def _say(self, days: float) -> None:
        if abs(days) > 1 and not self._leapt:
            how = "more slowly" if days > 0 else "when it is there again"
            log.warning(
                "the clock has leapt by %+.0f days: set it right if it is wrong, old events go by "
                "it, only %s",
                days,
                how,
            )
        self._leapt = abs(days) > 1
