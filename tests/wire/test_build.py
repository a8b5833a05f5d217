"""The rules that all protocols share: names, ids, pages, addresses, consent."""

import json

import pytest

from collector.config import Limits
from collector.wire import build, decode
from collector.wire.address import Addresses

RECEIVED = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def arrival(**changes):
    values = {
        "site": "shop",
        "received_at": RECEIVED,
        "ip": "203.0.113.0",
        "user_agent": "Agent/1",
        "gpc": False,
        "limits": Limits(),
        "masked": Addresses((), "truncated").masked,
    }
    return build.Arrival(**(values | changes))


def built(item, kind="track", **changes):
    """One call through the decoder: its event, or the refusal's message."""
    if kind == "track":
        item = {"event": "E", **item}
    call = decode.single(json.dumps(item).encode(), kind, Limits())
    events = build.events(call, arrival(**changes))
    return events[0] if events else call.refused[0].error.message


@pytest.mark.parametrize(
    ("kind", "item", "event"),
    [
        ("track", {"event": "Bought", "name": "other"}, "Bought"),
        ("page", {"name": "Pricing", "event": "other"}, "Pricing"),
        ("page", {}, None),
        ("screen", {"name": "Home"}, "Home"),
        ("identify", {"event": "ignored"}, None),
        ("alias", {}, None),
    ],
)
def test_event_is_a_tracks_name_or_a_pages(kind, item, event):
    assert built(item, kind).event == event


def test_the_common_fields_get_their_columns():
    item = {
        "messageId": "m",
        "userId": "u",
        "anonymousId": "a",
        "groupId": "g",
        "previousId": "p",
        "properties": {"total": 1.5},
        "traits": {"plan": "pro"},
    }

    event = built(item)

    assert (event.message_id, event.site, event.type) == ("m", "shop", "track")
    assert (event.user_id, event.anonymous_id, event.group_id, event.previous_id) == tuple("uagp")
    assert json.loads(event.properties) == {"total": 1.5}
    assert json.loads(event.traits) == {"plan": "pro"}
    assert (event.ip, event.user_agent, event.received_at) == ("203.0.113.0", "Agent/1", RECEIVED)
    assert (event.trusted, event.bot, event.violations, event.node_id) == (None,) * 4


def test_what_is_absent_null_or_empty_is_null():
    event = built({"userId": "", "anonymousId": None, "properties": None, "messageId": ""})

    assert (event.user_id, event.anonymous_id, event.properties, event.context) == (None,) * 4
    assert len(event.message_id) == 36


def test_numbers_as_ids_become_text():
    event = built({"userId": 123456, "anonymousId": -1})

    assert (event.user_id, event.anonymous_id) == ("123456", "-1")


def test_a_message_id_of_100_characters_is_the_longest():
    assert built({"messageId": "é" * 100}).message_id == "é" * 100
    assert built({"messageId": "é" * 101}).endswith("100 characters - at `$.messageId`")


PAGE = {"url": "https://shop.example/a?b#c", "title": "T", "referrer": "https://r.example/"}


def test_a_pages_fields_come_from_its_properties_else_its_context():
    context = {"page": {"url": "https://old.example/z", "title": "Old", "referrer": "old"}}

    event = built({"properties": PAGE, "context": context}, "page")
    assert (event.url, event.path) == ("https://shop.example/a?b#c", "/a")
    assert (event.title, event.referrer) == ("T", "https://r.example/")

    event = built({"properties": {"title": "New", "referrer": ""}, "context": context}, "page")
    assert (event.url, event.path) == ("https://old.example/z", "/z")
    assert (event.title, event.referrer) == ("New", "")


def test_others_have_theirs_from_the_context_alone():
    event = built({"properties": {"url": "mine"}, "context": {"page": PAGE}})

    assert (event.url, event.path, event.title) == (PAGE["url"], "/a", "T")
    assert json.loads(event.properties) == {"url": "mine"}


def test_a_path_that_was_given_stays():
    assert built({"context": {"page": {**PAGE, "path": "/given"}}}).path == "/given"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://shop.example", "/"),
        ("https://shop.example?a=/b", "/"),
        ("https://shop.example/a/b/?c#d", "/a/b/"),
        ("http://shop.example:8080/ä", "/ä"),
        ("app://x/y", "/y"),
        ("/relative", None),
        ("about:blank", None),
    ],
)
def test_the_path_is_derived_from_the_url(url, path):
    assert built({"context": {"page": {"url": url}}}).path == path


def test_a_page_field_that_is_no_text_spoils_nothing_else():
    properties = {"title": 7, "url": "https://shop.example/a", "path": None}

    event = built({"properties": properties}, "page")

    assert (event.title, event.url, event.path) == (None, "https://shop.example/a", "/a")
    assert json.loads(event.properties) == properties


def test_an_address_in_the_context_is_the_visitors_and_masked_there_too():
    event = built({"context": {"ip": "198.51.100.77", "library": {"name": "x"}}})

    assert event.ip == "198.51.100.0"
    assert json.loads(event.context) == {"ip": "198.51.100.0", "library": {"name": "x"}}


@pytest.mark.parametrize("ip", ["nonsense", "", 7, {"v4": "198.51.100.77"}, ["198.51.100.77"]])
def test_an_address_that_is_none_is_scrubbed(ip):
    event = built({"context": {"ip": ip, "a": 1}})

    assert event.ip == "203.0.113.0"
    assert json.loads(event.context) == {"a": 1}


def test_an_address_under_an_escaped_or_doubled_name_does_not_slip_through():
    for context in (b'{"\\u0069p":"198.51.100.77"}', b'{"ip":"8.8.8.8","ip":"198.51.100.77"}'):
        call = decode.single(b'{"event":"E","context":%s}' % context, "track", Limits())
        (event,) = build.events(call, arrival())

        assert event.ip == "198.51.100.0"
        assert json.loads(event.context) == {"ip": "198.51.100.0"}


def test_the_agent_of_the_context_comes_before_the_headers():
    assert built({"context": {"userAgent": "Phone/2"}}).user_agent == "Phone/2"
    assert built({"context": {"userAgent": 5}}).user_agent == "Agent/1"


@pytest.mark.parametrize(
    ("given", "gpc", "stored"),
    [
        ({"ads": False}, False, {"ads": False}),
        ({"ads": True}, True, {"ads": True, "gpc": True}),
        (None, True, {"gpc": True}),
        ("granted", True, {"gpc": True}),
        ("granted", False, "granted"),
    ],
)
def test_consent_is_kept_and_global_privacy_control_marked(given, gpc, stored):
    context = {} if given is None else {"consent": given}

    assert json.loads(built({"context": context}, gpc=gpc).consent) == stored


def test_no_consent_is_null():
    assert built({"context": {"consent": None}}).consent is None
    assert built({}).consent is None


def test_consent_does_not_disturb_the_rest_of_the_context():
    event = built({"context": {"consent": {"ads": True}, "page": PAGE, "userAgent": "P"}})

    assert (event.url, event.user_agent) == (PAGE["url"], "P")
