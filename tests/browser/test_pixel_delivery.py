"""Every call arrives, once and in order, whatever becomes of the page and of the collector."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

    from tests.browser.conftest import Collector, Site

FIFTY = "for (let i = 0; i < 50; i++) sendgrid.track('Step ' + i, {i, note: 'some words'});"
KEPT = "Object.keys(localStorage).filter(key => key.startsWith('_px_q')).length"


def seen(rows: list[dict[str, Any]]) -> list[str]:
    return [row["event"] or row["type"] for row in rows]


async def test_fifty_calls_and_away(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    page = await visitor.new_page()
    await page.goto(site.add("/", await collector_process.snippet()))
    await page.evaluate(f"{FIFTY} location.href = 'about:blank'")
    rows = await collector_process.wait_for(51)
    assert seen(rows) == ["page", *(f"Step {i}" for i in range(50))]


async def test_left_while_a_request_is_in_flight(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    url = site.add("/", await collector_process.snippet())
    for i in range(5):
        page = await visitor.new_page()
        await page.goto(url)
        go = f"sendgrid.track('Last {i}'); location.href = 'about:blank'"
        await page.evaluate(f"sendgrid.track('First {i}'); setTimeout(() => {{ {go} }}, 52); 0")
        await page.wait_for_url("about:blank")
    rows = await collector_process.wait_for(15)
    assert seen(rows) == [n for i in range(5) for n in ("page", f"First {i}", f"Last {i}")]


async def test_a_call_in_the_pages_own_pagehide(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    head = await collector_process.snippet()
    page = await visitor.new_page()
    await page.goto(site.add("/", head))
    await page.evaluate("addEventListener('pagehide', () => sendgrid.track('Left'))")
    await page.goto(site.elsewhere)
    assert seen(await collector_process.wait_for(2)) == ["page", "Left"]


async def test_held_while_the_collector_is_down(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    page = await visitor.new_page()
    await page.goto(site.add("/", await collector_process.snippet()))
    await collector_process.wait_for(1)
    await collector_process.stop()
    await page.evaluate("sendgrid.track('A').track('B')")
    await asyncio.sleep(1)
    await page.evaluate("sendgrid.track('C')")
    assert await page.evaluate(KEPT) == 3
    await collector_process.start()
    assert seen(await collector_process.wait_for(4)) == ["page", "A", "B", "C"]
    assert await page.evaluate(KEPT) == 0


async def test_held_over_to_the_next_visit(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    url = site.add("/", await collector_process.snippet())
    page = await visitor.new_page()
    await page.goto(url)
    await collector_process.wait_for(1)
    await collector_process.stop()
    await page.evaluate("sendgrid.track('A').track('B')")
    await page.goto(site.elsewhere)
    await page.close()
    await collector_process.start()
    page = await visitor.new_page()
    await page.goto(url)
    assert seen(await collector_process.wait_for(4)) == ["page", "A", "B", "page"]
    assert await page.evaluate(KEPT) == 0


async def test_from_page_to_page_in_one_tab(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    head = await collector_process.snippet()
    for i in range(6):
        go = f"sendgrid.track('Leaving {i}'); location.href = '/{i + 1}'"
        site.add(f"/{i}", f"{head}<script>addEventListener('load', () => {{ {go} }})</script>")
    site.add("/6", head)
    page = await visitor.new_page()
    await page.goto(f"{site.url}/0", wait_until="commit")
    await page.wait_for_url(f"{site.url}/6")
    rows = await collector_process.wait_for(13)
    assert seen(rows) == [name for i in range(6) for name in ("page", f"Leaving {i}")] + ["page"]
    assert len({row["anonymous_id"] for row in rows}) == 1


async def test_offline_and_online_again(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    page = await visitor.new_page()
    await page.goto(site.add("/", await collector_process.snippet()))
    await collector_process.wait_for(1)
    await visitor.set_offline(True)
    await page.evaluate("sendgrid.track('A')")
    await asyncio.sleep(0.5)
    await visitor.set_offline(False)
    assert seen(await collector_process.wait_for(2)) == ["page", "A"]
