"""ClickHouse's real engine behind a small handler; librdkafka's brokers in this process."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from backports import zstd
from chdb.session import Session
from confluent_kafka import Consumer, Producer

from collector.upstream.clickhouse import schema
from tests.conftest import Collector

PARTITIONS = 4


class ClickHouse:
    """`lose`: so many answers are lost after the insert was made."""

    def __init__(self, folder: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._folder = folder
        self._session: Session
        self._runner: web.ServerRunner
        self.inserts = 0
        self.lose = 0
        self.down = False

    async def __aenter__(self) -> "ClickHouse":
        await self._run(self._open)
        self._runner = web.ServerRunner(web.Server(self._handle, auto_decompress=False))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()
        await self._run(self._session.close)
        self._thread.shutdown()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def query(self, sql: str) -> list[dict[str, Any]]:
        text = await self._run(lambda: str(self._session.query(sql, "JSONEachRow")))
        return [json.loads(line) for line in text.splitlines()]

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        self._session = Session(str(self._folder))
        self._session.query("SET output_format_json_quote_64bit_integers = 0")
        for statement in schema().split(";"):
            if any(not line.startswith("--") for line in statement.strip().splitlines()):
                self._session.query(statement)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if self.down:
            return web.Response(status=503)
        query = dict(request.rel_url.query)
        if "query" not in query:
            return await self._answer(await request.text(), query)
        body = zstd.decompress(await request.read()).decode()
        insert, form = query.pop("query").split(" FORMAT ")
        del query["wait_end_of_query"]
        settings = ", ".join(f"{name} = '{value}'" for name, value in query.items())
        try:
            sql = f"{insert} SETTINGS {settings} FORMAT {form}\n{body}"
            await self._run(lambda: self._session.query(sql))
        except RuntimeError as error:  # the engine says no
            return web.Response(status=400, text=str(error))
        self.inserts += 1
        if self.lose > 0:
            self.lose -= 1
            request.transport.abort()
        return web.Response()

    async def _answer(self, sql: str, query: dict[str, str]) -> web.Response:
        """A statement of its own; settings as the server takes them from the address."""
        del query["wait_end_of_query"]
        try:
            for name, value in query.items():
                await self._run(lambda n=name, v=value: self._session.query(f"SET {n} = '{v}'"))
            said = await self._run(lambda: str(self._session.query(sql)))
        except RuntimeError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(text=said)


@pytest.fixture
async def clickhouse(tmp_path: Path) -> AsyncIterator[ClickHouse]:
    async with ClickHouse(tmp_path / "clickhouse") as server:
        yield server


class Brokers:
    """Three of librdkafka's own, speaking the real protocol."""

    def __init__(self) -> None:
        self._owner = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "none"})
        metadata = self._owner.list_topics(timeout=10)
        self.servers = [f"{b.host}:{b.port}" for b in metadata.brokers.values()]

    def read(self, topic: str, count: int) -> list[Any]:
        """The messages of a topic from its beginning, at least `count` and all that follow."""
        consumer = Consumer(
            {
                "bootstrap.servers": ",".join(self.servers),
                "group.id": "test",
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )
        consumer.subscribe([topic])
        found: list[Any] = []
        quiet = 0
        while quiet < (2 if len(found) >= count else 30):
            message = consumer.poll(0.5)
            if message is None:
                quiet += 1
            elif not message.error():
                found.append(message)
                quiet = 0
        consumer.close()
        return found


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    yield Brokers()


@pytest.fixture
def fill() -> Callable[[Collector, int], Awaitable[None]]:
    async def send(collector: Collector, count: int, first: int = 0) -> None:
        for at in range(first, first + count, 500):
            events = [event(number) for number in range(at, min(at + 500, first + count))]
            answer = await collector.post("/v1/batch", {"batch": events})
            assert answer == (200, {"success": True})

    return send


def event(number: int) -> dict[str, Any]:
    shared = {
        "messageId": f"m-{number}",
        "anonymousId": f"visitor-{number % 13:03d}",
        "timestamp": f"2026-0{1 + number % 3}-02T03:04:05.{number % 1000:03d}Z",
        "properties": {"n": number, "text": 'Zürich "東京" \\ \n'},
    }
    if number % 50 == 0:
        user = f"user-{number % 4}"
        return shared | {"type": "identify", "userId": user, "traits": {"a": number}}
    return shared | {"type": "track", "event": f"Event {number % 7}"}


async def until(done: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.05)
