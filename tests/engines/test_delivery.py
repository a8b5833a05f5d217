"""Every call arrives, once, whatever becomes of the page and of the collector."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.engines.conftest import Collector

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
    """Firefox breaks the call off: where the process ends with its page, no loop may run on."""
    long = "const end = Date.now() + busy; busy = 0; while (Date.now() < end); return 12"
    call = f"let busy = 300; sendgrid.track('Left', {{get seconds() {{ {long} }}}})"
    tab = await shop.page()
    await tab.evaluate(f"addEventListener('pagehide', () => {{ {call} }})")
    await tab.goto(shop.site.elsewhere)
    assert await shop.names(2) == ["page", "Left"]
    assert (await shop.rows(2))[1]["properties"] == {"seconds": 12}


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
    door.open = False  # for the browser that has not really lost the network
    await tab.offline(True)
    await tab.evaluate("void sendgrid.track('A').track('B')")
    await asyncio.sleep(1)
    assert await tab.evaluate(KEPT) == 2
    door.open = True
    await tab.offline(False)
    assert await shop.names(3) == ["page", "A", "B"]


async def test_two_tabs_at_once_send_nothing_twice(shop: Shop, door: Door) -> None:
    door.delay = lambda: 0.15
    url = shop.site.add("/", shop.collector.script(door.url))
    tabs = []
    for count in (1, 2):
        tabs.append(await shop.open(url))
        # The next tab hides this one: what it had unsent would go as a beacon, and be sent again.
        await shop.rows(count)
    for tab in tabs:
        await tab.evaluate(f"void (() => {{ {FIFTY} }})()")
    names = await shop.names(102)
    assert Counter(names) == Counter(["page", *STEPS] * 2)
    assert Counter(door.sent()) == Counter(names)


async def test_a_turn_and_an_answer_that_never_come_are_waited_for_in_vain(
    shop: Shop, door: Door
) -> None:
    """Half a minute each, here half a second. WebKit has put pages away with their locks."""
    quicker = "<script>const {timeout} = AbortSignal;"
    quicker += "AbortSignal.timeout = ms => timeout.call(AbortSignal, ms / 60)</script>"
    holder = await shop.open(shop.site.add("/holder", ""))
    lock = f"'_px_q:{shop.collector.key}:'"
    await holder.evaluate(f"void navigator.locks.request({lock}, () => new Promise(() => {{}}))")
    delays = iter([3600])
    door.delay = lambda: next(delays, 0)
    script = quicker + shop.collector.script(door.url, auto="false")
    tab = await shop.open(shop.site.add("/", script))
    await tab.evaluate("void sendgrid.track('A')")
    assert await shop.names(1) == ["A"]
    assert door.sent() == ["A", "A"]
    assert await tab.evaluate(KEPT) == 0


async def test_a_page_whose_policy_lets_no_request_out_sends_images(shop: Shop) -> None:
    url = shop.collector.url
    policy = f"default-src 'none'; script-src {url}; img-src {url}"
    shop.site.add("/", shop.collector.script(query="on"), Content_Security_Policy=policy)
    await shop.open(f"{shop.site.url}/?ajs_uid=u1&ajs_trait_name=%C3%84da")
    rows = await shop.rows(2)
    assert [row["type"] for row in rows] == ["page", "identify"]
    assert (rows[1]["user_id"], rows[1]["traits"]) == ("u1", {"name": "Äda"})
    assert rows[0]["context"]["library"]["name"] == "pixel"


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


async def test_all_is_recorded_where_the_second_file_never_comes(shop: Shop) -> None:
    shop.site.pages["/c2.js"] = ("", {})
    shop.site.copy("/c.js", await shop.collector.file("/c.js"))
    endpoint = f"{shop.collector.url}/c"
    tab = await shop.open(
        shop.site.add("/", shop.collector.script(shop.site.url, endpoint=endpoint))
    )
    await tab.evaluate("void sendgrid.group('acme', {seats: 3}).alias('ada', 'old')")
    await tab.evaluate("(history.pushState({}, '', '/cart'), document.title = 'Cart', 0)")
    await tab.goto(shop.site.elsewhere)
    rows = await shop.rows(4)
    assert [row["type"] for row in rows] == ["page", "group", "alias", "page"]
    assert (rows[1]["group_id"], rows[1]["traits"]) == ("acme", {"seats": 3})
    assert (rows[2]["user_id"], rows[2]["previous_id"]) == ("ada", "old")
    assert (rows[3]["path"], rows[3]["title"]) == ("/cart", "Cart")
