"""One Chromium and one small demo shop for all tests of the dashboard."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from playwright.async_api import async_playwright

from collector.clock import now_ms
from collector.demo import events
from tests.browser.conftest import Site
from tests.clients.shop import CHROMIUM, FLAGS
from tests.conftest import KEY, Collector
from tests.faults.harness import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, Page

DAY = 86_400_000  # ms
TOKEN = "a-token-of-the-tests"
ZONE = ZoneInfo("Europe/Vienna")  # the viewer's
COUNTRIES = {"0.0.0.0/2": "AT", "64.0.0.0/2": "DE", "128.0.0.0/2": "JP"}
PRO = {"property": "plan", "op": "contains", "value": "Pro"}
RULE = {
    "all": [
        {"page": "/pricing*", "within": "60d", "count": {"op": "gte", "value": 2}},
        {"not": {"event": "purchase"}},
        {
            "any": [
                {"event": "Plan Viewed", "where": [PRO]},
                {"trait": "plan", "op": "in", "value": ["free", "pro"]},
            ]
        },
    ]
}  # fmt: skip
PACKAGE: dict[str, Any] = {"loop_scope": "package", "scope": "package"}


class Dashboard:
    """The collector, what its database says, and tabs that show its dashboard."""

    def __init__(self, collector: Collector, browser: Browser) -> None:
        self.collector = collector
        self._browser = browser
        self.rows = collector.rows

    async def settled(self) -> None:
        """Everything in the log is counted, projected and judged."""
        app = self.collector.app
        async with asyncio.timeout(60):
            while (
                app.dashboard.follower.lag
                or app.persons.follower.lag
                or app.membership._follower.lag
                or app.membership.audiences.evaluating
            ):
                await asyncio.sleep(0.02)

    async def store(self, batch: list[dict[str, Any]]) -> None:
        status, said = await self.collector.post("/v1/batch", {"batch": batch})
        assert (status, said) == (200, {"success": True})
        await self.settled()

    async def tab(self, **options: Any) -> Page:
        context = await self._browser.new_context(timezone_id=ZONE.key, locale="en-US", **options)
        tab = await context.new_page()
        tab.errors = []
        tab.on("pageerror", lambda error: tab.errors.append(str(error)))
        tab.on("console", lambda said: "Policy" in said.text and tab.errors.append(said.text))
        return tab

    async def enter(self, page: str = "", **options: Any) -> Page:
        tab = await self.tab(**options)
        await tab.goto(f"{self.collector.admin_url}/#token={TOKEN}")
        await tab.wait_for_selector("nav")
        if page:
            await show(tab, page)
        return tab


async def show(tab: Page, page: str) -> None:
    """Go to a page, by its address, and wait until it is there."""
    await tab.evaluate(
        """hash => {
            document.querySelector("main").dataset.old = "";
            if (location.hash === hash) dispatchEvent(new Event("hashchange"));
            else location.hash = hash;
        }""",
        f"#/{page}",
    )
    await tab.wait_for_selector("main[data-old]", state="detached")
    await loaded(tab)


async def loaded(tab: Page) -> None:
    """Nothing is loading any more."""
    await tab.wait_for_selector("[aria-busy]", state="detached")


async def until(tab: Page, expression: str) -> None:
    """Playwright's own way to wait for an expression is evaluated in the page, against its
    policy."""
    async with asyncio.timeout(30):
        while not await tab.evaluate(expression):
            await asyncio.sleep(0.02)


async def number(tab: Page, name: str) -> int:
    """What a card says, its digits alone."""
    return digits(await tab.inner_text(f"[data-total='{name}'] strong"))


def digits(text: str) -> int:
    return int(re.sub(r"\D", "", text))


async def table(tab: Page, panel: str) -> list[list[str]]:
    """The cells of the table in a panel, row by row."""
    cells: list[list[str]] = await tab.eval_on_selector_all(
        f"section[aria-label={json.dumps(panel)}] tbody tr",
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))",
    )
    return cells


def countries(folder: Path) -> str:
    """A MaxMind database of three countries."""
    made = MMDBWriter(ip_version=4, database_type="Test-Country")
    for network, code in COUNTRIES.items():
        made.insert_network(IPSet([network]), {"country": {"iso_code": code}})
    made.to_db_file(str(folder / "countries.mmdb"))
    return str(folder / "countries.mmdb")


@pytest_asyncio.fixture(**PACKAGE)
async def dashboard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    folder = tmp_path_factory.mktemp("dashboard")
    async with aiohttp.ClientSession() as session, async_playwright() as playwright:
        collector = Collector(folder / "data", session)
        await collector.start(
            site=[{"name": "shop", "key": KEY}, {"name": "blog", "key": "wk_of_the_blog"}],
            audience=[{"name": "by-settings", "rule": RULE, "record": False}],
            **{"admin.token": TOKEN, "admin.country_database": countries(folder)},
        )
        # To the last midnight: the shop is the same at whatever hour the tests run. Up to the
        # minute, one hour in fifty nobody had come to the end of the funnel.
        now = now_ms() // DAY * DAY
        await collector.app.writer.append(list(events(now, visits=700, seed=2)))
        blog = [msgspec.structs.replace(event, site="blog") for event in events(now, 60, seed=4)]
        await collector.app.writer.append(blog)
        await collector.post("/v1/batch", {"batch": [{"type": "track", "messageId": "no-name"}]})
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        made = Dashboard(collector, browser)
        await made.settled()
        yield made
        await browser.close()
        await collector.stop()


@pytest_asyncio.fixture(**PACKAGE)
async def opened(dashboard: Dashboard) -> Page:
    return await dashboard.enter()


@pytest_asyncio.fixture(loop_scope="package")
async def tab(opened: Page) -> AsyncIterator[Page]:
    """Logged in, the same one for all; nothing may have been thrown, and no policy broken."""
    yield opened
    assert opened.errors == []


@pytest_asyncio.fixture(**PACKAGE)
async def site() -> AsyncIterator[Site]:
    pages = Site(port := free_port())
    runner = web.ServerRunner(web.Server(pages.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield pages
    await runner.cleanup()
