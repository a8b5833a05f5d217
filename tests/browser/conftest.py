"""Real Chromium, pages on a small server of their own, and the real collector as a process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.clients.shop import CHROMIUM, FLAGS
from tests.faults.harness import free_port
from tests.served import Served


class Site:
    """The shop whose pages carry the pixel. `elsewhere` is a page of another origin."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.elsewhere = f"http://localhost:{port}/elsewhere"
        self._pages = {"/elsewhere": "<title>Elsewhere</title>Gone."}

    def add(self, path: str, head: str, body: str = "", title: str = "<title>Shop</title>") -> str:
        """Serves a page and returns its address."""
        self._pages[path] = (
            f"<!doctype html><meta charset=utf-8><link rel=icon href='data:,'>"
            f"{title}{head}<body>{body}</body>"
        )
        return self.url + path

    async def answer(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.path)
        return web.Response(text=page or "", content_type="text/html", status=200 if page else 404)


class Collector(Served):
    async def key(self) -> str:
        """The site's write key, as a page's owner finds it in the snippet."""
        return (await self.snippet()).rsplit('"', 2)[1]

    def rows(self) -> list[dict[str, Any]]:
        return self.select("SELECT * FROM events ORDER BY seq")

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """All rows once there are `count`, and none more a moment later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(15):
                while len(self.rows()) < count:
                    await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        return self.rows()


@pytest.fixture
async def collector_process(tmp_path: Path) -> AsyncIterator[Collector]:
    collector = Collector(tmp_path)
    await collector.start()
    yield collector
    await collector.stop()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    port = free_port()
    pages = Site(port)
    runner = web.ServerRunner(web.Server(pages.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield pages
    await runner.cleanup()


@pytest.fixture
def browser_setup() -> tuple[str, list[str]]:
    """Where Chromium is, and its flags, for a test that starts one of its own."""
    return CHROMIUM, FLAGS


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def visitor(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser of its own, whose pages must have thrown nothing."""
    context = await browser.new_context()
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    await context.close()
    assert errors == []
