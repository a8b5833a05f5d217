"""Plausible's events, and its answers."""

import json

import pytest
import yarl
from multidict import CIMultiDict

from collector.config import Limits
from collector.errors import Refused
from collector.wire import build, plausible
from collector.wire.address import Addresses
from collector.wire.message import Client, Refusal, Request

URL = "https://shop.example/pricing?ref=a"


def sent(body, limits=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    none = CIMultiDict()
    request = Request("POST", yarl.URL("/api/event"), none, raw, "127.0.0.1", Client.of(none))
    return plausible.event(request, "event", limits or Limits())


def event(**given):
    call = sent({"u": URL, "d": "shop.example"} | given)
    masked = Addresses((), "truncated").masked
    (row,) = build.events(
        call, build.Arrival("shop", 1_767_225_600_000, None, None, False, Limits(), masked)
    )
    assert call.refused == []
    return row


def loaded(text):
    return None if text is None else json.loads(text)


def test_a_page_view():
    row = event(n="pageview", r="https://a.example/", w=1280, h=1, v=36, p={"author": "Ada"})
    assert (row.type, row.event, row.url, row.path) == ("page", None, URL, "/pricing")
    assert row.referrer == "https://a.example/"
    page = {"url": URL, "referrer": "https://a.example/"}
    assert loaded(row.properties) == {"author": "Ada", **page}
    assert loaded(row.context) == {"page": page, "screen": {"innerWidth": 1280}}


def test_long_names_and_short_ones_are_the_same():
    long = sent({"name": "pageview", "url": URL, "domain": "a", "referrer": "r", "props": {"x": 1}})
    short = sent({"n": "pageview", "u": URL, "d": "a", "r": "r", "p": {"x": 1}})
    assert long == short


@pytest.mark.parametrize("name", ["p", "props", "m", "meta"])
@pytest.mark.parametrize("as_text", [True, False])
def test_props_are_an_object_or_one_in_a_text_and_only_its_plain_values_count(name, as_text):
    props = {"a": 1, "b": "two", "c": True, "d": "", "e": None, "f": [1], "g": {"h": 1}, "i": 0}
    row = event(n="Signup", **{name: json.dumps(props) if as_text else props})
    assert (row.type, row.event) == ("track", "Signup")
    assert loaded(row.properties) == {"a": 1, "b": "two", "c": True, "i": 0}


@pytest.mark.parametrize("props", ["no json", "[1]", "5", "", [1], 5, None, True])
def test_props_that_are_none_are_left_out(props):
    assert event(n="Signup", p=props).properties is None


@pytest.mark.parametrize("name", ["$", "revenue"])
@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("amount", [15.99, "15.99"])
def test_revenue_has_a_purchases_names(name, as_text, amount):
    revenue = {"amount": amount, "currency": "USD", "more": 1}
    row = event(n="Purchase", **{name: json.dumps(revenue) if as_text else revenue})
    assert loaded(row.properties) == {"total": amount, "currency": "USD"}


def test_an_engagement_has_its_measures():
    row = event(n="engagement", sd=80, e=3000, p={"author": "Ada"}, i=False)
    assert loaded(row.properties) == {"author": "Ada", "scroll_depth": 80, "engaged_ms": 3000}
    assert loaded(row.context)["interactive"] is False


@pytest.mark.parametrize(
    ("given", "site"),
    [({"d": "a,b"}, "a,b"), ({"d": None}, "shop.example"), ({"d": "", "domain": "b"}, "b")],
)
def test_a_site_is_named_by_domain_or_address(given, site):
    assert sent({"n": "pageview", "u": "https://x@shop.example:8443/a"} | given).named == site


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"u": URL}, "a name - at `$.n`"),
        ({"n": "", "u": URL}, "a name - at `$.n`"),
        ({"n": "pageview"}, "an address - at `$.u`"),
        ({"n": "pageview", "u": "DATA:text/html,x"}, "an address - at `$.u`"),
        ({"n": "pageview", "u": 5}, "at `$.u`"),
        ({"n": "pageview", "u": URL, "sd": "x"}, "at `$.sd`"),
        ({"n": "pageview", "u": "a\0b"}, "NUL"),
        ({"n": "E", "u": URL, "p": '{"a":"\\u0000"}'}, "NUL character in text - at `$.p.a`"),
        ({"n": "E", "u": URL, "p": '{"a":1e999}'}, "at `$.p`"),
        ({"n": "E", "u": URL, "x": "y" * 40_000}, "over 32768 bytes"),
        (b'{"n":"E","u":"a","p":' + b"[" * 70 + b"]" * 70 + b"}", "nested deeper"),
        (b'{"n":"E","u":"\xff"}', "not UTF-8"),
        (b"", "truncated"),
        (b"[]", "got `array`"),
    ],
)
def test_what_is_invalid_is_refused_and_named(body, said):
    call = sent(body)
    (refusal,) = call.refused
    assert call.items == []
    assert said in refusal.error.message


def test_a_refused_event_keeps_its_owner():
    assert sent({"d": "shop.example"}).named == "shop.example"
    assert sent({"domain": "shop.example", "u": 5}).named == "shop.example"
    assert sent(b"{").named == ""


def test_answers():
    bad = Refused(400, "invalid_event", "expected a name")
    assert (plausible.answer([], 1).status, plausible.answer([], 1).body) == (202, b"ok")
    refused = plausible.answer([Refusal(0, bad, b"")], 0)
    assert refused.status == 400
    assert json.loads(refused.body)["errors"] == {"request": ["expected a name"]}
    assert ("Retry-After", "1") in plausible.error(Refused(503, "unavailable", "full")).headers
