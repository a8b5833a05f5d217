"""Umami's script in Chromium, and @umami/node, as they are.

The script that npm has is version 2's; what version 3 sends otherwise (whole addresses, ids,
metrics) is in tests/wire/test_umami.py. Both send each event once and never try again: behind a
proxy that does, all of them are there through any fault.
"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page

from tests.clients.again import sending_again
from tests.clients.node import HERE, run_node
from tests.clients.proxy import ALL, Proxy, passed, refuse
from tests.clients.shop import Shop
from tests.faults.harness import Collector, Row

SCRIPT = HERE / "node_modules" / "package" / "src" / "tracker" / "index.js"
DATA = {"plan": "pro", "n": [1, {"two": True}], "ü": "東京", "none": None}
Stored = Callable[[int], Awaitable[list[Row]]]
Start = Callable[..., Awaitable[Page]]


@pytest.fixture
def opened(shop: Shop, visitor: BrowserContext) -> Start:
    """A page of the shop with the script in its head."""

    async def start(url: str, body: str = "", website: str = "shop", more: str = "") -> Page:
        shop.script("/u.js", SCRIPT.read_bytes())
        tag = f"<script defer src=/u.js data-website-id={website} data-host-url={url} {more}>"
        address = shop.page("/pricing", f"{tag}</script>{body}", "100 % Zürich")
        page = await visitor.new_page()
        await page.goto(f"{address}?q=1", referer=f"{shop.url}/before?a=b")
        return page

    return start


async def test_the_script_every_call(
    collector: Collector, opened: Start, shop: Shop, stored: Stored
) -> None:
    button = "<button data-umami-event=Clicked data-umami-event-size=big>x</button>"
    page = await opened(collector.url, button)
    await stored(1)
    await page.evaluate("data => umami.track('Signup', data)", DATA)
    await page.evaluate("umami.track(props => ({...props, url: '/own', title: 'Own'}))")
    await page.evaluate("umami.track({website: 'shop', url: '/bare', name: 'Bare'})")
    await page.evaluate("data => umami.identify(data)", {"email": "ada@example.com", "n": 1})
    await page.click("button")
    await stored(6)
    await page.evaluate("history.pushState({}, '', '/cart')")
    view, signup, own, bare, identify, click, cart = await stored(7)

    url, referrer = f"{shop.url}/pricing?q=1", f"{shop.url}/before?a=b"
    assert (view["type"], view["url"], view["path"]) == ("page", url, "/pricing")
    assert (view["title"], view["referrer"]) == ("100 % Zürich", referrer)
    as_page = {"url": url, "title": "100 % Zürich", "referrer": referrer}
    assert json.loads(view["properties"]) == as_page
    assert (signup["type"], signup["event"], signup["url"]) == ("track", "Signup", url)
    assert json.loads(signup["properties"]) == DATA
    assert (own["type"], own["url"], own["title"]) == ("page", f"{shop.url}/own", "Own")
    assert (bare["type"], bare["event"], bare["properties"]) == ("track", "Bare", None)
    assert identify["type"] == "identify"
    assert json.loads(identify["traits"]) == {"email": "ada@example.com", "n": 1}
    assert (click["event"], json.loads(click["properties"])) == ("Clicked", {"size": "big"})
    assert (cart["type"], cart["url"], cart["referrer"]) == ("page", f"{shop.url}/cart", url)
    for row in (view, signup, own, identify, click, cart):
        context = json.loads(row["context"])
        assert context["locale"] == "en-US"
        assert set(context["screen"]) == {"width", "height"}
        assert "Chrome" in row["user_agent"]
        assert row["ip"] == "127.0.0.0"
        assert row["timestamp"] == row["received_at"]


async def test_what_the_collector_took_is_there_once_and_the_page_goes_on(
    proxy: Proxy, opened: Start
) -> None:
    proxy.order(refuse(429, 1), Proxy.forward, refuse(503, 1))
    page = await opened(proxy.url, more="data-auto-track=false")
    for n in range(5):
        await page.evaluate("n => umami.track(`Event ${n}`)", n)
    assert proxy.statuses == [429, 200, 503, 200, 200]
    stored = [row["event"] for row in proxy.collector.rows()]
    assert stored == ["Event 1", "Event 3", "Event 4"]


@pytest.mark.parametrize("fault", [f for f in ALL if f != "killed"])
async def test_behind_a_proxy_that_sends_again_every_event_is_there_once(
    patient: tuple[Collector, Proxy, str], opened: Start, fault: str
) -> None:
    collector, between, url = patient
    between.order(passed, *ALL[fault], passed, *ALL[fault])
    page = await opened(url, more="data-auto-track=false")
    for n in range(5):
        await page.evaluate("n => umami.track(`Event ${n}`)", n)
    found = await send(url, *(["track", f"Node {n}"] for n in range(3)))
    assert [answer["status"] for answer in found] == [200] * 3
    assert between.done
    expected = [f"Event {n}" for n in range(5)] + [f"Node {n}" for n in range(3)]
    assert [row["event"] for row in collector.rows()] == expected


async def test_behind_a_proxy_that_sends_again_a_killed_collector_loses_nothing(
    tmp_path: Path,
) -> None:
    async with (
        Collector(tmp_path, clients__proxy_ids="true") as collector,
        sending_again(tmp_path, collector.url) as url,
    ):
        sent = asyncio.create_task(send(url, *(["track", f"E{n}"] for n in range(300))))
        while len(collector.rows()) < 5:
            await asyncio.sleep(0.01)
        collector.kill(signal.SIGKILL)
        await collector.wait()
        await collector.start()
        assert {answer["status"] for answer in await sent} == {200}
        assert [row["event"] for row in collector.rows()] == [f"E{n}" for n in range(300)]


async def test_a_website_that_is_not_known_is_refused_once(tmp_path: Path, opened: Start) -> None:
    sites = {"site__0__name": "blog", "site__1__name": "shop"}
    async with Collector(tmp_path, **sites) as two, Proxy(two) as between:
        for website, status in (("other", 401), ("shop", 200)):
            page = await opened(between.url, website=website, more="data-auto-track=false")
            await page.evaluate("umami.track('E')")
            assert between.statuses[-1] == status
        assert len(between.statuses) == 2
        assert [row["site"] for row in two.rows()] == ["shop"]


async def send(url: str, *calls: list[Any], website: str = "shop") -> Any:
    return await run_node("umami.mjs", {"url": url, "website": website, "calls": calls})


async def test_the_client_for_node_every_call(collector: Collector) -> None:
    page = {
        "url": "/p?q=1",
        "hostname": "shop.example",
        "title": "P",
        "referrer": "https://a.example/",
    }
    found = await send(
        collector.url,
        ["track", page | {"language": "de", "screen": "800x600"}],
        ["track", "Signup", DATA],
        ["track", page | {"name": "Named", "data": DATA}],
        ["identify", {"email": "ada@example.com"}],
    )  # fmt: skip
    view, signup, named, identify = collector.rows()
    assert [answer["status"] for answer in found] == [200] * 4
    assert all(set(answer["body"]) == {"cache", "sessionId", "visitId"} for answer in found)
    url = "https://shop.example/p?q=1"
    assert (view["type"], view["url"], view["title"]) == ("page", url, "P")
    assert view["referrer"] == "https://a.example/"
    context = json.loads(view["context"])
    assert (context["locale"], context["screen"]) == ("de", {"width": 800, "height": 600})
    assert (signup["event"], json.loads(signup["properties"])) == ("Signup", DATA)
    assert (named["event"], json.loads(named["properties"])) == ("Named", DATA)
    assert (named["url"], named["type"]) == (url, "track")
    assert (identify["type"], json.loads(identify["traits"])) == (
        "identify",
        {"email": "ada@example.com"},
    )
    assert {row["user_agent"] for row in collector.rows()} == {"Agent/1"}


async def test_the_client_for_node_is_told_what_was_wrong(tmp_path: Path) -> None:
    sites = {"site__0__name": "blog", "site__1__name": "shop"}
    async with Collector(tmp_path, **sites) as two, Proxy(two) as between:
        (unknown,) = await send(between.url, ["track", "E"], website="other")
        (invalid,) = await send(between.url, ["track", {"data": 5}])
        assert (unknown["status"], invalid["status"]) == (401, 400)
        assert unknown["body"]["error"]["message"] == "no site of that name, key or host"
        assert invalid["body"]["error"]["message"] == (
            "Expected `object | null`, got `int` - at `$.payload.data`"
        )
        assert between.statuses == [401, 400]
        (reject,) = two.rows("SELECT * FROM rejected")
        assert (reject["site"], reject["code"]) == ("shop", "invalid_event")
