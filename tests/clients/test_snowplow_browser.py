"""@snowplow/browser-tracker and its ecommerce plugin, as they are, in Chromium."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page

from tests.clients.proxy import ALL, Proxy
from tests.clients.shop import Shop
from tests.faults.harness import Collector, Row

SCHEMA = "iglu:com.acme/saved_search/jsonschema/1-2-0"
DATA = {"ü": "東京", "n": [1, {"two": True}], "price": 19.95}
ENTITY = {"schema": "iglu:com.acme/user/jsonschema/1-0-0", "data": {"level": 3}}
PRODUCT = {"id": "p1", "name": "Plan", "category": "Mail", "price": 19.95, "currency": "EUR"}
AS_PRODUCT = {"product_id": "p1", **{k: v for k, v in PRODUCT.items() if k != "id"}}
ORDER = {"transaction_id": "o-1", "revenue": 39.9, "currency": "EUR", "payment_method": "card"}
AS_ORDER = {"order_id": "o-1", "total": 39.9, "currency": "EUR", "payment_method": "card"}
STEP = {"step": 2, "coupon_code": "C"}
PROMOTION = {"id": "x", "name": "Sale", "slot": "1"}
STRUCTURED = {"category": "Mixes", "action": "Play", "label": "x", "property": "y", "value": 1.5}
ONE = {"products": [AS_PRODUCT]}

Expected = tuple[str, str, str | None, dict[str, Any]]


def action(kind: str, more: dict[str, Any] | None = None) -> tuple[str, str, Any]:
    return "track", kind, {"type": kind, **(more or {})}


# The call, its argument, and what the row must be: type, name, properties.
CALLS: list[tuple[str, dict[str, Any], tuple[str, str | None, dict[str, Any]]]] = [
    ("trackStructEvent", STRUCTURED, ("track", "Play", STRUCTURED)),
    (
        "trackSelfDescribingEvent",
        {"event": {"schema": SCHEMA, "data": DATA}, "context": [ENTITY]},
        ("track", "saved_search", DATA),
    ),
    ("trackProductView", PRODUCT, action("product_view", ONE)),
    ("trackProductListView", {"products": [PRODUCT], "name": "L"},
     action("list_view", {"name": "L", **ONE})),
    ("trackProductListClick", {"product": PRODUCT, "name": "L"},
     action("list_click", {"name": "L", **ONE})),
    ("trackAddToCart", {"products": [PRODUCT], "total_value": 19.95, "currency": "EUR"},
     action("add_to_cart", {"total_value": 19.95, "currency": "EUR", **ONE})),
    ("trackRemoveFromCart", {"products": [PRODUCT], "total_value": 0, "currency": "EUR"},
     action("remove_from_cart", {"total_value": 0, "currency": "EUR", **ONE})),
    ("trackCheckoutStep", STEP, action("checkout_step", STEP)),
    ("trackPromotionView", PROMOTION, action("promo_view", PROMOTION)),
    ("trackPromotionClick", PROMOTION, action("promo_click", PROMOTION)),
    (
        "trackTransaction",
        {**ORDER, "products": [{**PRODUCT, "quantity": 2}]},
        (
            "track",
            "Order Completed",
            {
                "type": "transaction",
                **AS_ORDER,
                "total_quantity": 2,
                "products": [{**AS_PRODUCT, "quantity": 2}],
            },
        ),
    ),
    ("trackRefund", {"transaction_id": "o-1", "currency": "EUR", "refund_amount": 5},
     action("refund", {"order_id": "o-1", "currency": "EUR", "refund_amount": 5})),
    ("trackTransactionError", {"transaction": ORDER, "error_code": "E1"},
     action("trns_error", {**AS_ORDER, "error_code": "E1"})),
]  # fmt: skip
COUNT = len(CALLS) + 1  # and a page view

Start = Callable[..., Awaitable[Page]]


@pytest.fixture
def opened(
    shop: Shop, visitor: BrowserContext, bundled: Callable[[str], Awaitable[bytes]]
) -> Start:
    """A page of the shop whose tracker has been started."""

    async def start(url: str, **settings: Any) -> Page:
        shop.script("/sp.js", await bundled("snowplow.js"))
        address = shop.page("/pricing", "<script src=/sp.js></script>", "Zürich 東京")
        page = await visitor.new_page()
        await page.goto(f"{address}?q=1", referer=f"{shop.url}/before")
        await page.evaluate("([url, settings]) => sp.start(url, settings)", [url, settings])
        return page

    return start


async def call_all(page: Page) -> Any:
    """What the client's callbacks were told, once it is done."""
    await page.evaluate("sp.setUserId('ada'); sp.trackPageView();")
    for name, argument, _ in CALLS:
        await page.evaluate("([name, argument]) => sp[name](argument)", [name, argument])
    return await page.evaluate("count => sp.settled(count)", COUNT)


