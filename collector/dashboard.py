"""The dashboard put together: the follower that counts, the API, and what it tells of the
process."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from aiohttp import web

from collector import snippet
from collector.admin.api import Api, Outside
from collector.config import Config
from collector.ingest.sites import Sites
from collector.metrics import COUNTERS, Metrics, resident_bytes
from collector.store import cursors, rollups
from collector.store.database import Database
from collector.store.reader import Reader, Reads
from collector.wire.visit import Places
from collector.workers import pieces
from collector.workers.courtesy import Courtesy
from collector.workers.follow import Committed, Follower, Step
from collector.workers.months import Months
from collector.workers.rollups import Rollups


class Maker(Step, Protocol):
    """Makes what is missing of what is counted, a little at a time."""

    name: str
    rest: Callable[[float], Awaitable[None]]


MAKERS: tuple[Callable[[Reader, Database, Courtesy], Maker], ...]
MAKERS = pieces.of_hits, pieces.of_sales, pieces.of_people, Months
# Settings that are told as set or not, never as they are.
_SECRET = ("key", "keys", "token", "secret", "password", "headers")


class Dashboard:
    """Counts what is stored, and answers the API."""

    def __init__(
        self,
        config: Config,
        database: Database,
        readers: tuple[Reader, Reads, Reads],
        sites: Sites,
        committed: Committed,
        courtesy: Courtesy,
        others_lag: Callable[[], int],
    ) -> None:
        """Raises CollectorError when the setting admin.country_database names none."""
        self.config = config
        self._database = database
        self._counting, self.counts, self._tables = readers
        self._sites = sites
        self._committed = committed
        self._step = courtesy, others_lag
        self._places = Places(config.admin.country_database)
        self.follower: Follower | None = None
        self.makers: list[Follower] = []
        self._stopping = False

    async def start(self) -> None:
        step = Rollups(self._counting, self._database, self._places, *self._step)
        position = await self._database.run(cursors.position, rollups.CURSOR)
        reached = Committed()
        self.follower = Follower(rollups.CURSOR, step, self._committed, position, reached)
        step.rest = self.follower.rest
        for make in MAKERS:
            made = make(self._counting, self._database, self._step[0])
            follower = Follower(made.name, made, reached, 0)
            made.rest = follower.rest
            self.makers.append(follower)
        reached.advance(position)
        for follower in (self.follower, *self.makers):
            follower.start()

    def leave(self) -> None:
        """End the live views: a stop waits for none."""
        self._stopping = True

    async def stop(self) -> None:
        for follower in (self.follower, *self.makers):
            if follower:
                await follower.stop()

    @property
    def behind(self) -> str:
        """For the status."""
        if not self.follower:
            return "off"
        failure = self.follower.failure
        return f"{self.follower.lag:,} events" + (f" ({failure})" if failure else "")

    def routes(self, system: Callable[[], dict[str, Any]]) -> list[web.RouteDef]:
        """`system`: what the rest of the process tells of itself."""

        def told() -> dict[str, Any]:
            return {**system(), "settings": settings_in_force(self.config)}

        outside = Outside(
            self._listed,
            told,
            lambda: self._committed.seq,
            lambda: self._stopping,
            self._step[0].answering,
        )
        return Api(self.counts, self._tables, outside).routes()

    def _listed(self) -> list[dict[str, Any]]:
        script = self.config.public_url + self.config.http.script_path
        return [
            {"name": site.name, "snippet": snippet.render("pixel", script, site.keys[0])}
            for site in self._sites.all
        ]


def counted(metrics: Metrics) -> dict[str, float]:
    """What the process has counted since its start."""
    counts: dict[str, float] = {name: getattr(metrics, name) for name in COUNTERS}
    return counts | {"resident_bytes": resident_bytes(), "started_at": metrics.started_at}


def settings_in_force(config: Config) -> dict[str, str]:
    """Every setting by its dotted path, secrets left out."""
    told: dict[str, str] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, f"{path}.{name}" if path else name)
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            for i, inner in enumerate(value):
                walk(inner, f"{path}[{i}]")
        elif _secret(path):
            told[path] = "(set)" if value else ""
        else:
            told[path] = msgspec.json.encode(value).decode()

    walk(msgspec.to_builtins(config), "")
    return told


def _secret(path: str) -> bool:
    name = path.rpartition(".")[2]
    return name in _SECRET or name.endswith(tuple(f"_{word}" for word in _SECRET[:-1]))
