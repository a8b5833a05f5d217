"""A real collector in the test's own loop, on ports of its own, over a database in tmp_path."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import hypothesis
import pytest
import uvloop
from pysqlite3 import dbapi2 as sqlite  # one SQLite a process: a second one would drop its locks

from collector.app import App
from collector.settings import load

KEY = "wk_of_the_tests"
OPEN_SITE = [{"name": "shop", "key": KEY}]

hypothesis.settings.register_profile(
    "collector", deadline=None, max_examples=150, derandomize=True, database=None
)
hypothesis.settings.load_profile("collector")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes seconds")


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], Any]]:
    """The collector's own loop. Beside real clients it runs in a process of its own, and there
    uvloop's close() hung now and then, seen twice on a busy machine after a test that killed and
    restarted processes: nothing but the harness is in the loop, and asyncio's does not wait."""
    if "clients" in item.path.parts:
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


App.reads_apart = False  # tests reach into what reads; tests/store/test_apart.py has the process


class Collector:
    """A collector on its data folder: started, asked, stopped, started again.

    Settings are given by their dotted path: `await start(**{"http.hot_lane": False})`."""

    key = KEY

    def __init__(self, data: Path, session: aiohttp.ClientSession) -> None:
        self.data = data
        self.session = session
        self.settings: dict[str, Any] = {}
        self.app: App

    async def start(self, **settings: Any) -> "Collector":
        self.settings = {
            "data": str(self.data),
            "http.listen": "127.0.0.1:0",
            "admin.listen": "127.0.0.1:0",
            "http.stop_idle_s": 0,  # half a second a test
            "site": OPEN_SITE,
            **settings,
        }
        self.app = App(load(environ={}, flags=self.settings))
        await self.app.start()
        return self

    async def stop(self) -> None:
        if hasattr(self, "app"):
            await self.app.stop()
            del self.app

    async def restart(self) -> None:
        await self.stop()
        await self.start(**self.settings)

    @property
    def port(self) -> int:
        return self.app.public_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.app.public_port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.app.admin_port}"

    async def post(
        self, path: str, body: Any, *, auth: bool = True, **headers: str
    ) -> tuple[int, Any]:
        """Status and decoded answer; a body that is no bytes goes as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if auth:
            sent["Authorization"] = basic(self.key)
        payload = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.session.post(self.url + path, headers=sent, **payload) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        async with self.session.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.read()

    def rows(self, sql: str = "SELECT * FROM events ORDER BY seq") -> list[dict[str, Any]]:
        """Rows as a reader sees them beside the running collector."""
        uri = f"{(self.data / 'collector.db').as_uri()}?mode=ro"
        with contextlib.closing(sqlite.connect(uri, uri=True)) as database:
            database.row_factory = sqlite.Row
            return [dict(row) for row in database.execute(sql)]

    def ids(self) -> list[str]:
        return [row["message_id"] for row in self.rows()]

    def rejected(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM rejected ORDER BY id")


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture
async def make_collector(
    session: aiohttp.ClientSession,
) -> AsyncIterator[Callable[[Path], Collector]]:
    """Collectors on folders of the test's choice, all stopped at its end."""
    made: list[Collector] = []

    def make(data: Path) -> Collector:
        made.append(Collector(data, session))
        return made[-1]

    yield make
    for collector in made:
        await collector.stop()


@pytest.fixture
async def idle(tmp_path: Path, make_collector: Callable[[Path], Collector]) -> Collector:
    """A collector that the test starts itself, with the settings it needs."""
    return make_collector(tmp_path / "data")


@pytest.fixture
async def collector(idle: Collector) -> Collector:
    """A collector that runs with its defaults."""
    return await idle.start()


@pytest.fixture(params=[True, False], ids=["hot", "normal"])
def hot_lane(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def slow_store() -> Callable[[Collector], contextlib.AbstractAsyncContextManager[None]]:
    """While it is entered, another connection holds the database and no commit returns (SQLite
    waits for 5 s before it gives up)."""

    @contextlib.asynccontextmanager
    async def hold(collector: Collector) -> AsyncIterator[None]:
        path = collector.data / "collector.db"
        with contextlib.closing(sqlite.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    return hold


@pytest.fixture
def track() -> Callable[..., dict[str, Any]]:
    """A sound track call with the given message id."""

    def make(message_id: str, **fields: Any) -> dict[str, Any]:
        return {"type": "track", "event": "Tried", "messageId": message_id, "userId": "u"} | fields

    return make


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Callable[[], None]:
    """Asserts that nothing was logged as an error, and no traceback."""

    def check() -> None:
        loud = [r.getMessage() for r in caplog.records if r.levelname == "ERROR" or r.exc_info]
        assert loud == []

    return check