def check_calls(rows: list[Row]) -> None:
    """Each call is one row; in order of their making, as the first time may not be the last."""
    rows = sorted(rows, key=lambda row: row["seq"])
    assert (rows[0]["type"], len(rows)) == ("page", COUNT)
    found = [(row["type"], row["event"], json.loads(row["properties"])) for row in rows[1:]]
    assert found == [expected for _, _, expected in CALLS]


@pytest.mark.parametrize("settings", [{}, {"eventMethod": "get"}, {"encodeBase64": False}])
async def test_every_call_is_a_row(
    collector: Collector, opened: Start, shop: Shop, settings: dict[str, Any]
) -> None:
    page = await opened(collector.url, **settings)
    told = await call_all(page)
    rows = collector.rows()
    assert [row["message_id"] for row in rows] == told["delivered"]
    assert told["failures"] == []
    check_calls(rows)
    cookies = await page.context.cookies()
    (visitor,) = [c["value"].split(".")[0] for c in cookies if c["name"].startswith("_sp_id")]
    for row in rows:
        assert (row["user_id"], row["anonymous_id"]) == ("ada", visitor)
        assert (row["url"], row["path"]) == (f"{shop.url}/pricing?q=1", "/pricing")
        assert row["referrer"] == f"{shop.url}/before"
        assert row["ip"] == "127.0.0.0"
        assert "Chrome" in row["user_agent"]
        assert row["original_timestamp"] <= row["sent_at"] <= row["received_at"] + 60_000
        context = json.loads(row["context"])
        assert context["locale"] == "en-US"
        assert context["library"] == {"name": "snowplow", "version": "js-4.10.1"}
        assert set(context["screen"]) == {"width", "height"}
        assert {"aid": "shop", "p": "web", "tna": "sp"}.items() <= context["snowplow"].items()
        assert any("/web_page/" in entity["schema"] for entity in context["contexts"])
    assert rows[0]["title"] == "Zürich 東京"
    assert ENTITY in json.loads(rows[2]["context"])["contexts"]


async def test_pings_of_a_visitor_who_reads(
    collector: Collector,
    opened: Start,
    stored: Callable[[int], Awaitable[list[Row]]],
) -> None:
    page = await opened(collector.url)
    activity = {"minimumVisitLength": 1, "heartbeatDelay": 1}
    await page.evaluate("activity => sp.enableActivityTracking(activity)", activity)
    await page.evaluate("sp.trackPageView()")
    await page.evaluate("document.body.style.height = '5000px'")
    for _ in range(300):
        await page.evaluate("scrollTo(0, 700); sp.updatePageActivity()")
        await page.wait_for_timeout(100)
        if len(collector.rows()) >= 2:
            break
    _, ping, *_ = await stored(2)
    assert (ping["type"], ping["event"]) == ("track", "Page Ping")
    assert json.loads(ping["properties"])["max_y"] == 700


async def test_an_anonymous_visitor_leaves_neither_address_nor_ids(
    collector: Collector, opened: Start
) -> None:
    anonymous = {"withServerAnonymisation": True}
    page = await opened(collector.url, anonymousTracking=anonymous)
    await page.evaluate("sp.setUserId('ada'); sp.trackPageView()")
    told = await page.evaluate("sp.settled(1)")
    (row,) = collector.rows()
    assert told["failures"] == []
    assert (row["type"], row["ip"], row["user_id"], row["anonymous_id"]) == ("page",) + (None,) * 3
    assert "ada" not in row["context"]


@pytest.mark.parametrize("fault", ALL)
async def test_each_event_is_there_once_whatever_happens(
    proxy: Proxy, opened: Start, fault: str
) -> None:
    proxy.order(*ALL[fault])
    told = await call_all(await opened(proxy.url))
    rows = proxy.collector.rows()
    assert proxy.done
    check_calls(rows)
    assert sorted(told["delivered"]) == sorted(row["message_id"] for row in rows)
    assert told["failures"]


async def test_what_can_never_succeed_is_sent_once_and_reported(
    tmp_path: Path, opened: Start
) -> None:
    sites = {"site__0__name": "shop", "site__1__name": "blog"}
    async with Collector(tmp_path, **sites) as two, Proxy(two) as between:
        page = await opened(between.url, appId="other")
        await page.evaluate("sp.trackPageView()")
        told = await page.evaluate("sp.settled(1)")
        assert [(f["status"], f["willRetry"]) for f in told["failures"]] == [(401, False)]
        assert told["failures"][0]["message"] == "no site of that name, key or host"
        assert (told["delivered"], between.statuses, two.rows()) == ([], [401], [])


async def test_a_page_of_a_foreign_origin_is_refused_and_told(
    tmp_path: Path, opened: Start
) -> None:
    site = {"site__0__name": "shop", "site__0__origins__0": "https://shop.example"}
    async with Collector(tmp_path, **site) as strict, Proxy(strict) as between:
        page = await opened(between.url)
        await page.evaluate("sp.trackPageView()")
        told = await page.evaluate("sp.settled(1)")
        assert [(f["status"], f["willRetry"]) for f in told["failures"]] == [(401, False)]
        assert told["failures"][0]["message"] == "this origin may not send for shop"
        assert strict.rows() == []
