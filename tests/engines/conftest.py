"""Three browsers, pages on a small server of their own, and the real collector as a process.

One browser of each engine serves all tests. A test has hosts of its own (127.x.y.z), and with them
a storage and cookies of its own.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from tests.engines.drivers import ENGINES, Engine, Tab
from tests.faults.harness import free_port
from tests.served import Served

KINDS = {"js": "text/javascript", "css": "text/css"}
WATCH = """<script>
const oops = body => fetch('/oops', {method: 'POST', body}).catch(() => 0);
addEventListener('error', e => oops(e.message));
addEventListener('unhandledrejection', e => oops(e.reason));
</script>"""
_hosts = (f"127.{a}.{b}.{c}" for a, b, c in itertools.product(range(20, 99), range(1, 255), (1,)))


def own_loop(**options: Any) -> Callable[..., Any]:
    return pytest_asyncio.fixture(loop_scope="session", **options)


async def until(true: Callable[[], Any], seconds: float = 20) -> None:
    """Waits for a condition; what comes after says what was missing."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.03)


class Site:
    """The shop whose pages carry the pixel. `elsewhere` is a page of another host."""

    def __init__(self, port: int) -> None:
        self.host = next(_hosts)
        self.port = port
        self.url = f"http://{self.host}:{port}"
        self.elsewhere = f"http://{next(_hosts)}:{port}/elsewhere"
        self.seen: list[str] = []
        self.queries: list[str] = []
        self.errors: list[str] = []
        self.pages: dict[str, tuple[str, dict[str, str]]] = {}
        self.add("/elsewhere", "", title="<title>Elsewhere</title>")

    def add(
        self,
        path: str,
        head: str,
        body: str = "",
        title: str = "<title>Shop</title>",
        **headers: str,
    ) -> str:
        """Serves a page and returns its address."""
        watch = "" if headers else WATCH
        page = (
            f"<!doctype html><meta charset=utf-8>{watch}<link rel=icon href='data:,'>"
            f"{title}{head}<body>{body}</body>"
        )
        self.pages[path] = (page, headers)
        return self.url + path

    def copy(self, path: str, text: str) -> None:
        """Serves a file of the collector from the site's own address."""
        self.pages[path] = (text, {})

    async def answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/oops":
            self.errors.append(await request.text())
            return web.Response()
        self.seen.append(request.path)
        self.queries.append(request.query_string)
        page, headers = self.pages.get(request.path, ("", {}))
        kind = KINDS.get(request.path.rpartition(".")[2], "text/html")
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(text=page, content_type=kind, headers=given)


class Collector(Served):
    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.key = ""

    async def start(self) -> None:
        await super().start()
        self.key = self.key or self.select("SELECT key FROM site_keys")[0]["key"]

    async def file(self, path: str) -> str:
        async with aiohttp.ClientSession() as http, http.get(self.url + path) as answer:
            return await answer.text()

    def script(self, at: str | None = None, **data: str) -> str:
        """The script without the inline snippet, from `at` or the collector itself."""
        named = {"key": self.key, "global": "sendgrid"} | data
        attributes = " ".join(f'data-{name}="{value}"' for name, value in named.items())
        return f'<script src="{at or self.url}/c.js" {attributes}></script>'

    def rows(self, host: str) -> list[dict[str, Any]]:
        """What is stored of the pages of a host, in the order of their recording."""
        sql = "SELECT * FROM events WHERE context LIKE ? ORDER BY seq"
        rows = self.select(sql, f"%{host}%")
        return sorted(rows, key=lambda row: str(row["message_id"]))


class Shop:
    """A test's site, with the collector that its pages report to."""

    def __init__(self, site: Site, collector: Collector, engine: Engine) -> None:
        self.site = site
        self.collector = collector
        self.engine = engine.name
        self._engine = engine
        self._tabs: list[Tab] = []

    async def tab(self) -> Tab:
        self._tabs.append(await self._engine.tab())
        return self._tabs[-1]

    async def open(self, url: str) -> Tab:
        tab = await self.tab()
        await tab.goto(url)
        return tab

    async def page(self, path: str = "/", **data: str) -> Tab:
        """A page with the script alone, opened."""
        return await self.open(self.site.add(path, self.collector.script(**data)))

    async def rows(self, count: int) -> list[dict[str, Any]]:
        """All rows once there are `count`, and none more a moment later."""
        await until(lambda: len(self.collector.rows(self.site.host)) >= count)
        await asyncio.sleep(0.3)
        return self.collector.rows(self.site.host)

    async def names(self, count: int) -> list[str]:
        return [row["event"] or row["type"] for row in await self.rows(count)]

    async def close(self) -> None:
        for tab in self._tabs:
            with contextlib.suppress(Exception):
                await tab.close()


class Door:
    """Stands before the collector: slow, or closed. It keeps what was sent through it."""

    def __init__(self, port: int, collector: Collector, http: aiohttp.ClientSession) -> None:
        self.url = f"http://{next(_hosts)}:{port}"
        self.delay: Callable[[], float] = lambda: 0
        self.open = True
        self.batches: list[list[dict[str, Any]]] = []
        self._collector = collector
        self._http = http

    def sent(self) -> list[str]:
        return [event.get("event") or event["type"] for batch in self.batches for event in batch]

    async def answer(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        if request.method == "POST":
            self.batches.append(json.loads(body)["batch"])
            await asyncio.sleep(self.delay())
        if not self.open and not request.path.endswith(".js"):  # images neither
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        headers = {name: request.headers[name] for name in ("Origin",) if name in request.headers}
        url = self._collector.url + request.path
        async with self._http.request(request.method, url, data=body, headers=headers) as answer:
            await asyncio.sleep(self.delay() if request.method == "POST" else 0)
            kept = {
                k: v for k, v in answer.headers.items() if k.startswith(("Access", "Content-T"))
            }
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)


@own_loop(scope="session", params=list(ENGINES))
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with ENGINES[request.param]() as started:
        yield started


@own_loop(scope="session")
async def collector_process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Collector]:
    collector = Collector(tmp_path_factory.mktemp("collector"))
    await collector.start()
    yield collector
    await collector.stop()


@contextlib.asynccontextmanager
async def served(answer: Any, port: int) -> AsyncIterator[None]:
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port, backlog=1024).start()
    yield
    await runner.cleanup()


@own_loop()
async def shop(engine: Engine, collector_process: Collector) -> AsyncIterator[Shop]:
    """Its pages must have thrown nothing."""
    port = free_port()
    shop = Shop(Site(port), collector_process, engine)
    async with served(shop.site.answer, port):
        yield shop
        await shop.close()
    assert shop.site.errors == []


@own_loop()
async def door(collector_process: Collector) -> AsyncIterator[Door]:
    port = free_port()
    async with aiohttp.ClientSession() as http:
        door = Door(port, collector_process, http)
        async with served(door.answer, port):
            yield door
