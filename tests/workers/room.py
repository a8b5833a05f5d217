"""Log, projector and audiences on a real database, step by step, on a clock of the test's."""

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec

from collector.config import Config
from collector.event import Event
from collector.ingest.marks import marked
from collector.settings import load
from collector.store import audiences as store
from collector.store import database as db
from collector.store.cursors import position
from collector.store.log import EventLog, claim, open_log
from collector.store.people import CURSOR as PROJECTOR
from collector.store.reader import Reader
from collector.workers import audiences
from collector.workers.audiences import Audiences
from collector.workers.courtesy import Courtesy
from collector.workers.follow import Committed
from collector.workers.projector import Projector

NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR, DAY = 3_600_000, 86_400_000


def json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def event(kind: str = "track", name: str | None = None, at: int = NOW, **fields: Any) -> Event:
    """An event as it reaches the log. `page("/a")` is event("page", path="/a")."""
    values: dict[str, Any] = dict.fromkeys(Event.__struct_fields__)
    for part in ("properties", "traits", "context", "consent"):
        fields[part] = json(fields.get(part))
    values |= {"message_id": os.urandom(8).hex(), "site": "shop", "type": kind, "event": name}
    values |= {"timestamp": at, "received_at": at}
    return Event(**values | fields)


def page(path: str, at: int = NOW, **fields: Any) -> Event:
    return event("page", at=at, path=path, **fields)


class Room:
    """`await room.happen(…)` stores, projects and judges; `room.now` is the time of the judges."""

    def __init__(self, folder: Path, monkeypatch: Any) -> None:
        self.now = NOW
        monkeypatch.setattr(audiences, "now_ms", lambda: self.now)
        self._folder = folder
        self.database: db.Database
        self.reader: Reader
        self.log: EventLog
        self.audiences: Audiences
        self.committed = Committed()
        self.config: Config
        self.told = 0

    async def open(self, *defined: dict[str, Any], behind: int = 0, **settings: Any) -> "Room":
        """With these audiences; opened again it goes on, as after a restart. `behind`: so many
        events are said to be in the log that nobody has looked at."""
        await self.close()
        flags = {"audience": list(defined), **settings}
        self.config = load(environ={}, flags=flags)
        self._folder.mkdir(exist_ok=True)
        self._mark = claim(self._folder)
        self.database = await db.open_database(self._folder / "collector.db", "full", 4000)
        self.log = await open_log(self.database, self._mark, 100_000, 100)
        self.reader = await Reader.open(self._folder / "collector.db")
        self.committed = Committed(self.log.last_seq + behind)
        self._projector = Projector(self.reader, self.database, self.config.people)
        self.audiences = Audiences(
            self.reader,
            self.database,
            self.config,
            self._news,
            self.committed,
            Courtesy(lambda: False),
        )
        await self.audiences.start()
        await self.settle()
        return self

    def _news(self) -> None:
        self.told += 1

    async def close(self) -> None:
        if hasattr(self, "audiences"):
            await self.audiences.stop()
            await self.reader.close()
            await self.database.close()
            os.close(self._mark)
            del self.audiences

    async def happen(self, *events: Event) -> None:
        await self.log.append(marked(list(events), _Site()), [])
        await self.settle()

    async def settle(self) -> None:
        """Work until there is nothing more to do at this moment."""
        last = self.log.last_seq
        self.committed.advance(last)
        await self._follow(self._projector, PROJECTOR, last)
        await self._follow(self.audiences, store.CURSOR, last)
        async with self.audiences._busy:
            while await self.audiences._look() or await self.audiences._evaluate_some():
                pass

    async def _follow(self, step: Any, name: str, last: int) -> None:
        at = await self.reader.run(position, name)
        while at < last:
            at = await step(at, last)

    async def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return await self.database.run(lambda c: list(c.execute(statement).fetchall()))

    async def members(self, name: str = "a") -> set[str]:
        """By user id, else e-mail, else person id."""
        rows = await self.sql(
            "SELECT coalesce(p.user_id, p.email, m.person_id) FROM audience_members m "
            f"LEFT JOIN people p ON p.id = m.person_id WHERE m.audience = '{name}'"
        )
        return {row[0] for row in rows}

    async def outbox(self, destination: str = "") -> list[tuple[Any, ...]]:
        """(change, user or person) in order."""
        return await self.sql(
            "SELECT o.change, coalesce(p.user_id, p.email, printf('%016x', o.person)) "
            f"FROM outbox o LEFT JOIN people p ON p.number = o.person "
            f"WHERE o.destination = '{destination}' ORDER BY o.number"
        )


class _Site:
    """An open site of the settings."""

    server = False
    secret = None


@contextlib.asynccontextmanager
async def opened(folder: Path, monkeypatch: Any) -> Any:
    room = Room(folder, monkeypatch)
    try:
        yield room
    finally:
        await room.close()
