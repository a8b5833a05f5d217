"""What purchases and leads mean, what breaks them, and that money stays exact."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.people import commerce

DOCUMENTED = {
    "total": 119.85,
    "currency": "USD",
    "products": [
        {"product_id": "1", "name": "Essentials Plan", "sku": "SKU-1", "price": 19.95,
         "quantity": 2, "category": "Transactional Email"},
        {"product_id": "2", "name": "Pro Plan", "sku": "SKU-2", "price": 79.95,
         "quantity": 1, "category": "Marketing Email"},
    ],
}  # fmt: skip


def said(event: str, properties: object) -> list[str]:
    text = commerce.violations(event, None if properties is None else json.dumps(properties))
    return json.loads(text) if text else []


def test_the_documented_purchase_is_understood():
    assert said("Purchase Completed", DOCUMENTED) == []
    bought = commerce.purchase(json.dumps(DOCUMENTED))
    assert (bought.total_micros, bought.currency) == (119_850_000, "USD")
    assert [p.price_micros for p in bought.products] == [19_950_000, 79_950_000]
    assert [p.quantity for p in bought.products] == [2, 1]


@pytest.mark.parametrize("properties", [None, {}, {"total": None, "products": None}])
def test_a_bare_purchase_is_one_without_value(properties):
    assert said("Purchase", properties) == []
    assert commerce.purchase(json.dumps(properties or {})).total_micros is None


def test_revenue_counts_where_there_is_no_total():
    assert commerce.purchase('{"revenue":"12.50"}').total_micros == 12_500_000
    assert commerce.purchase('{"total":1,"revenue":2}').total_micros == 1_000_000


@pytest.mark.parametrize(
    ("properties", "where"),
    [
        ({"total": "12,50"}, "$.properties.total"),
        ({"total": "1e3"}, "$.properties.total"),
        ({"total": True}, "$.properties.total"),
        ({"total": {}}, "$.properties.total"),
        ({"total": 10**18}, "$.properties.total"),
        ({"revenue": "much"}, "$.properties.revenue"),
        ({"currency": "Euro"}, "$.properties.currency"),
        ({"currency": "€€€"}, "$.properties.currency"),
        ({"currency": 978}, "$.properties.currency"),
        ({"order_id": ["1"]}, "$.properties.order_id"),
        ({"products": {}}, "$.properties.products"),
        ({"products": ["plan"]}, "$.properties.products[0]"),
        ({"products": [{}, {"price": "free"}]}, "$.properties.products[1].price"),
        ({"products": [{"product_id": []}]}, "$.properties.products[0].product_id"),
    ],
)
def test_what_breaks_the_table_is_named_with_its_place(properties, where):
    (text,) = said("Order Completed", properties)
    assert text.startswith("expected ")
    assert text.endswith(f"- at `{where}`")


@pytest.mark.parametrize("properties", [None, {}, {"email": ""}, {"email": "ada"}, {"email": 5}])
def test_a_lead_without_an_address_is_none(properties):
    assert said("Lead Captured", properties) == [
        "expected an e-mail address - at `$.properties.email`"
    ]


def test_an_address_has_one_form():
    assert commerce.lead('{"email":" Ada@Example.COM ","source":"Landing Page 1"}') == (
        commerce.Lead("ada@example.com", "Landing Page 1")
    )


def test_the_list_of_violations_is_bounded():
    assert len(said("Purchase", {"products": [1] * 2000})) == 20


def test_hostile_properties_are_said_to_be_wrong_and_raise_nothing():
    for text in ('{"total":' + "9" * 5000 + "}", '{"total":1e999999999}', '{"total":1e-999999999}'):
        commerce.violations("Purchase", text)
    assert commerce.violations("Purchase", '{"total":"' + "9" * 5000 + '"}')


cents = st.integers(-(10**12), 10**12)


@given(st.lists(cents, max_size=50), st.booleans())
def test_sums_of_money_are_exact(amounts, as_text):
    texts = [f"{Decimal(amount) / 100:f}" for amount in amounts]
    totals = [
        commerce.purchase(f'{{"total":"{t}"}}' if as_text else f'{{"total":{t}}}').total_micros
        for t in texts
    ]
    assert sum(totals) == sum(amounts) * 10_000


@given(st.decimals(-(10**9), 10**9, places=9))
def test_what_is_finer_than_a_millionth_is_rounded_half_to_even(amount):
    micros = commerce.purchase(f'{{"total":{amount:f}}}').total_micros
    assert micros == round(Fraction(amount) * 1_000_000)


def test_an_order_item_is_a_product_and_its_order():
    text = '{"order_id":7,"product_id":"p","price":"19.95","quantity":2}'
    item = commerce.order_item(text)
    assert (item.order_id, item.product.price_micros, item.product.quantity) == ("7", 19_950_000, 2)
    assert said("Order Item", json.loads(text)) == []


@pytest.mark.parametrize(
    ("properties", "where"),
    [
        (None, "$.properties.order_id"),
        ({"order_id": ""}, "$.properties.order_id"),
        ({"order_id": "o", "price": "x"}, "$.properties.price"),
        ({"order_id": "o", "quantity": []}, "$.properties.quantity"),
    ],
)
def test_what_breaks_an_order_item_is_named(properties, where):
    (text,) = said("Order Item", properties)
    assert f"`{where}`" in text
