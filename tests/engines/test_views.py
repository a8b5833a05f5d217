"""Page views that are recorded by themselves."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL
from typing import TYPE_CHECKING

import pytest

from tests.clients.shop import CHROMIUM, FLAGS
from tests.engines.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.conftest import Shop
    from tests.engines.drivers import Tab


async def arrived(tab: Tab, sign: str) -> None:
    """Waits for another page; between two of them a tab answers nothing."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(Exception):
                if await tab.evaluate(f"!!({sign})"):
                    return
            await asyncio.sleep(0.05)


pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_app_of_one_page_has_a_view_for_each_address_once(shop: Shop) -> None:
    tab = await shop.page("/")
    url = shop.site.url
    steps = [
        "history.pushState({}, '', '/a?x=1'); setTimeout(() => { document.title = 'A' }, 10)",
        "history.pushState({}, '', '/a?x=1')",  # the same address
        "history.replaceState({}, '', '/a?x=2')",  # a filter
        "history.replaceState({}, '', '/b')",
        "location.hash = '#part'",
        "history.back()",
    ]
    counts = [2, 2, 2, 3, 3, 3]
    for step, count in zip(steps, counts, strict=True):
        await tab.evaluate(f"void (() => {{ {step} }})()")
        assert len(await shop.rows(count)) == count, step
    await tab.evaluate("void history.go(-2)")
    rows = await shop.rows(4)
    assert [row["path"] for row in rows[:3]] == ["/", "/a", "/b"]
    assert [row["referrer"] for row in rows[1:3]] == [f"{url}/", f"{url}/a?x=2"]
    assert rows[1]["title"] == "A"
    assert {row["type"] for row in rows} == {"page"}


async def test_hash_routing_when_asked_for(shop: Shop) -> None:
    tab = await shop.page("/", hash="on")
    await tab.evaluate("void (location.hash = '#/cart')")
    await tab.evaluate("new Promise(done => setTimeout(done, 200))")
    await tab.evaluate("void (location.hash = '#/pay')")
    rows = await shop.rows(3)
    assert [row["path"] for row in rows] == ["/", "/#/cart", "/#/pay"]
    assert rows[2]["referrer"] == f"{shop.site.url}/#/cart"


async def test_no_page_views_by_themselves_when_not_wanted(shop: Shop) -> None:
    tab = await shop.page("/", auto="false")
    await tab.evaluate("void history.pushState({}, '', '/a')")
    await tab.evaluate("void sendgrid.track('Only')")
    assert await shop.names(1) == ["Only"]


async def test_a_page_that_returns_from_the_browsers_memory_is_viewed_again(shop: Shop) -> None:
    shop.site.add("/other", "", body="<p id=other>")
    tab = await shop.page("/")
    await shop.rows(1)
    await tab.evaluate("void (location.href = '/other')")
    await arrived(tab, "window.other")
    await tab.evaluate("void setTimeout(() => history.back())")  # answers before it goes
    rows = await shop.rows(2)
    # Whether it returned or was loaded anew, it was shown twice.
    assert [row["path"] for row in rows] == ["/", "/"]


async def test_a_page_made_beforehand_is_viewed_when_it_is_shown(
    shop: Shop, tmp_path: Path
) -> None:
    """Nobody drives this browser: one that is driven makes no pages beforehand."""
    if shop.engine != "chromium":
        pytest.skip("only Chromium makes pages beforehand")
    rules = """<script type=speculationrules>
    {"prerender": [{"source": "list", "urls": ["/next"], "eagerness": "immediate"}]}</script>
    <script>setInterval(async () => {
      if (await (await fetch('/go')).text()) location.href = '/next';
    }, 100)</script>"""
    made = """<script>
    const made = document.prerendering;
    addEventListener('load', () => { sendgrid.track('Made', {made}); fetch('/made') });
    </script>"""
    site = shop.site
    site.add("/next", shop.collector.script() + made)
    url = site.add("/", shop.collector.script(), body=rules)
    profile = f"--user-data-dir={tmp_path}"
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless", *FLAGS, profile, url, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await until(lambda: "/made" in site.seen)
        assert [row["path"] for row in await shop.rows(1)] == ["/"]
        site.pages["/go"] = ("go", {})
        rows = await shop.rows(3)
    finally:
        browser.terminate()
        await browser.wait()
    assert [(row["event"], row["path"]) for row in rows] == [
        (None, "/"),
        (None, "/next"),
        ("Made", "/next"),
    ]
    assert rows[2]["properties"] == {"made": True}


async def test_the_view_has_its_title_where_the_script_is_faster_than_the_parser(
    shop: Shop,
) -> None:
    head = shop.collector.script() + "<script>sendgrid.push(['track', 'A'])</script>"
    await shop.open(shop.site.add("/", head + "<title>Late title</title>", title=""))
    rows = await shop.rows(2)
    assert [(row["type"], row["title"]) for row in rows] == [
        ("page", "Late title"),
        ("track", "Late title"),
    ]


async def test_the_script_twice_does_nothing_twice_and_two_globals_live_side_by_side(
    shop: Shop,
) -> None:
    script = shop.collector.script()
    inline = await shop.collector.snippet()
    head = inline + script + script + inline + shop.collector.script(**{"global": "other"})
    tab = await shop.open(shop.site.add("/", head))
    await tab.evaluate("void (sendgrid.track('A'), other.track('B'))")
    assert sorted(await shop.names(4)) == ["A", "B", "page", "page"]
