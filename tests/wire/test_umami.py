"""Umami's events, and its answers."""

import json

import pytest
import yarl
from multidict import CIMultiDict

from collector.config import Limits
from collector.errors import Refused
from collector.wire import build, umami
from collector.wire.address import Addresses
from collector.wire.message import Client, Refusal, Request

PAGE = {
    "website": "shop", "hostname": "shop.example", "url": "/pricing?a=1", "title": "Pricing",
    "referrer": "https://a.example/", "language": "de", "screen": "1920x1080",
}  # fmt: skip


def request(body, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = CIMultiDict(headers)
    return Request("POST", yarl.URL("/api/send"), named, raw, "127.0.0.1", Client.of(named))


def sent(payload, kind="event", **headers):
    return umami.send(request({"type": kind, "payload": payload}, **headers), "event", Limits())


def rows(call):
    masked = Addresses((), "truncated").masked
    return build.events(
        call, build.Arrival("shop", 1_767_225_600_000, "192.0.2.0", "A", False, Limits(), masked)
    )


def row(payload, kind="event", **headers):
    call = sent(payload, kind, **headers)
    (found,) = rows(call)
    assert call.refused == []
    return found


def loaded(text):
    return None if text is None else json.loads(text)


def test_a_page_view():
    found = row(PAGE | {"tag": "b", "id": "ada", "timestamp": 1767225500})
    page = {
        "url": "https://shop.example/pricing?a=1",
        "title": "Pricing",
        "referrer": "https://a.example/",
    }
    assert (found.type, found.event, found.path) == ("page", None, "/pricing")
    assert (found.url, found.title, found.referrer) == tuple(page.values())
    assert (found.user_id, found.timestamp) == ("ada", 1767225500000)
    assert loaded(found.properties) == page
    assert loaded(found.context) == {
        "page": page,
        "locale": "de",
        "screen": {"width": 1920, "height": 1080},
        "tag": "b",
    }


def test_an_event_with_a_name_is_a_track():
    found = row(PAGE | {"name": "signup", "data": {"plan": "pro", "n": [1, {"a": None}]}})
    assert (found.type, found.event) == ("track", "signup")
    assert loaded(found.properties) == {"plan": "pro", "n": [1, {"a": None}]}
    assert found.url == "https://shop.example/pricing?a=1"


def test_an_identify_names_the_user_and_the_traits():
    found = row(PAGE | {"id": "ada", "data": {"email": "ada@example.com"}}, "identify")
    assert (found.type, found.user_id) == ("identify", "ada")
    assert loaded(found.traits) == {"email": "ada@example.com"}
    assert found.properties is None


def test_performance_and_errors_are_tracks():
    measured = row(PAGE | {"lcp": 1200.5, "cls": 0.01, "duration": 5}, "performance")
    assert (measured.event, loaded(measured.properties)) == (
        "Performance",
        {"lcp": 1200.5, "cls": 0.01, "duration": 5},
    )
    failed = row(PAGE | {"message": "x is undefined", "stack": []}, "error")
    assert failed.event == "Error"
    assert loaded(failed.properties) == {"message": "x is undefined", "stack": []}


def test_a_completed_payment_is_an_order():
    commerce = {
        "currency": "EUR",
        "orderId": "o-1",
        "shipping": 5,
        "tax": 0.1,
        "items": [
            {"productId": "p1", "name": "Plan", "price": 19.95, "quantity": 2},
            {"productId": "p2", "price": 0.1, "quantity": 1},
        ],
    }
    found = row(PAGE | {"name": "paid", "data": {"commerce": commerce, "plan": "pro"}})
    assert found.event == "Order Completed"
    assert loaded(found.properties) == {
        "plan": "pro",
        "currency": "EUR",
        "shipping": 5,
        "tax": 0.1,
        "order_id": "o-1",
        "total": "45.10",
        "products": [
            {"product_id": "p1", "name": "Plan", "price": 19.95, "quantity": 2},
            {"product_id": "p2", "price": 0.1, "quantity": 1},
        ],
        "event_name": "paid",
    }


@pytest.mark.parametrize(
    "commerce",
    [
        5, [], {"items": [{"price": 1}]}, {"orderId": "", "items": []},
    ],
)  # fmt: skip
def test_what_is_no_completed_payment_stays_as_it_is(commerce):
    found = row(PAGE | {"name": "cart", "data": {"commerce": commerce}})
    assert (found.event, loaded(found.properties)) == ("cart", {"commerce": commerce})


@pytest.mark.parametrize(
    "items", [None, 5, [], [5], [{"price": "x"}], [{}], [{"price": [1]}], [{"price": 1e300}]]
)
def test_an_order_whose_sum_cannot_be_told_has_no_total(items):
    commerce = {"orderId": "o", "items": items}
    found = row(PAGE | {"name": "paid", "data": {"commerce": commerce}})
    assert found.event == "Order Completed"
    assert "total" not in loaded(found.properties)


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Z%C3%BCrich%20100%25", "Zürich 100%"),
        ("100% off", "100% off"),
        ("%FF", "%FF"),
        ("a%00b", "a%00b"),
    ],
)
def test_a_title_is_decoded_where_version_2_encoded_it(title, shown):
    assert row(PAGE | {"title": title}).title == shown


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("http://shop.example:8000", "http://shop.example:8000/pricing?a=1"),
        ("https://other.example", "https://shop.example/pricing?a=1"),
        ("http://[shop.example", "https://shop.example/pricing?a=1"),
        ("null", "https://shop.example/pricing?a=1"),
    ],
)
def test_a_path_is_completed_from_the_pages_origin(origin, url):
    assert row(PAGE, Origin=origin).url == url


