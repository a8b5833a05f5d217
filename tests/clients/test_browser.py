"""Segment's and RudderStack's browser clients, as packages in Chromium, against the process."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page

from tests.clients.proxy import IN_A_ROW, Proxy
from tests.clients.shop import Shop
from tests.faults.harness import Collector, Row

Bundled = Callable[[str], Awaitable[bytes]]
Stored = Callable[[int], Awaitable[list[Row]]]

BATCHING = {"strategy": "batching", "config": {"size": 4, "timeout": 200}}
QUICK = {"minRetryDelay": 300, "backoffFactor": 1, "maxAttempts": 100, "timerScaleFactor": 1}
# How each client is loaded, beyond its key and the collector's address.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "segment standard": ("segment.js", {}),
    "segment batching": ("segment.js", {"deliveryStrategy": BATCHING}),
    "rudderstack": ("rudderstack.js", {"queueOptions": QUICK}),
    "rudderstack batching": (
        "rudderstack.js",
        {"queueOptions": QUICK | {"batch": {"enabled": True, "maxItems": 4, "flushInterval": 200}}},
    ),
    "rudderstack beacon": (
        "rudderstack.js",
        {"useBeacon": True, "beaconQueueOptions": {"maxItems": 4, "flushQueueInterval": 200}},
    ),
}

PRODUCT = {"product_id": "1", "name": "Essentials", "price": 19.95, "quantity": 2}
ORDER = {"order_id": "o-1", "total": 39.9, "currency": "USD", "products": [PRODUCT]}
CALLS: list[list[Any]] = [
    ["page", "Docs", "Pricing", {"plan": "pro"}],
    ["track", "Clicked", {"n": 1, "text": "Zürich 東京 \U0001f600", "deep": {"list": [1, None]}}],
    ["identify", "u-1", {"email": "ada@example.com"}],
    ["track", "Order Completed", ORDER],
    ["group", "g-1", {"seats": 3}],
    ["alias", "u-2", "u-1"],
]
SCREEN = ["screen", "App", "Home", {"depth": 2}]  # RudderStack's has none in a browser
COLUMNS = ("type", "event", "user_id", "group_id", "previous_id")
EXPECTED = {
    "page": ("page", "Pricing", None, None, None),
    "track Clicked": ("track", "Clicked", None, None, None),
    "identify": ("identify", None, "u-1", None, None),
    "track Order Completed": ("track", "Order Completed", "u-1", None, None),
    "group": ("group", None, "u-1", "g-1", None),
    "alias": ("alias", None, "u-2", None, "u-1"),
}

# It overwrites the id that an alias is to, by the one that the visitor has.
OF_SEGMENT = {
    "alias": ("alias", None, "u-1", None, "u-1"),
    "screen": ("screen", "Home", "u-1", None, None),
}


@pytest.fixture
async def opened(
    way: str,
    shop: Shop,
    proxy: Proxy,
    visitor: BrowserContext,
    bundled: Bundled,
) -> Callable[..., Awaitable[Page]]:
    """Opens a page whose client is loaded."""
    entry, options = WAYS[way]
    script = shop.script(f"/{entry}", await bundled(entry))

    async def open_page(key: str | None = None) -> Page:
        page = await visitor.new_page()
        await page.goto(shop.page("/pricing", f"<script src='{script}'></script>", "Pricing"))
        words = {"key": key or proxy.collector.key, "url": proxy.url, **options}
        await page.evaluate("async (words) => { window.analytics = await load(words); }", words)
        return page

    return open_page


async def make(page: Page, given: list[list[Any]]) -> None:
    """Makes the calls, one after the other, without waiting for what becomes of them."""
    await page.evaluate(
        "(all) => { for (const [n, ...args] of all) analytics[n](...args); }", given
    )


def named(rows: list[Row]) -> dict[str, Row]:
    return {
        " ".join(filter(None, (r["type"], r["type"] == "track" and r["event"]))): r for r in rows
    }


@pytest.mark.parametrize("way", WAYS)
async def test_every_call_is_a_row_field_by_field(
    way: str,
    opened: Callable[..., Awaitable[Page]],
    shop: Shop,
    collector: Collector,
    proxy: Proxy,
    stored: Stored,
) -> None:
    page = await opened()
    await make(page, CALLS[:2])
    await stored(2)  # or Segment's client names the user of a later identify in them
    await make(page, [*CALLS[2:], SCREEN] if "segment" in way else CALLS[2:])
    rows = await stored(7 if "segment" in way else 6)
    found = named(rows)
    columns = {name: tuple(row[c] for c in COLUMNS) for name, row in found.items()}
    assert columns == EXPECTED | (OF_SEGMENT if "segment" in way else {})
    assert set(proxy.statuses) == {200}
    check_details(found, shop)
    assert len({row["anonymous_id"] for row in rows}) == 1
    assert await page.evaluate("failures") == []
    await check_person(collector, len(rows))


async def check_person(collector: Collector, events: int) -> None:
    """All of it is one person's, who bought once."""
    async with asyncio.timeout(30):
        while None in (owners := owners_of(collector)):
            await asyncio.sleep(0.1)
    (purchase,) = collector.rows("SELECT * FROM purchases WHERE counted")
    found = purchase["order_id"], purchase["total_micros"], purchase["currency"]
    assert found == ("o-1", 39_900_000, "USD")
    assert owners == [purchase["person_id"]] * events


