"""Passes erasures on to one upstream that can erase, each after the events that it was found in.

It goes on for as long as it takes; how often a thing is said makes no difference to who hears it.
"""

import asyncio
import logging
import random

from collector.errors import CollectorError
from collector.store.erasures import Erasure, Erasures
from collector.workers.forwarder import Forwarder

log = logging.getLogger(__name__)

_FIRST_REST_S = 0.2


class Teller:
    def __init__(self, forwarder: Forwarder, erasures: Erasures) -> None:
        self.error: str | None = None
        self._forwarder = forwarder
        self._erasures = erasures
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._erasures.of(self._forwarder.name))

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"erasures {self._forwarder.name}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while True:
            erasure = await self._erasures.next(self._forwarder.name)
            try:
                await self._tell(erasure)
                failures, self.error = 0, None
            except CollectorError as error:
                failures += 1
                self._failed(str(error))
            except Exception as error:  # supervised: shown, and tried again
                failures += 1
                log.exception("an erasure cannot be passed on to %s", self._forwarder.name)
                self._failed(f"{type(error).__name__}: {error}")
            if failures:
                longest = min(
                    self._forwarder.settings.retry_s, _FIRST_REST_S * 2 ** min(failures, 16)
                )
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311

    async def _tell(self, erasure: Erasure) -> None:
        """Behind the events that were on their way when it was erased here: some of the person's
        may be among them."""
        await self._forwarder.reached.beyond((erasure.seq or 0) - 1)
        await self._forwarder.upstream.forget(erasure.id, erasure.names)
        self._erasures.done_by(erasure, self._forwarder.name)
        log.info("%s has done erasure %s", self._forwarder.name, erasure.id)

    def _failed(self, why: str) -> None:
        if self.error is None:
            log.warning(
                "%s cannot be told of an erasure yet, it is kept: %s", self._forwarder.name, why
            )
        self.error = why