def test_addresses_that_are_whole_stay_as_they_are():
    found = row(PAGE | {"url": "https://b.example/x", "referrer": "", "hostname": None})
    assert (found.url, found.referrer) == ("https://b.example/x", None)


def test_an_address_and_an_agent_that_a_server_sends_are_the_visitors():
    found = row(PAGE | {"ip": "203.0.113.77", "userAgent": "Visitor/1"})
    assert (found.ip, found.user_agent) == ("203.0.113.0", "Visitor/1")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "truncated"),
        (b"{}", "missing required field `payload`"),
        ({"payload": 5}, "got `int`"),
        ({"payload": {}, "type": "other"}, "expected one of event, identify"),
        ({"payload": {"timestamp": -1}}, "seconds since 1970 - at `$.payload.timestamp`"),
        ({"payload": {"timestamp": 1e18}}, "seconds since 1970"),
        ({"payload": {"data": [1]}}, "expected `object | null`"),
        ({"payload": {"id": {}}}, "at `$.payload.id`"),
        ({"payload": {"name": "a\0"}}, "NUL"),
        ({"payload": {"x": "y" * 40_000}}, "over 32768 bytes"),
        (b'{"payload":{"url":"\xff"}}', "not UTF-8"),
        (b'{"payload":{"data":' + b'{"a":' * 70 + b"1" + b"}" * 72, "nested deeper"),
    ],
)
def test_what_is_invalid_is_refused_and_named(body, said):
    call = umami.send(request(body), "event", Limits())
    (refusal,) = call.refused
    assert call.items == []
    assert said.lower() in refusal.error.message.lower()


def test_a_broken_event_of_a_batch_is_refused_alone():
    events = [{"payload": PAGE}, {"payload": 5}, {"payload": PAGE | {"name": "x"}}]
    call = umami.batch(request(events), "batch", Limits())
    assert call.named == "shop"
    assert [found.type for found in rows(call)] == ["page", "track"]
    ((index, said),) = [(r.index, r.error.message) for r in call.refused]
    assert (index, said) == (1, "Expected `object`, got `int` - at `$[1].payload`")
    answer = json.loads(umami.batch_answer(call.refused, 2).body)
    assert (answer["size"], answer["processed"], answer["errors"]) == (3, 2, 1)
    assert answer["details"][0]["index"] == 1


@pytest.mark.parametrize("body", [b"", b"5", b"{}", b"[", b'[]},{"a":[', b"[{}"])
def test_what_is_no_array_is_refused_as_a_whole(body):
    call = umami.batch(request(body), "batch", Limits())
    assert (call.items, len(call.refused)) == ([], 1)


def test_an_empty_batch_is_nothing():
    call = umami.batch(request(b"[]"), "batch", Limits())
    assert (call.items, call.refused) == ([], [])


def test_answers():
    assert set(json.loads(umami.answer([], 1).body)) == {"cache", "sessionId", "visitId"}
    bad = Refused(401, "unauthorized", "no such site")
    for answer in (umami.answer, umami.batch_answer):
        refused = answer([Refusal(0, bad, b"")], 0)
        assert refused.status == 401
        assert json.loads(refused.body)["error"]["message"] == "no such site"
    assert ("Retry-After", "1") in umami.error(Refused(503, "unavailable", "full")).headers
