"""People, purchases and leads put together: the projector, erasure, rebuilding."""

import asyncio
import contextlib
import logging
from pathlib import Path

from aiohttp import web

from collector.admin import persons
from collector.config import Config
from collector.membership import Membership
from collector.store import cursors, people
from collector.store.database import Database
from collector.store.reader import Reader
from collector.store.suppressed import Suppressed
from collector.workers.erasure import Eraser, Report, named
from collector.workers.follow import Committed, Follower
from collector.workers.projector import Projector

log = logging.getLogger(__name__)


class Persons:
    """What follows the log to know who is who. With profile "edge" nothing follows."""

    def __init__(
        self, config: Config, sites: list[str], database: Database, reader: Reader, data: Path
    ) -> None:
        self._sites = sites
        self.reader = reader
        self._follows = config.profile != "edge"
        self._database = database
        self.suppressed = Suppressed(data)
        self.projector = Projector(reader, database, config.people)
        self.eraser = Eraser(database, reader, self.projector, self.suppressed)
        self.follower: Follower | None = None
        self.reached = Committed()  # how far the projector has come, for who follows it
        self.membership: Membership | None = None
        self._committed = Committed()
        self._returning: asyncio.Task[None] | None = None

    async def start(self, committed: Committed) -> None:
        if not self._follows:
            return
        self._committed = committed
        self.follower = self._follow(await self._database.run(cursors.position, people.CURSOR))
        self._returning = asyncio.create_task(self._send_back(), name="forgotten")

    async def stop(self) -> None:
        if self._returning:
            self._returning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._returning
        if self.follower:
            await self.follower.stop()

    @property
    def lag(self) -> int:
        return self.follower.lag if self.follower else 0

    def row(self) -> str:
        """For the status page."""
        if not self.follower:
            return "off"
        failure = self.follower.failure
        return f"{self.lag:,} events" + (f" ({failure})" if failure else "")

    def routes(self) -> list[web.RouteDef]:
        return persons.routes(self.forget, self.rebuild)

    async def forget(
        self, user: str | None, anonymous: str | None, email: str | None, site: str | None
    ) -> Report:
        kind, value = named(user, anonymous, email)
        target = await self.eraser.find(kind, value, [site] if site else self._sites)
        return await self.eraser.forget(target)

    async def rebuild(self) -> int:
        """Begin again at the log's start; returns how many events lie ahead. Nothing is
        delivered because of it: nobody's history is another than before."""
        if self.follower:
            await self.follower.stop()
        if self.membership:
            await self.membership.pause()
        await self._database.run(people.start_over)
        if self.follower:
            self.follower = self._follow(0)
        if self.membership:
            await self.membership.resume()
        return self.lag

    def _follow(self, position: int) -> Follower:
        self.reached.seq = position
        follower = Follower(people.CURSOR, self.projector, self._committed, position, self.reached)
        follower.start()
        return follower

    async def _send_back(self) -> None:
        """A restored backup brings back who was forgotten: once all is projected they go again."""
        while self.lag:  # noqa: ASYNC110  (a wait of seconds, once a start)
            await asyncio.sleep(0.2)
        names = await self.eraser.again()
        if names:
            log.warning("%d forgotten names had come back, by a restored backup, and went", names)
