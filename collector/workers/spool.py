"""What waits for upstreams stays within bounds, and what all of them have makes room.

Invariant: an event that an upstream still lacks is deleted by the policy `drop_oldest` only, and
then counted as lost; under `refuse` new events get 503 until there is room again.
"""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from collector.errors import CollectorError
from collector.fleet import Spool as Settings
from collector.store import database as db
from collector.store import spool
from collector.store.reader import Reader

log = logging.getLogger(__name__)

_LOOK_S = 2.0
_ROUND = 2000  # events deleted in one transaction: ingest waits for no longer one
_SAMPLES = 60


class State(msgspec.Struct):
    """`reached`: which bound is, None when there is room."""

    bytes: int = 0
    free_bytes: int = 0
    oldest_waiting_s: float = 0.0
    reached: str | None = None
    lost_events: int = 0


class Spool:
    """`delivered`: up to which number all upstreams have everything. `hold`: refuse new events
    for that reason, or take them again (None)."""

    def __init__(
        self,
        settings: Settings,
        edge: bool,
        database: db.Database,
        reader: Reader,
        node_id: str,
        delivered: Callable[[], int],
        hold: Callable[[str | None], None],
    ) -> None:
        self.state = State()
        self._settings = settings
        self._edge = edge
        self._database = database
        self._reader = reader
        self._node_id = node_id
        self._delivered = delivered
        self._hold = hold
        self._sizes: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="spool")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._reader.close()

    def full_in_s(self) -> float | None:
        """At the pace of the last two minutes."""
        if len(self._sizes) < 2 or not (self._settings.max_bytes or self._settings.min_free_bytes):
            return None
        (then, before), (now, size) = self._sizes[0], self._sizes[-1]
        grown = (size - before) / max(0.001, now - then)
        if grown <= 0:
            return None
        room = self.state.free_bytes - self._settings.min_free_bytes
        if self._settings.max_bytes:
            room = min(room, self._settings.max_bytes - size)
        return max(0.0, room / grown)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except CollectorError as error:
                log.warning("the spool cannot be looked at: %s", error)
            except Exception:  # supervised: told, and tried again
                log.exception("the spool cannot be looked at")
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Expire, measure, and act on what is found."""
        if self._edge:
            await self._expire()
        await self._measure()
        if self.state.reached is None or self._settings.policy == "refuse":
            self._hold(self.state.reached and f"the spool is full: {self.state.reached}")
            return
        self._hold(None)
        while self.state.reached is not None and await self._drop():
            await self._measure()

    async def _expire(self) -> None:
        """Delete what all upstreams have and is older than the setting."""
        until = int((time.time() - self._settings.keep_s) * 1000)
        while await self._database.run(spool.expire, self._delivered(), until, _ROUND):
            pass
        await self._give_back()

    async def _give_back(self) -> None:
        while await self._database.run(spool.give_back):
            pass

    async def _drop(self) -> bool:
        """Delete the oldest events, delivered or not."""
        found = await self._database.run(
            spool.drop_oldest, self._node_id, self._delivered(), _ROUND
        )
        if found.lost:
            if not self.state.lost_events:
                log.error("the spool is full, the oldest events are dropped: events are lost")
            self.state.lost_events += found.lost
        await self._give_back()
        return found.deleted > 0

    async def _measure(self) -> None:
        settings, state = self._settings, self.state
        size, oldest = await self._reader.run(spool.measure, self._delivered())
        disk = os.statvfs(Path(self._database.path).parent)
        state.bytes, state.free_bytes = size, disk.f_bavail * disk.f_frsize
        state.oldest_waiting_s = max(0.0, time.time() - oldest / 1000) if oldest else 0.0
        self._sizes.append((time.monotonic(), size))
        state.reached = None
        if settings.max_bytes and size >= settings.max_bytes:
            state.reached = f"spool.max_bytes ({settings.max_bytes:,})"
        elif settings.min_free_bytes and state.free_bytes < settings.min_free_bytes:
            state.reached = f"spool.min_free_bytes ({settings.min_free_bytes:,})"
        elif settings.max_age_s and state.oldest_waiting_s > settings.max_age_s:
            state.reached = f"spool.max_age_s ({settings.max_age_s:g})"
