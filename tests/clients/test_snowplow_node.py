"""@snowplow/node-tracker, as it is, against the real process."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.node import run_node
from tests.clients.proxy import ALL, Proxy
from tests.faults.harness import Collector, Row

WHEN = 1_767_225_600_123
PAGE = {"pageUrl": "https://shop.example/p?q=1", "pageTitle": "Zürich 東京"}
PAGE |= {"referrer": "https://a.example/"}
AS_PAGE = {"url": PAGE["pageUrl"], "title": PAGE["pageTitle"], "referrer": PAGE["referrer"]}
ENTITIES = [{"schema": "iglu:com.acme/user/jsonschema/1-0-0", "data": {"level": 3, "ü": [None]}}]
DOCUMENT = {"id": "d", "version": "2", "name": "Terms"}
ALL_OF_IT = {"all": True}
UNTIL = {"expiry": "2027-01-01"}
WHO = {"setUserId": "ada", "setDomainUserId": "d-1", "setNetworkUserId": "n-1"}
WHO |= {"setSessionId": "s-1", "setSessionIndex": 4, "setIpAddress": "203.0.113.77"}
WHO |= {"setLang": "de", "setTimezone": "Europe/Zurich", "setUseragent": "Agent/2"}

SCHEMA = "iglu:com.acme/saved_search/jsonschema/1-2-0"
DATA = {"ü": "東京", "n": [1, {"two": True}], "price": 19.95}
LINE = {"sku": "SKU-1", "name": "Plan", "category": "Mail", "quantity": 2, "currency": "EUR"}
ORDER = {"affiliation": "Shop", "tax": 9.5, "shipping": 4, "city": "Bern", "state": "BE"}
ORDER |= {"country": "CH", "currency": "EUR"}
AD = {"costModel": "cpc", "cost": 5.5, "targetUrl": "https://a.example/", "bannerId": "b"}
AD |= {"zoneId": "z", "advertiserId": "x", "campaignId": "c"}
AD_SEEN = AD | {"impressionId": "i"}
IN_CART = LINE | {"unitPrice": 1.5}
FIELD = {"formId": "f", "elementId": "e", "nodeName": "INPUT", "elementClasses": ["a"]}

# The builder, its arguments, and what the row must be: type, name, properties.
CALLS: list[tuple[str, dict[str, Any], str, str | None, dict[str, Any]]] = [
    ("buildPageView", PAGE, "page", None, AS_PAGE),
    (
        "buildPagePing",
        {**PAGE, "minXOffset": 1, "maxXOffset": 2, "minYOffset": 3, "maxYOffset": 40},
        "track",
        "Page Ping",
        {"min_x": 1, "max_x": 2, "min_y": 3, "max_y": 40},
    ),
    (
        "buildStructEvent",
        {"category": "Mixes", "action": "Play", "label": "x", "property": "y", "value": 1.25},
        "track",
        "Play",
        {"category": "Mixes", "action": "Play", "label": "x", "property": "y", "value": 1.25},
    ),
    (
        "buildSelfDescribingEvent",
        {"event": {"schema": SCHEMA, "data": DATA}},
        "track",
        "saved_search",
        DATA,
    ),
    (
        "buildEcommerceTransaction",
        {"orderId": "o-1", "total": 49.4, **ORDER},
        "track",
        "Order Completed",
        {"order_id": "o-1", "total": 49.4, **ORDER},
    ),
    (
        "buildEcommerceTransactionItem",
        {"orderId": "o-1", "price": 19.95, **LINE},
        "track",
        "Order Item",
        {"order_id": "o-1", "product_id": "SKU-1", "price": 19.95, **LINE},
    ),
    ("buildScreenView", {"name": "Home", "id": "1"}, "screen", "Home", {"name": "Home", "id": "1"}),
    (
        "buildLinkClick",
        {"targetUrl": "https://a.example/", "elementClasses": ["a"]},
        "track",
        "link_click",
        {"targetUrl": "https://a.example/", "elementClasses": ["a"]},
    ),
    ("buildAdImpression", AD_SEEN, "track", "ad_impression", AD_SEEN),
    ("buildAdClick", {"clickId": "i", **AD}, "track", "ad_click", {"clickId": "i", **AD}),
    (
        "buildAdConversion",
        {"conversionId": "i", "costModel": "cpa", "cost": 1, "initialValue": 2.5},
        "track",
        "ad_conversion",
        {"conversionId": "i", "costModel": "cpa", "cost": 1, "initialValue": 2.5},
    ),
    (
        "buildSocialInteraction",
        {"action": "like", "network": "n", "target": "t"},
        "track",
        "social_interaction",
        {"action": "like", "network": "n", "target": "t"},
    ),
    ("buildAddToCart", IN_CART, "track", "add_to_cart", IN_CART),
    ("buildRemoveFromCart", IN_CART, "track", "remove_from_cart", IN_CART),
    (
        "buildFormFocusOrChange",
        {"schema": "change_form", **FIELD, "value": None, "type": "text"},
        "track",
        "change_form",
        {**FIELD, "value": None, "type": "text"},
    ),
    (
        "buildFormFocusOrChange",
        {"schema": "focus_form", **FIELD, "value": "v", "type": "text"},
        "track",
        "focus_form",
        {**FIELD, "value": "v", "elementType": "text"},
    ),
    (
        "buildFormSubmission",
        {"formId": "f", "formClasses": ["a"], "elements": [{"name": "n", "value": "v"}]},
        "track",
        "submit_form",
        {"formId": "f", "formClasses": ["a"], "elements": [{"name": "n", "value": "v"}]},
    ),
    (
        "buildSiteSearch",
        {"terms": ["a"], "filters": {"x": True}, "totalResults": 1, "pageResults": 1},
        "track",
        "site_search",
        {"terms": ["a"], "filters": {"x": True}, "totalResults": 1, "pageResults": 1},
    ),
    ("buildConsentGranted", DOCUMENT | UNTIL, "track", "consent_granted", UNTIL),
    ("buildConsentWithdrawn", DOCUMENT | ALL_OF_IT, "track", "consent_withdrawn", ALL_OF_IT),
]  # fmt: skip
EXPECTED = [(kind, name, properties) for _, _, kind, name, properties in CALLS]


async def send(url: str, **changes: Any) -> Any:
    words = {
        "url": url,
        "appId": "shop",
        "method": "post",
        "encodeBase64": True,
        "bufferSize": 5,
        "anonymous": False,
        "who": WHO,
        "entities": ENTITIES,
        "when": None,
        "calls": [call[:2] for call in CALLS],
    }
    return await run_node("snowplow.mjs", words | changes)


def as_called(row: Row) -> tuple[str, str | None, Any]:
    return row["type"], row["event"], json.loads(row["properties"])


@pytest.mark.parametrize("method", ["post", "get"])
@pytest.mark.parametrize("encoded", [True, False], ids=["base64", "plain"])
async def test_every_call_is_a_row(collector: Collector, method: str, encoded: bool) -> None:
    found = await send(collector.url, method=method, encodeBase64=encoded)
    rows = collector.rows()
    assert [as_called(row) for row in rows] == EXPECTED
    assert [row["message_id"] for row in rows] == found["delivered"]
    assert found["failures"] == []
    for row in rows:
        assert (row["user_id"], row["anonymous_id"]) == ("ada", "d-1")
        assert (row["ip"], row["user_agent"]) == ("203.0.113.0", "Agent/2")
        assert row["original_timestamp"] <= row["sent_at"] <= row["received_at"] + 60_000
        context = json.loads(row["context"])
        assert ENTITIES[0] in context["contexts"]
        assert (context["locale"], context["timezone"]) == ("de", "Europe/Zurich")
        kept = {"aid": "shop", "p": "srv", "tna": "sp", "nuid": "n-1", "sid": "s-1", "vid": "4"}
        assert kept.items() <= context["snowplow"].items()
    granted = next(row for row in rows if row["event"] == "consent_granted")
    assert json.loads(granted["context"])["contexts"][0]["data"] == DOCUMENT


async def test_a_true_time_is_kept(collector: Collector) -> None:
    await send(collector.url, calls=[["buildPageView", PAGE]], when={"type": "ttm", "value": WHEN})
    (row,) = collector.rows()
    assert row["timestamp"] == WHEN
    assert (row["url"], row["path"], row["title"]) == (PAGE["pageUrl"], "/p", "Zürich 東京")
    assert row["referrer"] == PAGE["referrer"]


async def test_an_anonymous_tracker_leaves_neither_address_nor_ids(collector: Collector) -> None:
    await send(collector.url, calls=[["buildPageView", PAGE]], anonymous=True)
    (row,) = collector.rows()
    assert (row["ip"], row["user_id"], row["anonymous_id"]) == (None, None, None)
    for private in ("203.0.113", "ada", "d-1", "n-1"):
        assert private not in row["context"]


@pytest.mark.parametrize("fault", ALL)
async def test_each_event_is_there_once_whatever_happens(proxy: Proxy, fault: str) -> None:
    proxy.order(*ALL[fault])
    found = await send(proxy.url)
    rows = proxy.collector.rows()
    assert proxy.done
    assert sorted(found["delivered"]) == sorted(row["message_id"] for row in rows)
    assert [as_called(row) for row in rows] == EXPECTED
    assert found["failures"]
    assert all(failure["willRetry"] for failure in found["failures"])


async def test_a_site_that_is_not_known_is_refused_once_and_reported(tmp_path: Path) -> None:
    sites = {"site__0__name": "blog", "site__1__name": "shop"}
    async with Collector(tmp_path, **sites) as two, Proxy(two) as between:
        one = [["buildPageView", PAGE]]
        known = await send(between.url, calls=one)
        assert (known["failures"], [row["site"] for row in two.rows()]) == ([], ["shop"])
        for method in ("post", "get"):
            found = await send(between.url, calls=one, appId="other", method=method)
            ((failure,), delivered) = found["failures"], found["delivered"]
            assert failure["status"] == 401
            assert failure["message"] == "no site of that name, key or host"
            assert (failure["willRetry"], delivered) == (False, [])
        assert between.statuses == [200, 401, 401]


async def test_when_every_event_is_refused_none_is_sent_again(proxy: Proxy) -> None:
    bad = [["buildStructEvent", {"category": "c", "action": ""}]] * 3
    found = await send(proxy.url, calls=bad)
    (failure,) = found["failures"]
    assert (failure["status"], failure["willRetry"]) == (400, False)
    assert failure["message"] == "expected an action - at `$.data[0].se_ac`"
    assert proxy.statuses == [400]
    reasons = [row["message"] for row in proxy.collector.rows("SELECT * FROM rejected")]
    assert reasons == [f"expected an action - at `$.data[{i}].se_ac`" for i in range(3)]


async def test_when_one_of_many_is_refused_the_others_are_stored(proxy: Proxy) -> None:
    bad = ["buildStructEvent", {"category": "c", "action": ""}]
    found = await send(
        proxy.url, calls=[["buildPageView", PAGE], bad, ["buildScreenView", {"name": "A"}]]
    )
    assert found["failures"] == []
    assert proxy.statuses == [200]
    assert [row["type"] for row in proxy.collector.rows()] == ["page", "screen"]
    (reject,) = proxy.collector.rows("SELECT * FROM rejected")
    assert reject["batch_index"] == 1


async def test_an_event_that_is_too_large_is_not_sent_again(proxy: Proxy) -> None:
    large = [["buildStructEvent", {"category": "c", "action": "x" * 35_000}]]
    found = await send(proxy.url, calls=large)
    (failure,) = found["failures"]
    assert (failure["status"], failure["willRetry"]) == (400, False)
    assert proxy.statuses == [400]
