"""snowplow-tracker from PyPI, as it is, against the real process."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snowplow_tracker import (
    Emitter,
    PagePing,
    PageView,
    ScreenView,
    SelfDescribing,
    SelfDescribingJson,
    StructuredEvent,
    Subject,
    Tracker,
)

from tests.clients.proxy import ALL, Proxy, refuse
from tests.faults.harness import Collector, Row

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WHEN = 1_767_225_600_123
PAGE = {"page_url": "https://shop.example/p?q=1", "page_title": "Zürich 東京"}
PAGE |= {"referrer": "https://a.example/"}
AS_PAGE = {"url": PAGE["page_url"], "title": PAGE["page_title"], "referrer": PAGE["referrer"]}
ENTITY = SelfDescribingJson("iglu:com.acme/user/jsonschema/1-0-0", {"level": 3, "ü": [None]})
SCHEMA = "iglu:com.acme/saved_search/jsonschema/1-2-0"
DATA = {"ü": "東京", "n": [1, {"two": True}], "price": 19.95}
ITEM = {"sku": "SKU-1", "quantity": 2, "name": "Plan", "category": "Mail"}
LINE = {"sku": "SKU-1", "price": 19.95, "quantity": 2, "name": "Plan", "category": "Mail"}
ORDER = {"tax_value": 9.5, "shipping": 4, "affiliation": "Shop"}
ORDER |= {"city": "Bern", "state": "BE", "country": "CH", "currency": "EUR"}
LINK = {"target_url": "https://a.example/?x=1", "element_id": "l", "element_content": "Go"}

Call = Callable[[Tracker], Any]
Expected = tuple[str, str | None, dict[str, Any]]  # type, name, properties

# Every call of the tracker, and the rows that it must become.
CALLS: list[tuple[Call, list[Expected]]] = [
    (lambda t: t.track(PageView(**PAGE)), [("page", None, AS_PAGE)]),
    (
        lambda t: t.track(PagePing(**PAGE, min_x=0, max_x=1, min_y=2, max_y=30)),
        [("track", "Page Ping", {"min_x": 0, "max_x": 1, "min_y": 2, "max_y": 30})],
    ),
    (
        lambda t: t.track(StructuredEvent("Mixes", "Play", "MrC", "speed", 1.25)),
        [
            (
                "track",
                "Play",
                {
                    "category": "Mixes",
                    "action": "Play",
                    "label": "MrC",
                    "property": "speed",
                    "value": 1.25,
                },
            )
        ],
    ),
    (
        lambda t: t.track(SelfDescribing(SelfDescribingJson(SCHEMA, DATA))),
        [("track", "saved_search", DATA)],
    ),
    (
        lambda t: t.track(ScreenView(Tracker.get_uuid(), "Home", type="feed")),
        [("screen", "Home", {"name": "Home", "type": "feed"})],
    ),
    (lambda t: t.track_page_view(**PAGE), [("page", None, AS_PAGE)]),
    (
        lambda t: t.track_page_ping(**PAGE, min_x=5),
        [("track", "Page Ping", {"min_x": 5})],
    ),
    (
        lambda t: t.track_link_click(**LINK),
        [
            (
                "track",
                "link_click",
                {"targetUrl": LINK["target_url"], "elementId": "l", "elementContent": "Go"},
            )
        ],
    ),
    (
        lambda t: t.track_add_to_cart(**ITEM, unit_price=19.95, currency="EUR"),
        [("track", "add_to_cart", {**ITEM, "unitPrice": 19.95, "currency": "EUR"})],
    ),
    (
        lambda t: t.track_remove_from_cart(**ITEM),
        [("track", "remove_from_cart", ITEM)],
    ),
    (
        lambda t: t.track_form_change("f", "e", "INPUT", "v", "text"),
        [
            (
                "track",
                "change_form",
                {
                    "formId": "f",
                    "elementId": "e",
                    "nodeName": "INPUT",
                    "value": "v",
                    "type": "text",
                },
            )
        ],
    ),
    (
        lambda t: t.track_form_submit("f", ["a", "b"]),
        [("track", "submit_form", {"formId": "f", "formClasses": ["a", "b"]})],
    ),
    (
        lambda t: t.track_site_search(["a", "b"], {"x": True}, 12, 3),
        [
            (
                "track",
                "site_search",
                {"terms": ["a", "b"], "filters": {"x": True}, "totalResults": 12, "pageResults": 3},
            )
        ],
    ),
    (
        lambda t: t.track_ecommerce_transaction("o-1", 49.4, **ORDER, items=[dict(LINE)]),
        [
            (
                "track",
                "Order Completed",
                {
                    "order_id": "o-1",
                    "total": 49.4,
                    "currency": "EUR",
                    "tax": 9.5,
                    "shipping": 4,
                    "affiliation": "Shop",
                    "city": "Bern",
                    "state": "BE",
                    "country": "CH",
                },
            ),
            (
                "track",
                "Order Item",
                {"product_id": "SKU-1", "order_id": "o-1", "currency": "EUR", **LINE},
            ),
        ],
    ),
    (
        lambda t: t.track_screen_view("Home", "id-1"),
        [("screen", "Home", {"name": "Home", "id": "id-1"})],
    ),
    (
        lambda t: t.track_mobile_screen_view("Cart", type="list"),
        [("screen", "Cart", {"name": "Cart", "type": "list"})],
    ),
    (
        lambda t: t.track_struct_event("Mixes", "Stop"),
        [("track", "Stop", {"category": "Mixes", "action": "Stop"})],
    ),
    (
        lambda t: t.track_self_describing_event(SelfDescribingJson(SCHEMA, {"a": 1})),
        [("track", "saved_search", {"a": 1})],
    ),
    (
        lambda t: t.track_unstruct_event(SelfDescribingJson(SCHEMA, {"a": 2})),
        [("track", "saved_search", {"a": 2})],
    ),
]
EXPECTED = [expected for _, rows in CALLS for expected in rows]


class Told:
    """What the client's own callbacks were told."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.failures: list[list[str]] = []

    def success(self, payloads: Any) -> None:
        self.sent += [payload["eid"] for payload in payloads]

    def failure(self, count: int, payloads: Any) -> None:
        self.failures.append([payload["eid"] for payload in payloads])


