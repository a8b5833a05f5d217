"""All upstreams of a collector, and all its edges, put together. Part of app.py, on its floor."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterator

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from collector.config import Config
from collector.errors import CollectorError
from collector.store import audit, outgoing
from collector.store import database as db
from collector.store.erasures import Erasures
from collector.store.log import EventLog
from collector.store.reader import Reader
from collector.upstream import table
from collector.upstream.http import Http
from collector.workers import forward_metrics
from collector.workers.auditor import Auditor, Finding
from collector.workers.fleet import Fleet
from collector.workers.forwarder import Forwarder, Status, open_forwarder
from collector.workers.heartbeat import Heartbeat
from collector.workers.spool import Spool
from collector.workers.teller import Teller
from collector.workers.writer import Writer

log = logging.getLogger(__name__)

_HOLDS = (
    "is not in the settings any more, and no event that it lacks expires: `collector forward drop "
    "{name}` lets go"
)


class Forwarding:
    def __init__(
        self,
        config: Config,
        database: db.Database,
        event_log: EventLog,
        writer: Writer,
        erasures: Erasures,
    ) -> None:
        self.forwarders: list[Forwarder] = []
        self.auditors: dict[str, Auditor] = {}
        self.fleet: Fleet
        self.spool: Spool | None = None
        self._config = config
        self._database = database
        self._log = event_log
        self._writer = writer
        self._erasures = erasures
        self._heartbeats: list[Heartbeat] = []
        self._tellers: dict[str, Teller] = {}
        self._removed: dict[str, int] = {}

    async def start(self) -> None:
        self.fleet = Fleet(self._config.edge, self._database, await self._reader())
        await self.fleet.start()
        for settings in self._config.forward:
            upstream = table.make(settings)
            forwarder = await open_forwarder(
                settings,
                upstream,
                self._database,
                self._writer.committed,
                self._log.node_id,
                self._config.store.rejected_per_site,
            )
            self.forwarders.append(forwarder)
            if isinstance(upstream, Http) and upstream.exact:
                await self._be_an_edge(forwarder, upstream)
            forwarder.start()
            if upstream.erases:
                self._tellers[forwarder.name] = Teller(forwarder, self._erasures)
                self._tellers[forwarder.name].start()
        await self._look_for_removed()
        if self.forwarders:
            await self._start_spool()

    async def _look_for_removed(self) -> None:
        configured = [settings.name for settings in self._config.forward]
        self._removed = dict(await self._database.run(outgoing.removed, configured))
        for name in self._removed:
            log.warning("upstream %s %s", name, _HOLDS.format(name=name))

    async def drop(self, name: str) -> None:
        """Let go of an upstream that is not in the settings any more. Raises CollectorError."""
        if any(settings.name == name for settings in self._config.forward):
            raise CollectorError(f"{name} is in the settings: take its [[forward]] out first")
        if name not in self._removed:
            known = ", ".join(self._removed) or "none"
            raise CollectorError(f"nothing is kept for {name}; of upstreams no longer set: {known}")
        await self._database.run(outgoing.drop, name)
        self._erasures.drop(name)
        del self._removed[name]

    async def _be_an_edge(self, forwarder: Forwarder, upstream: Http) -> None:
        """Of a centre, which is told how this node is, and compared with."""
        auditor = Auditor(
            forwarder, self._database, await self._reader(), self._log.node_id, upstream.ask
        )
        self.auditors[forwarder.name] = auditor
        await auditor.start(forwarder.settings.audit_s)
        heartbeat = Heartbeat(
            forwarder, upstream.ask, self._log.node_id, settings_hash(self._config), self._full_in_s
        )
        self._heartbeats.append(heartbeat)
        heartbeat.start()

    async def _start_spool(self) -> None:
        self.spool = Spool(
            self._config.spool,
            self._config.profile == "edge",
            self._database,
            await self._reader(),
            self._log.node_id,
            self._delivered,
            self._writer.hold,
        )
        self.spool.start()

    async def restart(self, config: Config) -> None:
        """With other upstreams, edges or bounds. Cursors are stored, so that nothing is sent
        twice or left out. Raises CollectorError, and then the former ones go on."""
        former = self._config
        try:
            await self._begin_again(config)
        except CollectorError:
            await self._begin_again(former)
            raise

    async def _begin_again(self, config: Config) -> None:
        await self.stop()
        self.forwarders, self.auditors, self._heartbeats, self.spool = [], {}, [], None
        self._tellers = {}
        self._config = config
        await self.start()

    async def stop(self) -> None:
        parts: list[Heartbeat | Auditor | Spool | Fleet | Teller] = [*self._heartbeats]
        parts += [*self.auditors.values(), *self._tellers.values()]
        if self.spool is not None:
            parts.append(self.spool)
        if hasattr(self, "fleet"):
            parts.append(self.fleet)
        await asyncio.gather(*(part.stop() for part in parts))
        await asyncio.gather(*(forwarder.stop() for forwarder in self.forwarders))

    async def _reader(self) -> Reader:
        return await Reader.open(self._database.path)

    def _delivered(self) -> int:
        """Up to which number all upstreams have everything, and the audit has seen it."""
        audited = [auditor.total.upto for auditor in self.auditors.values()]
        return min([*audited, *(forwarder.follower.position for forwarder in self.forwarders)])

    def _full_in_s(self) -> float | None:
        return self.spool.full_in_s() if self.spool else None

    def metrics(self) -> Iterator[Metric]:
        yield from forward_metrics.collect(self.forwarders)
        yield from self.fleet.metrics()
        for name, (text, read) in AUDIT_GAUGES.items():
            family = GaugeMetricFamily(f"collector_{name}", text, labels=["upstream"])
            for upstream, auditor in self.auditors.items():
                family.add_metric([upstream], float(read(auditor.total)))
            yield family
        if self.spool is not None:
            for name, (text, measured) in SPOOL_GAUGES.items():
                value = float(measured(self.spool))
                yield GaugeMetricFamily(f"collector_{name}", text, value=value)

    def status(self) -> list[Status]:
        kept = [self._status_of(forwarder) for forwarder in self.forwarders]
        last = self._writer.committed.seq
        for name, at in self._removed.items():
            left = len(self._erasures.of(name))
            kept.append(
                Status(name, state="removed", cursor=at, lag_events=last - at, erasures=left)
            )
        return kept

    def _status_of(self, forwarder: Forwarder) -> Status:
        status, teller = forwarder.status(), self._tellers.get(forwarder.name)
        if teller is None:
            return status
        return msgspec.structs.replace(status, erasures=teller.waiting, erasure_error=teller.error)

    def rows(self) -> dict[str, str]:
        """Of the status page."""
        rows = {f"upstream {status.name}": describe(status) for status in self.status()}
        for name, auditor in self.auditors.items():
            total = auditor.total
            rows[f"lost since installation on the way to {name}"] = (
                f"{total.lost:,} of {total.events:,} compared"
            )
        return rows | self.fleet.rows()

    async def rewind(self, name: str, seq: int | None, time_ms: int | None) -> int:
        """Raises CollectorError. Returns where the cursor stands."""
        forwarder = self._named(name)
        if (seq is None) == (time_ms is None):
            raise CollectorError("either a number or a time is needed")
        if time_ms is not None:
            seq = await self._database.run(outgoing.first_since, time_ms)
        position = min(max(0, seq or 0), self._writer.committed.seq)
        await forwarder.rewind(position)
        return position

    async def audit(self, name: str, after: int) -> Finding:
        """One range, compared now. Raises CollectorError."""
        self._named(name)
        if name not in self.auditors:
            raise CollectorError(f"{name} is no collector whose edge this is: nothing to compare")
        return await self.auditors[name].compare(after)

    def _named(self, name: str) -> Forwarder:
        for forwarder in self.forwarders:
            if forwarder.name == name:
                return forwarder
        known = ", ".join(forwarder.name for forwarder in self.forwarders) or "none"
        raise CollectorError(f"there is no upstream {name}; known: {known}")


AUDIT_GAUGES: dict[str, tuple[str, Callable[[audit.Audited], float]]] = {
    "forward_audited_events": ("Events compared with the centre.", lambda found: found.events),
    "forward_lost_events": ("Of them, events that it lacks.", lambda found: found.lost),
}
SPOOL_GAUGES: dict[str, tuple[str, Callable[[Spool], float]]] = {
    "spool_bytes": ("Size of the database in use.", lambda spool: spool.state.bytes),
    "spool_full": ("1 when a bound is reached.", lambda spool: spool.state.reached is not None),
    "spool_dropped_events": (
        "Events that were dropped undelivered since the start.",
        lambda spool: spool.state.lost_events,
    ),
}


def settings_hash(config: Config) -> str:
    """Of the settings in force: whether edges that should be alike are."""
    return hashlib.sha256(msgspec.json.encode(config)).hexdigest()


def describe(status: Status) -> str:
    if status.state == "removed":
        return _HOLDS.format(name=status.name)
    said = f"{status.state}, {status.lag_events:,} events behind"
    if status.lag_events:
        said += f" ({status.lag_s:,.0f} s)"
    if status.state != "running" and status.last_error:
        said += f": {status.last_error}"
    if status.erasures:
        said += f"; {status.erasures:,} erasures to be passed on"
        said += f" ({status.erasure_error})" if status.erasure_error else ""
    return said
