"""The one place where parts are put together, started and drained."""

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from collector import logs, reload
from collector.admin import audiences, auth, forward, imports
from collector.admin.routes import make_app
from collector.config import Config
from collector.dashboard import Dashboard, counted
from collector.errors import CollectorError, Damaged
from collector.forwarding import Forwarding
from collector.ingest import lane
from collector.ingest.edges import EdgeDesk
from collector.ingest.intake import Intake
from collector.ingest.lane import IngestServer
from collector.ingest.routes import Routes
from collector.ingest.service import Service
from collector.ingest.sites import Sites
from collector.ingest.visitor import Visitors
from collector.listeners import Listeners
from collector.membership import Membership
from collector.metrics import Exporter, Metrics, resident_bytes
from collector.persons import Persons
from collector.store import database as db
from collector.store.apart import Apart, Lane
from collector.store.disk import measure_sync
from collector.store.edges import open_edges
from collector.store.erasures import Erasures
from collector.store.log import EventLog, claim, open_log
from collector.store.reader import Reader, Reads
from collector.store.salts import destroy_salt
from collector.upstream import table
from collector.workers.courtesy import Courtesy
from collector.workers.salts import Salts
from collector.workers.writer import Writer

log = logging.getLogger(__name__)

DATABASE = "collector.db"


