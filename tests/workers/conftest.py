"""A writer over a real log."""

import asyncio
import contextlib
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite

from collector.config import Store as Settings
from collector.event import Event, Reject
from collector.metrics import Metrics
from collector.store import database as db
from collector.store.log import claim, open_log
from collector.workers.writer import Writer


def make_event(message_id: str, **fields: Any) -> Event:
    values: dict[str, Any] = dict.fromkeys(Event.__struct_fields__)
    fixed = {"message_id": message_id, "site": "shop", "type": "track"}
    return Event(**values | fixed | {"timestamp": 1, "received_at": 2} | fields)


@pytest.fixture
def event():
    """An event with the given message id."""
    return make_event


@pytest.fixture
def reject():
    return lambda name: Reject("shop", 1, 0, 400, "invalid_event", name, b"{}")


class Desk:
    """A writer on a real database, and what became of each request."""

    def __init__(self, writer: Writer, database: db.Database, metrics: Metrics) -> None:
        self.writer, self.database, self.metrics = writer, database, metrics
        self.answers: dict[str, Any] = {}

    def submit(self, name: str, *message_ids: str, size: int = 0) -> None:
        def done(error: Exception | None) -> None:
            assert name not in self.answers
            self.answers[name] = error

        events = [make_event(i) for i in message_ids]
        self.writer.submit(events, [], size, done, None, lambda error: error)

    async def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return await self.database.run(lambda c: list(c.execute(statement).fetchall()))

    async def ids(self) -> list[str]:
        return [row[0] for row in await self.sql("SELECT message_id FROM events ORDER BY seq")]

    @contextlib.contextmanager
    def held(self):
        """No commit returns meanwhile."""
        with contextlib.closing(sqlite.connect(self.database.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    async def until(self, *names: str) -> None:
        async with asyncio.timeout(10):
            while not set(names) <= self.answers.keys():
                await asyncio.sleep(0.005)


@pytest.fixture
async def make_desk(tmp_path):
    async with contextlib.AsyncExitStack() as stack:

        async def make(**settings: Any) -> Desk:
            mark = claim(tmp_path)
            database = await db.open_database(tmp_path / "collector.db", "full", 4000)
            stack.push_async_callback(database.close)
            metrics = Metrics()
            log = await open_log(database, mark, 100_000, 100)
            writer = Writer(log, Settings(**settings), metrics, lambda seconds: None)
            writer.start()
            stack.push_async_callback(writer.stop)
            return Desk(writer, database, metrics)

        yield make


@pytest.fixture
async def desk(make_desk):
    return await make_desk()
