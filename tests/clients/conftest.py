"""The real server process that the clients talk to, what stands between, and a browser."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, async_playwright

from tests.clients.again import sending_again
from tests.clients.node import bundle
from tests.clients.proxy import Proxy
from tests.clients.shop import CHROMIUM, FLAGS, Shop
from tests.faults.harness import Collector, Row


@pytest.fixture
async def collector(tmp_path: Path) -> AsyncIterator[Collector]:
    async with Collector(tmp_path) as process:
        yield process


@pytest.fixture
async def proxy(collector: Collector) -> AsyncIterator[Proxy]:
    async with Proxy(collector) as between:
        yield between


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[tuple[Collector, Proxy, str]]:
    """A collector, the harm before it, and the address of what sends again before that."""
    async with (
        Collector(tmp_path, clients__proxy_ids="true") as process,
        Proxy(process) as between,
        sending_again(tmp_path, between.url) as url,
    ):
        yield process, between, url


@pytest.fixture
def stored(collector: Collector) -> Callable[[int], Awaitable[list[Row]]]:
    """All rows once there are `count` of them; after 30 s those that there are."""

    async def wait(count: int) -> list[Row]:
        rows: list[Row] = []
        for _ in range(300):
            rows = collector.rows()
            if len(rows) >= count:
                break
            await asyncio.sleep(0.1)
        return rows

    return wait


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop() as served:
        yield served


@pytest.fixture
async def visitor() -> AsyncIterator[BrowserContext]:
    """A browser of its own, whose pages must have thrown nothing."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context()
        errors: list[str] = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        yield context
        await browser.close()
    assert errors == []


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Awaitable[bytes]]:
    """The script that `browser/ENTRY` and its packages become, made once a session."""
    folder = tmp_path_factory.mktemp("bundles")

    async def make(entry: str) -> bytes:
        target = folder / Path(entry).with_suffix(".js").name
        if not target.exists():
            await bundle(entry, target)
        return target.read_bytes()

    return make
