"""People, purchases and leads put together: the projector, erasure, rebuilding."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from collector import clock
from collector.admin import persons
from collector.config import Config
from collector.errors import CollectorError
from collector.membership import Membership
from collector.store import cursors, erase, people, retention, visits
from collector.store.database import Database
from collector.store.erasures import Erasure, Erasures
from collector.store.reader import Reader
from collector.store.suppressed import Name, Suppressed
from collector.upstream.table import that_erase
from collector.workers.courtesy import Courtesy
from collector.workers.erasure import Eraser, Report, as_line, named
from collector.workers.follow import Committed, Follower
from collector.workers.projector import Projector
from collector.workers.retention import SNAPSHOT, Retention, Snapshot
from collector.workers.visits import Visits

log = logging.getLogger(__name__)

_REST_S = 5.0


class Persons:
    """What follows the log to know who is who. With profile "edge" nothing follows."""

    def __init__(
        self,
        config: Config,
        sites: list[str],
        database: Database,
        reader: Reader,
        data: Path,
        courtesy: Courtesy | None = None,
        erasures: Erasures | None = None,
    ) -> None:
        """Without `courtesy` as fast as can be."""
        self.erasures = erasures or Erasures(data)
        self._erasing: asyncio.Task[None] | None = None
        self._config = config
        self._courtesy = courtesy
        self._folder = data
        self._snapshot: Snapshot | None = None
        self.sites = sites
        self.tells = that_erase(config.forward)
        self.reader = reader
        self._follows = config.profile != "edge"
        self._database = database
        self.suppressed = Suppressed(data)
        self.projector = Projector(reader, database, config.people, courtesy)
        self.visits = Visits(reader, database, self.projector.lock)
        self.retention = Retention(
            config, database, reader, self.open_snapshot if self._follows else None
        )
        self.eraser = Eraser(database, reader, self.projector, self.suppressed)
        self.follower: Follower | None = None
        self._visiting: Follower
        self.reached = Committed()  # how far the projector has come, for who follows it
        self.membership: Membership | None = None
        self._committed = Committed()
        self._returning: asyncio.Task[None] | None = None
        self._one_erasure = asyncio.Lock()

    async def start(self, committed: Committed) -> None:
        self.retention.start()
        self._committed = committed
        self._erasing = asyncio.create_task(self._erase_noted(), name="erasures")
        if not self._follows:
            return
        # A reader of its own: what it reads at once takes half a second.
        self.visits = Visits(
            await Reader.open(self._database.path),
            self._database,
            self.projector.lock,
            self._courtesy,
        )
        await self._follow(await self._emptied())
        self._returning = asyncio.create_task(self._send_back(), name="forgotten")

    async def stop(self) -> None:
        for task in (self._returning, self._erasing):
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self.retention.stop()
        if self.follower:
            await self._unfollow(self.follower)
            await self.visits.reader.close()
        await self.close()

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
        return persons.routes(self.forget, self.rebuild, self.access)

    async def forget(
        self, user: str | None, anonymous: str | None, email: str | None, site: str | None
    ) -> Report:
        kind, value = named(user, anonymous, email)
        await self._caught_up()
        target = await self.eraser.find(kind, value, [site] if site else self.sites)
        if not self._follows:
            await self.eraser.find_in_log(target)
        async with self._one_erasure:
            told = self.tells
            noted = self.erasures.add(target.names, told, clock.now_ms()) if told else None
            report = await self._erase(target)
            if noted:
                await self._note_done(noted, target)
        return report

    def note_erasure(self, known_as: str, names: list[Name], sites: list[str] | None) -> None:
        """An edge wants them forgotten: on disk when this returns, and done some time later.
        Passed on to whom this collector forwards to."""
        self.erasures.add(names, self.tells, clock.now_ms(), sites, known_as)

    async def _erase_noted(self) -> None:
        """What edges asked for, and what a kill has cut off."""
        while True:
            await self.erasures.next(None)
            try:
                async with self._one_erasure:
                    for erasure in self.erasures.of(None):
                        await self._erase_one(erasure)
            except CollectorError as error:
                log.warning("an erasure is kept and tried again: %s", error)
                await asyncio.sleep(_REST_S)
            except Exception:  # supervised: it stays noted and is tried again
                log.exception("an erasure failed, it is tried again")
                await asyncio.sleep(_REST_S)

    async def _erase_one(self, erasure: Erasure) -> None:
        await self._caught_up()
        find = self.eraser.find
        targets = [await find(kind, value, [site]) for site, kind, value in erasure.names]
        target = erase.together(targets, erasure.sites)
        report = await self._erase(target)
        await self._note_done(erasure, target)
        said = ", ".join(f"{count} {name}" for name, count in report.removed.items()) or "nothing"
        log.info("erasure %s: %d people, removed: %s", erasure.id, report.people, said)

    async def _caught_up(self) -> None:
        """Until the projector knows all that had come by now of who is who."""
        if self.follower:
            await self.reached.beyond(self._committed.seq - 1)

    async def _note_done(self, erasure: Erasure, target: erase.Target) -> None:
        seq = await self._database.run(erase.highest_seq)
        self.erasures.done_here(erasure, seq, target.names)

    async def _erase(self, target: erase.Target) -> Report:
        async with self.retention.lock:
            if (self._folder / SNAPSHOT).exists():
                self.eraser.snapshot = await self.open_snapshot()
            return await self.eraser.forget(target)

    async def access(
        self, user: str | None, anonymous: str | None, email: str | None, site: str | None
    ) -> AsyncIterator[bytes]:
        """All that is stored of a person, a JSON object a row."""
        kind, value = named(user, anonymous, email)
        target = await self.eraser.find(kind, value, [site] if site else self.sites)
        async for table, row in self.eraser.access(target):
            yield as_line(table, row)

    async def rebuild(self) -> int:
        """Begin again at the log's start, or where the snapshot stands; returns how many events
        lie ahead. Nothing is delivered because of it: nobody's history is another than before."""
        if self.follower:
            await self._unfollow(self.follower)
        nobody = self.membership.paused() if self.membership else contextlib.nullcontext()
        async with nobody:
            async with self.retention.lock:
                await self._database.run(people.begin_anew)
                position = await self._emptied()
            if self.follower:
                await self._follow(position)
        return max(0, self._committed.seq - position)

    async def _emptied(self) -> int:
        """End what `begin_anew` began, if it did; returns where the projector goes on."""
        if not await self._database.run(people.emptying):
            return await self._database.run(cursors.position, people.CURSOR)
        while await self._database.run(people.empty_some):  # noqa: ASYNC110  (work, not waiting)
            await asyncio.sleep(0)
        path = self._folder / SNAPSHOT
        if not path.exists():
            await self._database.run(people.begin, 0)
            return 0
        snapshot = await self.open_snapshot()
        await snapshot.database.run(erase.fold, False)
        return await self._database.run(retention.restore, path)

    async def open_snapshot(self) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = await Snapshot.open(self._folder, self._config)
        return self._snapshot

    async def close(self) -> None:
        if self._snapshot:
            await self._snapshot.close()

    async def _follow(self, position: int) -> None:
        seen = await self._database.run(cursors.position, visits.CURSOR)
        self.reached.seq = position
        self.follower = Follower(
            people.CURSOR, self.projector, self._committed, position, self.reached
        )
        self._visiting = Follower(visits.CURSOR, self.visits, self.reached, seen)
        every_s = self._config.people.visits_s
        self.visits.rest = lambda: self._visiting.rest(every_s)
        self.visits.leaving = False
        self.follower.start()
        self._visiting.start()

    async def _unfollow(self, follower: Follower) -> None:
        self.visits.leaving = True
        await self._visiting.stop()
        await follower.stop()

    async def _send_back(self) -> None:
        """A restored backup brings back who was forgotten: once all is projected they go again."""
        while self.lag:  # noqa: ASYNC110  (a wait of seconds, once a start)
            await asyncio.sleep(0.2)
        names = await self.eraser.again()
        if names:
            log.warning("%d forgotten names had come back, by a restored backup, and went", names)
