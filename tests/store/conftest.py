"""A real database and log, opened and closed as the app does."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from collector.demo import events
from collector.event import Event, Reject
from collector.store import database as db
from collector.store import months, pieces, seals
from collector.store.log import EventLog, claim, open_log
from collector.workers import rollups

NOW = 1_795_500_000_000  # 2026-11-24, so that daylight saving ends within the month before


class Store:
    """The log on its folder; `await store.open()` after `await store.close()` is a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "collector.db"
        self.database: db.Database
        self.log: EventLog
        self._mark: int | None = None

    async def open(self, dedupe_ids: int = 100_000, rejected_per_site: int = 100) -> EventLog:
        self.folder.mkdir(exist_ok=True)
        self._mark = claim(self.folder)
        self.database = await db.open_database(self.path, "full", 4000)
        self.log = await open_log(self.database, self._mark, dedupe_ids, rejected_per_site)
        return self.log

    async def close(self) -> None:
        if hasattr(self, "database"):
            await self.database.close()
            del self.database
        if self._mark is not None:
            os.close(self._mark)
            self._mark = None

    async def reopen(self, **settings: int) -> EventLog:
        await self.close()
        return await self.open(**settings)

    async def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return await self.database.run(lambda c: list(c.execute(statement).fetchall()))

    async def steps(self, work: Callable[..., Any], *args: Any) -> tuple[Any, int]:
        """What it comes to, and in how many steps of SQLite's machine."""

        def watched(connection: Any) -> tuple[Any, int]:
            taken: list[int] = []
            connection.set_progress_handler(lambda: taken.append(1), 1)
            try:
                return work(connection, *args), len(taken)
            finally:
                connection.set_progress_handler(None, 0)

        return await self.database.run(watched)

    async def ids(self) -> list[str]:
        return [row[0] for row in await self.sql("SELECT message_id FROM events ORDER BY seq")]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path / "data")
    yield made
    await made.close()


def make_event(message_id: str, site: str = "shop", **fields: Any) -> Event:
    values: dict[str, Any] = dict.fromkeys(Event.__struct_fields__)
    return Event(
        **values
        | {"message_id": message_id, "site": site, "type": "track", "timestamp": 1}
        | {"received_at": 2}
        | fields
    )


@pytest.fixture
def event() -> Callable[..., Event]:
    """An event with the given message id."""
    return make_event


@pytest.fixture
def reject() -> Callable[..., Reject]:
    def make(name: str, site: str = "shop") -> Reject:
        return Reject(site, 1, 0, 400, "invalid_event", name, b"{}")

    return make


@pytest.fixture
async def counted(idle: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A collector whose rollups have seen a small month; most of it is added up, in many blocks,
    the last events are not."""
    return await counting(idle, monkeypatch, list(events(NOW, visits=300, seed=4)))


@pytest.fixture
async def seasons(idle: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same of four months."""
    batch = [
        event
        for back in range(3, -1, -1)
        for event in events(NOW - back * 30 * 86_400_000, visits=80, seed=back)
    ]
    return await counting(idle, monkeypatch, batch)


async def counting(idle: Any, monkeypatch: pytest.MonkeyPatch, batch: list[Event]) -> Any:
    monkeypatch.setattr(seals, "BLOCK", 97)
    monkeypatch.setattr(seals, "ZONE", 24)
    monkeypatch.setattr(pieces, "PIECE", 97)
    monkeypatch.setattr(seals, "PART_BYTES", 100)
    monkeypatch.setattr(months, "_CELLS", 3)
    monkeypatch.setattr(months, "_PAIRS", 3)
    monkeypatch.setattr(months, "_MARKS", 2)
    monkeypatch.setattr(months, "_MOST_MARKS", 20)
    monkeypatch.setattr(months, "_LOOKED_UP", 7)
    monkeypatch.setattr(months, "_PART_BYTES", 500)
    monkeypatch.setattr(months, "_CLEARED", 50)
    monkeypatch.setattr("collector.workers.months.now_ms", lambda: NOW)
    monkeypatch.setattr(rollups, "_SHORTEST_REST_S", 0.0)
    monkeypatch.setattr(rollups.Rollups.__init__, "__defaults__", (150,))
    collector = await idle.start()
    await collector.app.writer.append(batch[:400])
    await collector.app.writer.append(batch[400:])
    await counted_all(collector)
    return collector


async def counted_all(collector: Any) -> None:
    board = collector.app.dashboard
    followers = board.follower, collector.app.persons, *board.makers
    while any(follower.lag for follower in followers):
        await board.follower.rest(0.02)
