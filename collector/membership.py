"""Audiences and who is told of them, put together. Part of app.py, on its floor.

Those of the settings and those saved in the database are judged alike. Where there are none,
nothing follows the log, until somebody tries a rule.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from collector.audience.consent import Policy
from collector.audience.define import define, one
from collector.audience.layouts import LAYOUTS, Person
from collector.audience.rule import parse
from collector.clock import now_ms
from collector.config import Config
from collector.config_audiences import AudienceConfig
from collector.errors import CollectorError, ConfigError, StoreUnavailable
from collector.event import Event
from collector.settings import check_audiences
from collector.store import audiences as store
from collector.store import members, saved
from collector.store.database import Database
from collector.store.reader import Reader
from collector.upstream.destinations import KINDS
from collector.workers.audiences import Audiences, target
from collector.workers.courtesy import Courtesy
from collector.workers.deliveries import Courier, OwnLog
from collector.workers.follow import Committed, Follower
from collector.workers.preview import preview

log = logging.getLogger(__name__)

_PORTION = 2000
_EXAMPLES = 20


class Membership:
    """`projected` tells how far people are known, `committed` how far the log goes. Raises
    ConfigError for a wrong rule of the settings."""

    def __init__(
        self,
        config: Config,
        database: Database,
        reader: Reader,
        delivering: Reader,
        projected: Committed,
        committed: Committed,
        courtesy: Courtesy,
    ) -> None:
        define(config.audience)
        self._config = config
        self._courtesy = courtesy
        self._database = database
        self._reader = reader
        self._delivering = delivering
        self._projected = projected
        self._committed = committed
        self._saved: dict[str, AudienceConfig] = {}
        self._trying = False  # somebody has tried a rule: the index is needed
        self._changing = asyncio.Lock()
        self._append: Callable[[list[Event]], Awaitable[None]]
        self.couriers: list[Courier] = []
        self.audiences: Audiences
        self._follower: Follower | None = None

    @property
    def defined(self) -> dict[str, AudienceConfig]:
        """All that are judged."""
        return {**{a.name: a for a in self._config.audience}, **self._saved}

    async def start(self, append: Callable[[list[Event]], Awaitable[None]]) -> None:
        self._append = append
        await self._resume()

    async def stop(self) -> None:
        await self._pause()
        for courier in self.couriers:
            await courier.stop()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nobody is judged inside; what is in the outbox is delivered all the same."""
        async with self._changing:
            await self._pause()
            try:
                yield
            finally:
                await self._resume()

    async def reload(self, config: Config) -> None:
        """Go by these audiences and destinations from now on. What a destination that is gone
        was to be told waits for one of its name. Raises ConfigError, and then nothing changed."""
        define(config.audience)
        async with self._changing:
            await self._pause()
            if config.destination != self._config.destination:
                for courier in self.couriers:
                    await courier.stop()
                self.couriers = []
            self._config = config
            await self._resume()

    async def _pause(self) -> None:
        if self._follower:
            await self._follower.stop()
            await self.audiences.stop()
            self._follower = None

    async def _resume(self) -> None:
        """Judge by what is defined now."""
        self._saved = self._usable(await self._reader.run(saved.saved))
        if not self.defined and not self._trying:
            await self._database.run(store.retire)
            return
        config = msgspec.structs.replace(self._config, audience=tuple(self.defined.values()))
        self.audiences = Audiences(
            self._reader,
            self._database,
            config,
            self._wake,
            self._committed,
            self._courtesy,
        )
        position = await self.audiences.start()
        self._follower = Follower(store.CURSOR, self.audiences, self._projected, position)
        self._follower.start()
        if not self.couriers:
            self._start_couriers()

    def _usable(self, found: list[AudienceConfig]) -> dict[str, AudienceConfig]:
        """The saved ones that go with the settings as they are now; the others wait there."""
        usable: dict[str, AudienceConfig] = {}
        left = {a.name: a for a in found}
        while fitting := [a for a in left.values() if not self._wrong([*usable.values(), a])]:
            usable |= {a.name: a for a in fitting}
            left = {name: a for name, a in left.items() if name not in usable}
        for name, audience in left.items():
            why = self._wrong([*usable.values(), audience])
            log.warning("the saved audience %s is left out: %s", name, why)
        return usable

    def _wrong(self, more: list[AudienceConfig]) -> ConfigError | None:
        """What is wrong with the settings' audiences and these."""
        together = (*self._config.audience, *more)
        try:
            check_audiences(msgspec.structs.replace(self._config, audience=together))
            define(together)
        except ConfigError as error:
            return error
        return None

    def _start_couriers(self) -> None:
        settings = self._config.destination
        longest = max((d.longest_pause_s for d in settings), default=60.0)
        own = OwnLog(self._append)
        self.couriers = [Courier("", own, None, self._delivering, self._database, longest)]
        for told in settings:
            self.couriers.append(
                Courier(
                    told.name,
                    KINDS[told.kind](told),
                    target(told).policy,
                    self._delivering,
                    self._database,
                    told.longest_pause_s,
                )
            )
        for courier in self.couriers:
            courier.start()

    def _wake(self) -> None:
        for courier in self.couriers:
            courier.wake()

    async def save(self, audience: AudienceConfig) -> None:
        """Keep it, anew or changed, and judge by it from now on. Raises ConfigError."""
        self._not_of_the_settings(audience.name)
        parse(audience.rule)
        async with self.paused():
            others = [a for a in self._saved.values() if a.name != audience.name]
            if wrong := self._wrong([*others, audience]):
                raise wrong
            await self._database.run(saved.save, audience)

    async def remove(self, name: str) -> None:
        """Take a saved one away, and its members with it. Raises ConfigError."""
        self._not_of_the_settings(name)
        async with self.paused():
            if name not in self._saved:
                raise ConfigError(f"there is no saved audience {name!r}")
            if wrong := self._wrong([a for a in self._saved.values() if a.name != name]):
                raise ConfigError(f"{name} is still needed: {wrong}")
            await self._database.run(saved.drop, name)

    def _not_of_the_settings(self, name: str) -> None:
        if name in {a.name for a in self._config.audience}:
            raise ConfigError(f"name: {name} stands in the settings and is changed there")

    @property
    def lag(self) -> int:
        return self._follower.lag if self._follower else 0

    def rows(self) -> dict[str, str]:
        """Of the status page."""
        if not self._follower:
            return {}
        lag, evaluating = self.lag, self.audiences.evaluating
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
        if not self._follower:
            return
        yield GaugeMetricFamily(
            "collector_audiences_lag_events",
            "Events that memberships do not yet speak of.",
            value=self.lag,
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

    async def summaries(self) -> list[dict[str, Any]]:
        found = await self._reader.run(members.summaries)
        return [
            {**msgspec.structs.asdict(summary), "saved": summary.name in self._saved}
            for summary in found
            if summary.name in self.defined
        ]

    async def details(self, name: str) -> dict[str, Any]:
        """An audience as it is defined, how many are in it, and what destinations know of it."""
        audience = self._of(name)
        summary: dict[str, Any] = {"members": 0, "evaluated_at": None}  # as it is being saved
        for found in await self.summaries():
            summary = found if found["name"] == name else summary
        told = await self._reader.run(members.deliveries, name)
        failures = {courier.name: courier.failure for courier in self.couriers}
        return {
            **msgspec.to_builtins(audience),
            **summary,
            "deliveries": [
                {**msgspec.structs.asdict(known), "failure": failures.get(known.destination)}
                for known in told
            ],
        }

    async def history(self, name: str, bounds: list[int]) -> dict[str, list[int | None]]:
        self._of(name)
        return await self._reader.run(members.history, name, bounds)

    def _of(self, name: str) -> AudienceConfig:
        if name not in self.defined:
            raise CollectorError(f"there is no audience {name!r}")
        return self.defined[name]

    async def export(self, audience: str, layout: str) -> AsyncIterator[list[Person]]:
        """The members that the layout's policy allows, in portions. Raises CollectorError."""
        self._of(audience)
        if layout not in LAYOUTS:
            raise CollectorError(f"layout: expected one of {', '.join(LAYOUTS)}")
        policy = LAYOUTS[layout].policy
        async for portion in exported(self._delivering, audience, policy):
            yield portion

    async def preview(self, rule: Any, site: str, at: int | None) -> AsyncIterator[dict[str, Any]]:
        """How many belonged, of how many people looked at so far and in all; the last one with
        who they are, as far as a list goes. Raises ConfigError, and StoreUnavailable as long as
        the events are not yet in the index."""
        node = one(rule, self.defined.values())
        await self._indexed()
        everybody = await self._delivering.run(members.everybody)
        looked = belonged = 0
        shown: list[int] = []
        most = self._config.evaluation.history_events
        moment = now_ms() if at is None else at
        async for people, found in preview(self._delivering, node, moment, site, most):
            looked += people
            belonged += len(found)
            shown += found[: _EXAMPLES - len(shown)]
            yield {"members": belonged, "people": looked, "of": everybody}
        who = await self._delivering.run(members.who, shown)
        yield {"success": True, "members": belonged, "people": looked, "who": who}

    async def _indexed(self) -> None:
        if not self._follower:
            self._trying = True
            async with self.paused():
                pass
        if behind := self.audiences.behind:
            raise StoreUnavailable(f"events are being indexed for audiences, {behind:,} to go")


async def exported(
    reader: Reader, audience: str, policy: Policy | None
) -> AsyncIterator[list[Person]]:
    """Members in portions; with a policy only those whom it allows."""
    first: int | None = 0
    while first is not None:
        portion, first = await reader.run(members.members, audience, policy, first, _PORTION)
        yield portion
