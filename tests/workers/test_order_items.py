"""Items of an order that come apart from it, as Snowplow's trackers send them."""

import json

import pytest

from tests.workers.people import make_event, world

ORDER = {"order_id": "o-1", "total": 49.4, "currency": "EUR"}
PLAN = {"order_id": "o-1", "product_id": "SKU-1", "name": "Plan", "price": 19.95, "quantity": 2}
PIN = {"order_id": "o-1", "product_id": "SKU-2", "price": "9.50", "quantity": 1}


def order(message_id="order", at=10, **more):
    bought = json.dumps(ORDER | more)
    return make_event(message_id, event="Order Completed", timestamp=at, properties=bought)


def item(message_id, properties, at=11, site="shop"):
    text = json.dumps(properties)
    return make_event(message_id, event="Order Item", timestamp=at, properties=text, site=site)


async def items(made):
    return await made.sql(
        "SELECT message_id, product_id, purchase_items.name, price_micros, quantity "
        "FROM purchase_items JOIN purchases USING (seq) ORDER BY seq, position"
    )


BOTH = [("order", "SKU-1", "Plan", 19_950_000, 2), ("order", "SKU-2", None, 9_500_000, 1)]


@pytest.mark.parametrize(
    "batches",
    [
        [[order(), item("a", PLAN), item("b", PIN, 12)]],
        [[order()], [item("a", PLAN)], [item("b", PIN, 12)]],
        [[item("b", PIN, 12)], [item("a", PLAN)], [order()]],
        [[item("b", PIN, 12), order(), item("a", PLAN)]],
    ],
    ids=["together", "after", "before", "around"],
)
async def test_an_order_has_its_items_whichever_comes_first(tmp_path, batches):
    async with world(tmp_path) as made:
        for batch in batches:
            await made.tell(*batch)
        assert await items(made) == BOTH
        ((purchases, total),) = await made.sql("SELECT count(*), sum(total_micros) FROM purchases")
        assert (purchases, total) == (1, 49_400_000)


async def test_products_of_the_order_itself_stay_before_them(tmp_path):
    async with world(tmp_path) as made:
        await made.tell(item("a", PLAN), order(products=[{"product_id": "own"}]))
        assert [row[1] for row in await items(made)] == ["own", "SKU-1"]


async def test_the_items_are_those_of_the_purchase_that_counts(tmp_path):
    async with world(tmp_path) as made:
        await made.tell(order("late", 20), item("a", PLAN))
        assert [row[0] for row in await items(made)] == ["late"]
        await made.tell(order("early", 5))
        assert [row[0] for row in await items(made)] == ["early"]


async def test_another_sites_order_of_the_same_id_is_another(tmp_path):
    async with world(tmp_path) as made:
        await made.tell(order(), item("a", PLAN, site="blog"))
        assert await items(made) == []


async def test_an_item_alone_is_no_purchase(tmp_path):
    async with world(tmp_path) as made:
        await made.tell(item("a", PLAN), item("b", {"price": 1}), item("c", "none"))
        assert await made.sql("SELECT count(*) FROM purchases") == [(0,)]
        assert await items(made) == []
