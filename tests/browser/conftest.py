"""Real Chromium, pages on a small server of their own, and the real collector as a process."""

import asyncio
import contextlib
import json
import socket
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.clients.shop import CHROMIUM, FLAGS

JSON_COLUMNS = ("properties", "traits", "context")


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


class Collector:
    """The server as its users start it; it can be stopped and started again on its data."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._listen, self._admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.url = f"http://{self._listen}"
        self._process: Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "collector",
            "serve",
            "--data",
            str(self._data),
            "--listen",
            self._listen,
            "--admin",
            self._admin,
            stdout=DEVNULL,
        )
        async with aiohttp.ClientSession() as session, asyncio.timeout(20):
            while not await self._healthy(session):
                await asyncio.sleep(0.05)

    async def _healthy(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{self.url}/healthz") as response:
                return response.status == 200
        return False

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            assert await process.wait() == 0

    async def snippet(self, name: str = "sendgrid") -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "collector",
            "snippet",
            "--data",
            str(self._data),
            "--global",
            name,
            "--url",
            self.url,
            stdout=PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode()

    async def key(self) -> str:
        """The site's write key, as a page's owner finds it in the snippet."""
        return (await self.snippet()).rsplit('"', 2)[1]

    def rows(self) -> list[dict[str, Any]]:
        uri = f"file:{self._data}/collector.db?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            db.row_factory = sqlite3.Row
            rows = [dict(row) for row in db.execute("SELECT * FROM events ORDER BY seq")]
        for row in rows:
            row.update({name: json.loads(row[name]) for name in JSON_COLUMNS if row[name]})
        return rows

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """All rows once there are `count`, and none more a moment later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(15):
                while len(self.rows()) < count:
                    await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        return self.rows()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
