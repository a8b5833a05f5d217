"""Audiences and who is told of them, put together. Part of app.py, on its floor."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from collector.audience.consent import Policy
from collector.audience.define import one
from collector.audience.layouts import LAYOUTS, Person
from collector.clock import now_ms
from collector.config import Config
from collector.errors import CollectorError
from collector.event import Event
from collector.store import audiences as store
from collector.store import members
from collector.store.database import Database
from collector.store.reader import Reader
from collector.upstream.destinations import KINDS
from collector.workers.audiences import Audiences, target
from collector.workers.deliveries import Courier, OwnLog
from collector.workers.follow import Committed, Follower
from collector.workers.preview import preview

_PORTION = 2000


class Membership:
    """`projected` tells how far people are known, `committed` how far the log goes. Raises
    ConfigError for a wrong rule."""

    def __init__(
        self,
        config: Config,
        database: Database,
        reader: Reader,
        delivering: Reader,
        projected: Committed,
        committed: Committed,
    ) -> None:
        self._config = config
        self._database = database
        self._reader = reader
        self._delivering = delivering
        self._projected = projected
        self._committed = committed
        self.couriers: list[Courier] = []
        self.audiences = self._made()
        self._follower: Follower

    def _made(self) -> Audiences:
        return Audiences(self._reader, self._database, self._config, self._wake, self._committed)

    async def resume(self) -> None:
        """Begin to judge, or go on after `pause`."""
        self.audiences = self._made()
        position = await self.audiences.start()
        self._follower = Follower(store.CURSOR, self.audiences, self._projected, position)
        self._follower.start()

    async def pause(self) -> None:
        """Judge nobody meanwhile; what is in the outbox is delivered all the same."""
        await self._follower.stop()
        await self.audiences.stop()

    async def start(self, append: Callable[[list[Event]], Awaitable[None]]) -> None:
        await self.resume()
        longest = max((d.longest_pause_s for d in self._config.destination), default=60.0)
        self.couriers = [
            Courier("", OwnLog(append), None, self._delivering, self._database, longest)
        ]
        for settings in self._config.destination:
            self.couriers.append(
                Courier(
                    settings.name,
                    KINDS[settings.kind](settings),
                    target(settings).policy,
                    self._delivering,
                    self._database,
                    settings.longest_pause_s,
                )
            )
        for courier in self.couriers:
            courier.start()

    async def stop(self) -> None:
        if hasattr(self, "_follower"):
            await self.pause()
        for courier in self.couriers:
            await courier.stop()

    def _wake(self) -> None:
        for courier in self.couriers:
            courier.wake()

    def rows(self) -> dict[str, str]:
        """Of the status page."""
        lag, evaluating = self._follower.lag, self.audiences.evaluating
        said = f"{lag:,} events behind" if lag else "up to date"
        if evaluating:
            said += f", {evaluating} new ones being evaluated"
        failure = self._follower.failure or self.audiences.failure
        rows = {"audiences": f"{said} ({failure})" if failure else said}
        for courier in self.couriers:
            rows[f"told {courier.name or 'the log'}"] = (
                f"{courier.delivered:,} changes since start"
                + (f" ({courier.failure})" if courier.failure else "")
            )
        return rows

    def metrics(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "collector_audiences_lag_events",
            "Events that memberships do not yet speak of.",
            value=self._follower.lag,
        )
        delivered = CounterMetricFamily(
            "collector_delivered_changes", "Changes told.", labels=["destination"]
        )
        withheld = CounterMetricFamily(
            "collector_withheld_changes", "Changes of people who refused.", labels=["destination"]
        )
        failing = GaugeMetricFamily(
            "collector_destination_failing", "1 while it cannot be told.", labels=["destination"]
        )
        for courier in self.couriers:
            name = [courier.name or "log"]
            delivered.add_metric(name, courier.delivered)
            withheld.add_metric(name, courier.withheld)
            failing.add_metric(name, float(courier.failure is not None))
        yield from (delivered, withheld, failing)

    async def summaries(self) -> list[members.Summary]:
        return await self._reader.run(members.summaries)

    async def export(self, audience: str, layout: str) -> AsyncIterator[list[Person]]:
        """The members that the layout's policy allows, in portions. Raises CollectorError."""
        if audience not in {a.name for a in self._config.audience}:
            raise CollectorError(f"there is no audience {audience!r}")
        if layout not in LAYOUTS:
            raise CollectorError(f"layout: expected one of {', '.join(LAYOUTS)}")
        policy = LAYOUTS[layout].policy
        async for portion in exported(self._delivering, audience, policy):
            yield portion

    async def preview(self, rule: Any, at: int | None) -> tuple[int, int]:
        """How many belonged, of how many people. Raises ConfigError."""
        node = one(rule, self._config.audience)
        looked = belonged = 0
        most = self._config.evaluation.history_events
        async for people, found in preview(
            self._delivering, node, now_ms() if at is None else at, "", most
        ):
            looked += people
            belonged += len(found)
        return belonged, looked


async def exported(
    reader: Reader, audience: str, policy: Policy | None
) -> AsyncIterator[list[Person]]:
    """Members in portions; with a policy only those whom it allows."""
    first: int | None = 0
    while first is not None:
        portion, first = await reader.run(members.members, audience, policy, first, _PORTION)
        yield portion
