"""All upstreams of a collector, put together. Part of app.py, on its floor."""

import asyncio
from collections.abc import Iterator

from prometheus_client.core import Metric

from collector.config import Config
from collector.errors import CollectorError
from collector.store import database as db
from collector.store import outbox
from collector.store.log import EventLog
from collector.upstream import table
from collector.workers import forward_metrics
from collector.workers.follow import Committed
from collector.workers.forwarder import Forwarder, Status, open_forwarder


class Forwarding:
    def __init__(
        self, config: Config, database: db.Database, event_log: EventLog, committed: Committed
    ) -> None:
        self.forwarders: list[Forwarder] = []
        self._config = config
        self._database = database
        self._log = event_log
        self._committed = committed

    async def start(self) -> None:
        for settings in self._config.forward:
            forwarder = await open_forwarder(
                settings,
                table.make(settings),
                self._database,
                self._committed,
                self._log.node_id,
                self._config.store.rejected_per_site,
            )
            self.forwarders.append(forwarder)
            forwarder.start()

    async def stop(self) -> None:
        await asyncio.gather(*(forwarder.stop() for forwarder in self.forwarders))

    def metrics(self) -> Iterator[Metric]:
        return forward_metrics.collect(self.forwarders)

    def status(self) -> list[Status]:
        return [forwarder.status() for forwarder in self.forwarders]

    def rows(self) -> dict[str, str]:
        """Of the status page."""
        return {f"upstream {status.name}": describe(status) for status in self.status()}

    async def rewind(self, name: str, seq: int | None, time_ms: int | None) -> int:
        """Raises CollectorError. Returns where the cursor stands."""
        found = [forwarder for forwarder in self.forwarders if forwarder.name == name]
        if not found:
            known = ", ".join(forwarder.name for forwarder in self.forwarders) or "none"
            raise CollectorError(f"there is no upstream {name}; known: {known}")
        if (seq is None) == (time_ms is None):
            raise CollectorError("either a number or a time is needed")
        if time_ms is not None:
            seq = await self._database.run(outbox.first_since, time_ms)
        position = min(max(0, seq or 0), self._committed.seq)
        await found[0].rewind(position)
        return position


def describe(status: Status) -> str:
    said = f"{status.state}, {status.lag_events:,} events behind"
    if status.lag_events:
        said += f" ({status.lag_s:,.0f} s)"
    if status.state != "running" and status.last_error:
        said += f": {status.last_error}"
    return said
