"""Tells the centre how this node is, and learns how far the clocks are apart."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from collector import __version__, clock
from collector.errors import CollectorError
from collector.workers.forwarder import Forwarder

log = logging.getLogger(__name__)

_PATH = "/v1/edge/heartbeat"
Ask = Callable[[str, Any], Awaitable[bytes]]


class _Said(msgspec.Struct):
    now: int


class Heartbeat:
    """`full_in_s`: seconds until the spool is full, None when that is not in sight."""

    def __init__(
        self,
        forwarder: Forwarder,
        ask: Ask,
        node_id: str,
        settings: str,
        full_in_s: Callable[[], float | None],
    ) -> None:
        self.clock_offset_ms: int | None = None
        self._forwarder = forwarder
        self._ask = ask
        self._node_id = node_id
        self._settings = settings
        self._full_in_s = full_in_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"heartbeat {self._forwarder.name}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._beat()
            except CollectorError as error:  # the forwarder says it aloud
                log.debug("no heartbeat: %s", error)
            except Exception:  # supervised: the next one is tried all the same
                log.exception("the heartbeat failed")
            await asyncio.sleep(self._forwarder.settings.heartbeat_s)

    async def _beat(self) -> None:
        status = self._forwarder.status()
        before = clock.now_ms()
        said = await self._ask(
            _PATH,
            {
                "node": self._node_id,
                "version": __version__,
                "settings": self._settings,
                "clock_offset_ms": self.clock_offset_ms,
                "backlog_events": status.lag_events,
                "backlog_s": status.lag_s,
                "full_in_s": self._full_in_s(),
            },
        )
        after = clock.now_ms()
        try:
            now = msgspec.json.decode(said, type=_Said).now
        except msgspec.DecodeError as error:
            raise CollectorError(f"the centre's answer is not understood: {error}") from None
        self.clock_offset_ms = now - (before + after) // 2
