"""The same purchase and the same person, whichever client told of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from segment.analytics.client import Client

from tests.clients.node import run_node
from tests.clients.test_snowplow_node import send as send_snowplow
from tests.faults.harness import Collector, Row

PLAN = {"name": "Plan", "category": "Mail", "price": 19.95, "quantity": 2}
PIN = {"name": "Pin", "category": "Fun", "price": 9.5, "quantity": 1}
PAGE = {"pageUrl": "https://shop.example/pricing"}
ITEMS = [
    ("SKU-1", "Plan", "Mail", 19_950_000, 2),
    ("SKU-2", "Pin", "Fun", 9_500_000, 1),
]

Tell = Callable[[Collector], Awaitable[Any]]


async def by_segment(collector: Collector) -> None:
    client = Client(collector.key, host=collector.url)
    client.page(anonymous_id="d-1", properties={"url": PAGE["pageUrl"]})
    products = [{"product_id": "SKU-1", **PLAN}, {"product_id": "SKU-2", **PIN}]
    bought = {"order_id": "o-1", "total": 49.4, "currency": "EUR", "products": products}
    client.track("ada", "Order Completed", bought, anonymous_id="d-1")
    await asyncio.to_thread(client.join)


async def by_snowplow(collector: Collector) -> None:
    """Each event in a request of its own, an item before its order."""
    lines = [
        ["buildEcommerceTransactionItem", {"orderId": "o-1", "sku": sku, **line}]
        for sku, line in (("SKU-1", PLAN), ("SKU-2", PIN))
    ]
    order = ["buildEcommerceTransaction", {"orderId": "o-1", "total": 49.4, "currency": "EUR"}]
    view, known = {"setDomainUserId": "d-1"}, {"setDomainUserId": "d-1", "setUserId": "ada"}
    await send_snowplow(collector.url, who=view, calls=[["buildPageView", PAGE]])
    await send_snowplow(collector.url, who=known, calls=[lines[0], order, lines[1]], bufferSize=1)


async def by_snowplows_ecommerce(collector: Collector) -> None:
    """As the plugin builds it: an action, and entities beside it."""
    vendor = "iglu:com.snowplowanalytics.snowplow.ecommerce"

    def entity(name: str, data: dict[str, Any]) -> dict[str, Any]:
        return {"schema": f"{vendor}/{name}/jsonschema/1-0-0", "data": data}

    about = [
        entity("product", {"id": "SKU-1", **PLAN}),
        entity("product", {"id": "SKU-2", **PIN}),
        entity("transaction", {"transaction_id": "o-1", "revenue": 49.4, "currency": "EUR"}),
    ]
    bought = {"event": entity("snowplow_ecommerce_action", {"type": "transaction"})}
    view, known = {"setDomainUserId": "d-1"}, {"setDomainUserId": "d-1", "setUserId": "ada"}
    await send_snowplow(collector.url, who=view, calls=[["buildPageView", PAGE]])
    calls = [["buildSelfDescribingEvent", bought]]
    await send_snowplow(collector.url, who=known, calls=calls, entities=about)


async def by_umami(collector: Collector) -> None:
    items = [
        {"productId": sku, **line} for sku, line in (("SKU-1", PLAN), ("SKU-2", PIN))
    ]  # fmt: skip
    commerce = {"orderId": "o-1", "currency": "EUR", "items": items}
    paid = {"name": "paid", "id": "ada", "data": {"commerce": commerce}}
    words = {"url": collector.url, "website": "shop", "calls": [["track", paid]]}
    await run_node("umami.mjs", words)


async def settled(collector: Collector, sql: str, done: Callable[[list[Row]], bool]) -> list[Row]:
    """The rows, once the projector has come as far."""
    async with asyncio.timeout(60):
        while not done(rows := collector.rows(sql)):
            await asyncio.sleep(0.05)
    return rows


@pytest.mark.parametrize("tell", [by_segment, by_snowplow, by_snowplows_ecommerce, by_umami])
async def test_a_purchase_has_its_value_items_and_buyer(collector: Collector, tell: Tell) -> None:
    await tell(collector)
    items = await settled(
        collector,
        "SELECT product_id, name, category, price_micros, quantity FROM purchase_items "
        "ORDER BY product_id",
        lambda rows: len(rows) == len(ITEMS),
    )
    assert [tuple(row.values()) for row in items] == ITEMS
    (bought,) = collector.rows("SELECT * FROM purchases")
    assert (bought["order_id"], bought["currency"]) == ("o-1", "EUR")
    assert (bought["total_micros"], bought["counted"]) == (49_400_000, 1)
    (buyer,) = collector.rows("SELECT id, user_id FROM people")
    assert (buyer["id"], buyer["user_id"]) == (bought["person_id"], "ada")
    timeline = collector.rows("SELECT person_id FROM person_events")
    assert {row["person_id"] for row in timeline} == {buyer["id"]}


async def test_a_plausible_revenue_is_a_purchase_without_a_buyer(collector: Collector) -> None:
    revenue = {"amount": "49.40", "currency": "eur"}
    body = {"n": "Purchase", "u": "https://shop.example/", "d": "shop", "$": revenue}
    script = "fetch(process.argv[1], {method: 'POST', body: process.argv[2]})"
    process = await asyncio.create_subprocess_exec(
        "node", "-e", script, f"{collector.url}/api/event", json.dumps(body)
    )
    assert await process.wait() == 0
    (bought,) = await settled(collector, "SELECT * FROM purchases", bool)
    assert (bought["total_micros"], bought["currency"]) == (49_400_000, "EUR")
    assert bought["person_id"] is None