class App:
    """A running collector: `await start()`, then `await stop()`."""

    reads_apart = True  # what the dashboard asks, in a process of its own

    def __init__(self, config: Config, damaged: Damaged | None = None) -> None:
        """`damaged`: what a start before this one came upon; that file is set aside."""
        self.config = config
        self._damaged = damaged
        self.data = Path(config.data)
        self.metrics = Metrics()
        self.exporter = Exporter(self.metrics, self._gauges())
        self.sites: Sites
        self.token = ""
        self.sync_s = 0.0
        self._database: db.Database
        self._mark: int
        self._log: EventLog
        self.writer: Writer
        self._salts: Salts
        self._service: Service
        self._intake: Intake
        self._routes: Routes
        self._server: IngestServer
        self.persons: Persons
        self._readers: list[Reader] = []
        self._listeners = Listeners()
        self.forwarding: Forwarding
        self.membership: Membership
        self.dashboard: Dashboard
        self._courtesy: Courtesy
        self._probed_at = 0.0

    async def start(self) -> None:
        """Open the store, then listen. Raises CollectorError naming what is in the way."""
        config = self.config
        if not lane.compiled_parser():
            raise CollectorError("aiohttp's compiled parser is missing: install a wheel of aiohttp")
        self._make_folder()
        try:
            await self._open_store()
            names = frozenset(edge.name for edge in config.edge)
            edges = await open_edges(self._database, self._log, names)
            self.writer = Writer(
                self._log, config.store, self.metrics, self.exporter.commit_seconds.observe, edges
            )
            self.writer.start()
            self._courtesy = Courtesy(
                lambda: self.writer.buffered_events > config.store.batch_events
            )
            erasures = Erasures(self.data)
            self.forwarding = Forwarding(config, self._database, self._log, self.writer, erasures)
            await self.forwarding.start()
            self.exporter.parts.append(self.forwarding.metrics)
            visitors = Visitors(config.privacy, config.public_url, await self._cookie_secret())
            self._salts = Salts(self._database)
            await self._keep_salts()
            self.persons = Persons(
                config,
                [site.name for site in self.sites.all],
                self._database,
                await self._reader(),
                self.data,
                self._courtesy,
                erasures,
            )
            self._service = Service(
                config,
                self.sites,
                self.writer,
                self.metrics,
                visitors,
                self._salts.current,
                self.persons.suppressed,
            )
            self._intake = Intake(
                config, self.sites, self._database, self.writer, self.persons.suppressed
            )
            await self.persons.start(self.writer.committed)
            await self._start_membership()
            await self._start_dashboard()
            self._routes = Routes(config, self._service, self.ready, self._desk(config))
            self._server = await self._listeners.public(config, self._routes, self._service)
            app = make_app(self.token, config.admin, self.exporter.text, self._api())
            await self._listeners.admin(config, app)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Refuse new connections, finish requests in hand, flush, checkpoint, close."""
        if hasattr(self, "_courtesy"):
            self._courtesy.stop()
        await self._listeners.close()
        if hasattr(self, "dashboard"):
            self.dashboard.leave()
        if hasattr(self, "_server"):
            self._routes.stopping = self._server.stopping = True
            await self._drain()
        if hasattr(self, "forwarding"):
            await self.forwarding.stop()
        if hasattr(self, "_salts"):
            await self._salts.stop()
        if hasattr(self, "membership"):
            await self.membership.stop()
        if hasattr(self, "writer"):
            await self.writer.stop()
        if hasattr(self, "persons"):
            await self.persons.stop()
        if hasattr(self, "dashboard"):
            await self.dashboard.stop()
        await self._listeners.stop()
        if hasattr(self, "_apart"):
            await self._apart.close()
        for reader in self._readers:
            await reader.close()
        if hasattr(self, "_database"):
            await self._database.close()
        if hasattr(self, "_mark"):
            os.close(self._mark)

    async def ready(self) -> str | None:
        """Why nothing can be stored now; None when it can. After a failure the store is tried
        again here, once a second, so that readiness comes back without traffic."""
        if self.writer.unavailable and time.monotonic() - self._probed_at > 1:
            self._probed_at = time.monotonic()
            with contextlib.suppress(CollectorError):
                await self._database.run(db.probe)
                self.writer.recovered()
        return self.writer.unavailable or (self.writer.why if self.writer.full else None)

    async def reload(self, config: Config) -> list[str]:
        """Go by these settings from now on, but for those returned, which a restart needs. A
        request in hand is answered by those it came under. Raises CollectorError, and then
        nothing has changed."""
        new, left = reload.merged(self.config, config)
        keys = await self._database.run(db.site_keys, Sites.without_key(new.site))
        visitors = Visitors(new.privacy, new.public_url, await self._cookie_secret())
        if reload.differ(self.config, new, reload.FORWARDING):
            await self.forwarding.restart(new)  # first: what it needs may not be installed
        if reload.differ(self.config, new, reload.MEMBERSHIP) and hasattr(self, "membership"):
            await self.membership.reload(new)
        if hasattr(self, "dashboard"):
            self.dashboard.config = new
        self.config = new
        self.sites.configure(new.site, keys)
        self.persons.sites = [site.name for site in self.sites.all]
        self.persons.tells = table.that_erase(new.forward)
        await self._keep_salts()
        self._service.configure(new, visitors)
        self._intake.configure(new)
        self._routes.configure(new, self._desk(new))
        self._server.heads.forget()
        logs.set_level(new.log.level)
        return left

    def _desk(self, config: Config) -> EdgeDesk:
        return EdgeDesk(config.edge, self.forwarding.fleet, self.persons.note_erasure)

    @property
    def public_port(self) -> int:
        return self._listeners.ports[0]

    @property
    def admin_port(self) -> int:
        return self._listeners.ports[1]

    def _make_folder(self) -> None:
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # a full disk is no reason not to start
                self.sync_s = measure_sync(self.data)
            self.token = auth.load_or_make_token(self.data, self.config.admin.token)
        except OSError as error:
            raise CollectorError(f"data: {self.data}: {error.strerror}") from None

    async def _open_store(self) -> None:
        store = self.config.store
        path = self.data / DATABASE
        self._mark = claim(self.data)
        how = store.durability, store.checkpoint_pages
        if self._damaged and self._damaged.path == path:
            self._database = await db.begin_anew(path, *how, self._damaged)
        else:
            self._database = await db.open_database(path, *how)
        keys = await self._database.run(db.site_keys, Sites.without_key(self.config.site))
        self.sites = Sites(self.config.site, keys)
        self._log = await open_log(
            self._database,
            self._mark,
            store.dedupe_ids,
            store.rejected_per_site,
            store.cached_bytes,
        )

    async def _keep_salts(self) -> None:
        await self._salts.stop()
        if any(site.cookieless for site in self.sites.all):
            await self._salts.start()
        else:
            await self._database.run(destroy_salt)

    async def _cookie_secret(self) -> bytes:
        made = await self._database.run(db.meta, "cookie_secret", lambda: secrets.token_hex(32))
        return bytes.fromhex(made)

    async def _start_membership(self) -> None:
        if self.persons.follower is None:
            return
        readers = await self._reader(), await self._reader()
        self.membership = Membership(
            self.config,
            self._database,
            *readers,
            self.persons.reached,
            self.writer.committed,
            self._courtesy,
        )
        await self.membership.start(self.writer.append)
        self.persons.membership = self.membership
        self.exporter.parts.append(self.membership.metrics)

    async def _start_dashboard(self) -> None:
        if self.config.profile == "edge":
            return
        mb = self.config.admin.cache_mb
        if self.reads_apart:
            self._apart = Apart(self.data / DATABASE, lanes=2, cache_mb=mb)
            lanes: tuple[Reads, Reads] = Lane(self._apart, 0), Lane(self._apart, 1)
        else:
            lanes = await self._reader(mb), await self._reader(mb)
        readers = await self._reader(), *lanes
        self.dashboard = Dashboard(
            self.config,
            self._database,
            readers,
            self.sites,
            self.writer.committed,
            self._courtesy,
            lambda: self.persons.lag + (self.membership.lag if hasattr(self, "membership") else 0),
        )
        await self.dashboard.start()

    async def _reader(self, cache_mb: int = 2) -> Reader:
        self._readers.append(await Reader.open(self.data / DATABASE, cache_mb=cache_mb))
        return self._readers[-1]

    async def _drain(self) -> None:
        """Wait for requests on their way over open connections (0.5 s), bodies still coming in
        (2 s) and answers still to be given (4 s)."""
        started = time.monotonic()
        http = self.config.http
        while True:
            waited = time.monotonic() - started
            idle = self._server.open_connections > 0 and waited < http.stop_idle_s
            if not idle:
                for _ in range(2):  # the loop reads what came while it had no time to look
                    await asyncio.sleep(0)
                self._server.close_idle()
            bodies = self._routes.reading > 0 and waited < http.stop_body_s
            answers = self._service.in_flight > 0 and waited < http.stop_send_s
            if not (idle or bodies or answers):
                return
            await asyncio.sleep(0.01)

    def _api(self) -> list[web.RouteDef]:
        routes = [
            *forward.routes(
                self.forwarding.status,
                self.forwarding.rewind,
                self.forwarding.audit,
                self.forwarding.drop,
            ),
            *self.persons.routes(),
            *imports.routes(self._intake),
        ]
        if hasattr(self, "membership"):
            routes += audiences.Api(self.membership).routes()
        if hasattr(self, "dashboard"):
            routes += self.dashboard.routes(self._system)
        return routes

    def _system(self) -> dict[str, Any]:
        return {
            "status": self.status(),
            "counts": counted(self.metrics),
            "gauges": {name: read() for name, (_, read) in self._gauges().items()},
        }

    def status(self) -> dict[str, str]:
        """How it is, in a few lines."""
        metrics = self.metrics
        return {
            "can store": self.writer.unavailable or "yes",
            "sites": ", ".join(site.name for site in self.sites.all),
            "events in the log (highest seq)": f"{self._log.last_seq:,}",
            "stored since start": f"{metrics.stored_events:,}",
            **self.forwarding.rows(),
            "duplicates since start": f"{metrics.duplicate_events:,}",
            "rejected since start": f"{metrics.rejected_events:,}",
            "requests refused since start": f"{metrics.refused_requests:,}",
            "waiting for the disk": f"{self.writer.buffered_events:,}",
            "not yet projected (people, purchases)": self.persons.row(),
            "not yet counted (dashboard)": self._behind(),
            **(self.membership.rows() if hasattr(self, "membership") else {}),
            "one sync of this disk": f"{self.sync_s * 1000:.1f} ms",
            "running for": f"{time.time() - metrics.started_at:,.0f} s",
            "memory": f"{resident_bytes() / 1e6:,.0f} MB",
        }

    def _behind(self) -> str:
        return self.dashboard.behind if hasattr(self, "dashboard") else "off"

    def _gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        return {
            "buffered_events": (
                "Events waiting for the disk.",
                lambda: self.writer.buffered_events,
            ),
            "buffered_bytes": ("Size of their requests.", lambda: self.writer.buffered_bytes),
            "open_connections": (
                "Connections of the public listener.",
                lambda: self._server.open_connections,
            ),
            "log_last_seq": ("The newest event's number.", lambda: self._log.last_seq),
            "projector_lag_events": (
                "Events in the log that people and purchases do not yet speak of.",
                lambda: self.persons.lag,
            ),
            "store_available": (
                "1 when the last commit succeeded.",
                lambda: float(self.writer.unavailable is None),
            ),
            "answer_p50_seconds": (
                "Half of the requests of the last minute waited less for their answer.",
                lambda: self.metrics.waits.quantile(0.5),
            ),
            "answer_p99_seconds": (
                "So long waited the slowest of a hundred.",
                lambda: self.metrics.waits.quantile(0.99),
            ),
            "wal_bytes": ("Size of the write-ahead log.", self._wal_bytes),
        }

    def _wal_bytes(self) -> float:
        try:
            return (self.data / f"{DATABASE}-wal").stat().st_size
        except OSError:
            return 0
