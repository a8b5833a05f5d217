"""Every call arrives, once, whatever becomes of the page and of the collector."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.engines.conftest import Collector, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.conftest import Door, Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIFTY = "for (let i = 0; i < 50; i++) sendgrid.track('Step ' + i, {i, note: 'some words'});"
STEPS = [f"Step {i}" for i in range(50)]
KEPT = "Object.keys(localStorage).filter(key => key.startsWith('_px_q')).length"


async def test_fifty_calls_and_away(shop: Shop) -> None:
    tab = await shop.page()
    leave = f"location.href = {shop.site.elsewhere!r}"
    await tab.evaluate(f"void (() => {{ {FIFTY} {leave} }})()")
    assert await shop.names(51) == ["page", *STEPS]


async def test_left_in_the_middle_of_fifty_calls(shop: Shop, door: Door) -> None:
    door.delay = lambda: 0.2
    tab = await shop.open(shop.site.add("/", shop.collector.script(door.url)))
    calls = "for (let i = 0; i < 25; i++) sendgrid.track('Step ' + i);"
    rest = calls.replace("i = 0; i < 25", "i = 25; i < 50")
    leave = f"setTimeout(() => {{ {rest} location.href = {shop.site.elsewhere!r} }}, 70)"
    await tab.evaluate(f"void (() => {{ {calls} {leave} }})()")
    assert await shop.names(51) == ["page", *STEPS]


async def test_a_call_in_the_pages_own_pagehide(shop: Shop) -> None:
    tab = await shop.page()
    await tab.evaluate("addEventListener('pagehide', () => sendgrid.track('Left'))")
    await tab.goto(shop.site.elsewhere)
    assert await shop.names(2) == ["page", "Left"]


async def test_the_collector_down_for_a_while_and_back(shop: Shop, tmp_path: Path) -> None:
    collector = Collector(tmp_path)
    await collector.start()
    shop.collector = collector
    try:
        tab = await shop.page()
        await shop.rows(1)
        await collector.stop()
        await tab.evaluate("void sendgrid.track('A').track('B')")
        await asyncio.sleep(1)
        await tab.evaluate("void sendgrid.track('C')")
        await tab.goto(shop.site.elsewhere)
        await collector.start()
        await tab.goto(f"{shop.site.url}/")
        assert await shop.names(5) == ["page", "A", "B", "C", "page"]
        await shop.rows(5)
        assert await tab.evaluate(KEPT) == 0
    finally:
        await collector.stop()


async def test_offline_and_online_again(shop: Shop, door: Door) -> None:
    tab = await shop.open(shop.site.add("/", shop.collector.script(door.url)))
    await shop.rows(1)
    door.open = False
    await tab.evaluate("void sendgrid.track('A')")
    await until(lambda: "A" in door.sent())
    door.open = True
    await tab.evaluate("dispatchEvent(new Event('online'))")
    assert await shop.names(2) == ["page", "A"]


async def test_two_tabs_at_once_send_nothing_twice(shop: Shop, door: Door) -> None:
    door.delay = lambda: 0.15
    url = shop.site.add("/", shop.collector.script(door.url))
    tabs = [await shop.open(url), await shop.open(url)]
    for tab in tabs:
        await tab.evaluate(f"void (() => {{ {FIFTY} }})()")
    names = await shop.names(102)
    assert Counter(names) == Counter(["page", *STEPS] * 2)
    assert Counter(door.sent()) == Counter(names)


async def test_from_page_to_page_in_one_tab(shop: Shop) -> None:
    for i in range(6):
        go = f"sendgrid.track('Leaving {i}'); location.href = '/{i + 1}'"
        leave = f"<script>addEventListener('load', () => {{ {go} }})</script>"
        shop.site.add(f"/{i}", shop.collector.script() + leave)
    shop.site.add("/6", shop.collector.script())
    tab = await shop.open(shop.site.elsewhere)
    await tab.evaluate(f"void (location.href = '{shop.site.url}/0')")
    names = [name for i in range(6) for name in ("page", f"Leaving {i}")] + ["page"]
    assert await shop.names(13) == names
    assert len({row["anonymous_id"] for row in await shop.rows(13)}) == 1