def owners_of(collector: Collector) -> list[str | None]:
    return [row["person_id"] for row in collector.rows("SELECT person_id FROM person_events")]


def check_details(found: dict[str, Row], shop: Shop) -> None:
    page = found["page"]
    properties = json.loads(page["properties"])
    assert (properties["category"], properties["plan"]) == ("Docs", "pro")
    for row in found.values():
        assert (row["url"], row["path"]) == (f"{shop.url}/pricing", "/pricing")
        assert row["title"] == "Pricing"
        assert "Chrome" in row["user_agent"]
        assert abs(row["received_at"] - row["timestamp"]) < 60_000
        assert abs(row["received_at"] - row["sent_at"]) < 60_000
    assert json.loads(found["track Clicked"]["properties"]) == CALLS[1][2]
    assert json.loads(found["track Order Completed"]["properties"]) == ORDER
    assert json.loads(found["identify"]["traits"]) == CALLS[2][2]
    assert json.loads(found["group"]["traits"]) == CALLS[4][2]


# The beacon is not among them: a browser tells no page what became of one, so none is repeated.
@pytest.mark.parametrize("way", [way for way in WAYS if "beacon" not in way])
async def test_through_every_fault_each_event_is_there_once(
    opened: Callable[..., Awaitable[Page]], proxy: Proxy, stored: Stored
) -> None:
    page = await opened()
    proxy.order(*IN_A_ROW)
    names: list[str] = []
    while not proxy.done:
        assert len(names) < 1000
        new = [f"Event {len(names) + i}" for i in range(4)]
        await make(page, [["track", name] for name in new])
        names += new
        await asyncio.sleep(0.1)
    rows = await stored(len(names))
    assert sorted(row["event"] for row in rows) == sorted(names)


def one_request(way: str) -> bool:
    """The events of a moment travel together."""
    return "batching" in way


NEVER = "Non-retryable error:"  # all that Segment's client says, in one of its modes
HUGE = ["track", "Huge", {"text": "x" * 40_000}]


@pytest.mark.parametrize("way", ["segment standard", "segment batching", "rudderstack"])
async def test_a_wrong_key_is_not_tried_again(
    way: str, opened: Callable[..., Awaitable[Page]], collector: Collector, proxy: Proxy
) -> None:
    page = await opened("wk_of_another_site")
    await make(page, CALLS[1:2])
    await page.wait_for_timeout(1500)  # what never comes can only be waited for
    assert proxy.statuses == [401]
    assert collector.rows() == []
    if way == "segment standard":
        assert await page.evaluate("failures") == [f"delivery_failure: {NEVER} 401"]


@pytest.mark.parametrize("way", [way for way in WAYS if "beacon" not in way])
async def test_an_event_that_is_refused_is_not_tried_again_and_its_neighbours_are_stored(
    way: str,
    opened: Callable[..., Awaitable[Page]],
    collector: Collector,
    proxy: Proxy,
    stored: Stored,
) -> None:
    page = await opened()
    await make(page, [HUGE])
    await page.wait_for_timeout(1500)
    assert proxy.statuses == [413]
    await make(page, [CALLS[1], HUGE, CALLS[3]])
    rows = await stored(2)
    assert sorted(row["event"] for row in rows) == ["Clicked", "Order Completed"]
    await page.wait_for_timeout(500)
    assert sorted(proxy.statuses) == ([200, 413] if one_request(way) else [200, 200, 413, 413])
    rejects = collector.rows("SELECT * FROM rejected")
    assert [reject["code"] for reject in rejects] == ["too_large", "too_large"]
    if way == "segment standard":
        assert await page.evaluate("failures") == [f"delivery_failure: {NEVER} 413"] * 2