def tracker(url: str, told: Told, app_id: str = "shop", **settings: Any) -> Tracker:
    emitter = Emitter(url, on_success=told.success, on_failure=told.failure, **settings)
    subject = Subject().set_platform("srv").set_user_id("ada").set_lang("de")
    subject.set_domain_user_id("d-1").set_network_user_id("n-1").set_ip_address("203.0.113.77")
    subject.set_screen_resolution(1920, 1080).set_timezone("Europe/Zurich").set_useragent("Agent/2")
    return Tracker("sp", [emitter], subject=subject, app_id=app_id)


def call_all(client: Tracker) -> None:
    for call, _ in CALLS:
        call(client)
    client.flush()


def as_called(row: Row) -> Expected:
    properties = json.loads(row["properties"])
    if row["event"] in ("Home", "Cart") and "id" in properties and properties["id"] != "id-1":
        del properties["id"]  # made by the client
    return row["type"], row["event"], properties


@pytest.mark.parametrize("method", ["post", "get"])
@pytest.mark.parametrize("encoded", [True, False], ids=["base64", "plain"])
async def test_every_call_is_a_row(collector: Collector, method: str, encoded: bool) -> None:
    told = Told()
    client = tracker(collector.url, told, method=method)
    client.encode_base64 = encoded
    await asyncio.to_thread(call_all, client)
    rows = collector.rows()
    assert [as_called(row) for row in rows] == EXPECTED
    assert [row["message_id"] for row in rows] == told.sent
    assert told.failures == []
    for row in rows:
        assert (row["user_id"], row["anonymous_id"]) == ("ada", "d-1")
        assert (row["ip"], row["user_agent"]) == ("203.0.113.0", "Agent/2")
        assert row["received_at"] - 60_000 < row["timestamp"] <= row["received_at"]
        context = json.loads(row["context"])
        assert (context["locale"], context["timezone"]) == ("de", "Europe/Zurich")
        assert context["screen"] == {"width": 1920, "height": 1080}
        assert context["library"] == {"name": "snowplow", "version": "py-1.1.0"}
        assert {"aid": "shop", "p": "srv", "tna": "sp"}.items() <= context["snowplow"].items()
        assert context["snowplow"]["tnuid"] == "n-1"


async def test_entities_and_true_time(collector: Collector) -> None:
    client = tracker(collector.url, Told())
    client.track(PageView(**PAGE, context=[ENTITY], true_timestamp=WHEN))
    await asyncio.to_thread(client.flush)
    (row,) = collector.rows()
    assert row["timestamp"] == row["original_timestamp"] == WHEN
    assert (row["url"], row["path"], row["title"]) == (PAGE["page_url"], "/p", "Zürich 東京")
    assert json.loads(row["context"])["contexts"] == [
        {"schema": "iglu:com.acme/user/jsonschema/1-0-0", "data": {"level": 3, "ü": [None]}}
    ]


@pytest.mark.parametrize("fault", ALL)
async def test_each_event_is_there_once_whatever_happens(proxy: Proxy, fault: str) -> None:
    told = Told()
    client = tracker(proxy.url, told, method="post", request_timeout=30)
    proxy.order(*ALL[fault])
    await asyncio.to_thread(call_all, client)
    async with asyncio.timeout(60):
        while not proxy.done or len(set(told.sent)) < len(EXPECTED):
            await asyncio.sleep(0.05)
    rows = proxy.collector.rows()
    assert sorted(row["message_id"] for row in rows) == sorted(set(told.sent))
    assert len(rows) == len(EXPECTED)
    assert len(told.failures) >= len(ALL[fault])


@pytest.mark.parametrize("method", ["post", "get"])
async def test_what_can_never_succeed_is_given_up_after_one_request(
    tmp_path: Path, method: str
) -> None:
    sites = {"site__0__name": "shop", "site__1__name": "blog"}
    async with Collector(tmp_path, **sites) as two, Proxy(two) as between:
        told = Told()
        client = tracker(between.url, told, app_id="other", method=method)
        await asyncio.to_thread(client.track, PageView(**PAGE))
        await asyncio.to_thread(client.flush)
        await asyncio.sleep(1.5)  # its first retry comes within a second
        assert between.statuses == [401]
        assert len(told.failures) == 1
        assert two.rows() == []


async def test_of_several_sites_the_named_one_gets_the_events(tmp_path: Path) -> None:
    sites = {"site__0__name": "blog", "site__1__name": "shop"}
    async with Collector(tmp_path, **sites) as two:
        client = tracker(two.url, Told(), app_id="shop")
        await asyncio.to_thread(client.track, PageView(**PAGE))
        await asyncio.to_thread(client.flush)
        assert [row["site"] for row in two.rows()] == ["shop"]


async def test_a_failure_reported_is_followed_by_success(proxy: Proxy) -> None:
    told = Told()
    client = tracker(proxy.url, told, method="get")
    proxy.order(refuse(503, 1))
    await asyncio.to_thread(lambda: client.track(PageView(**PAGE)))
    async with asyncio.timeout(30):
        while not told.sent:
            await asyncio.sleep(0.05)
    assert told.failures == [told.sent]
    assert proxy.statuses == [503, 200]
    assert len(proxy.collector.rows()) == 1
