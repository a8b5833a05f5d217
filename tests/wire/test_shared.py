"""What a batch says for all its events, and what clients say in other places than Segment's."""

import base64
import json

import pytest
import yarl
from multidict import CIMultiDict

from collector.config import Limits
from collector.errors import Refused
from collector.wire import build, decode, segment
from collector.wire.address import Addresses
from collector.wire.message import Client, Request

RECEIVED = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def built(call):
    arrival = build.Arrival(
        "shop", RECEIVED, None, None, False, Limits(), Addresses((), "truncated").masked
    )
    return build.events(call, arrival)


def of_batch(*items, **shared):
    body = {"batch": [{"type": "track", "event": "E"} | item for item in items]} | shared
    return built(decode.batch(json.dumps(body).encode(), Limits()))


def of_single(kind, **fields):
    (event,) = built(decode.single(json.dumps(fields).encode(), kind, Limits()))
    return event


def test_a_batchs_context_and_integrations_are_each_events():
    first, second = of_batch(
        {"context": {"locale": "de"}, "integrations": {"All": False}},
        {"context": None},
        context={"locale": "en", "app": {"name": "a"}},
        integrations={"All": True, "Mixpanel": True},
    )
    assert json.loads(first.context) == {
        "locale": "de",
        "app": {"name": "a"},
        "integrations": {"All": False, "Mixpanel": True},
    }
    assert json.loads(second.context) == {
        "locale": "en",
        "app": {"name": "a"},
        "integrations": {"All": True, "Mixpanel": True},
    }


def test_an_event_whose_context_is_no_object_is_refused_alone():
    call = decode.batch(
        json.dumps(
            {
                "batch": [{"type": "track", "event": "A", "context": 5}, {"type": "page"}],
                "context": {"locale": "en"},
            }
        ).encode(),
        Limits(),
    )
    assert [event.type for event in built(call)] == ["page"]
    (refusal,) = call.refused
    assert refusal.error.message == "expected an object - at `$.batch[0].context`"


@pytest.mark.parametrize(("events", "size"), [(1, 33_000), (2000, 300)])
@pytest.mark.parametrize("name", ["context", "integrations"])
def test_what_is_shared_counts_for_each_event(name, events, size):
    with pytest.raises(Refused) as caught:
        of_batch(*[{}] * events, **{name: {"a": "x" * size}})
    assert (caught.value.status, caught.value.code) == (413, "too_large")
    assert caught.value.message.endswith(f"- at `$.{name}`")


@pytest.mark.parametrize("empty", [{}, None, {"All": True}])
def test_empty_integrations_leave_the_context_alone(empty):
    assert of_single("track", event="E", integrations=empty).context is None


def test_the_category_of_a_page_is_kept_beside_its_properties():
    page = of_single("page", category="Docs", properties={"depth": 1})
    assert json.loads(page.properties) == {"category": "Docs", "depth": 1}
    own = of_single("page", category="Docs", properties={"category": "own"})
    assert json.loads(own.properties) == {"category": "own"}


@pytest.mark.parametrize("category", [5, None, "", ["Docs"]])
def test_a_category_that_is_no_text_is_left_out(category):
    assert of_single("page", category=category).properties is None


def test_traits_of_the_context_are_those_of_an_identify_without_any():
    there = {"traits": {"plan": "pro"}}
    assert json.loads(of_single("identify", context=there).traits) == {"plan": "pro"}
    own = of_single("identify", traits={"plan": "free"}, context=there)
    assert json.loads(own.traits) == {"plan": "free"}
    assert of_single("track", event="E", context=there).traits is None
    assert of_single("identify", context={"traits": 5}).traits is None


def test_the_original_timestamp_counts_when_there_is_no_other():
    assert of_single("page", originalTimestamp="2025-12-01T00:00:00Z").timestamp == 1764547200000
    both = of_single(
        "page", originalTimestamp="2025-12-01T00:00:00Z", timestamp="2025-12-02T00:00:00Z"
    )
    assert both.timestamp == 1764633600000
    assert of_single("page", originalTimestamp=None).timestamp == RECEIVED


def test_an_original_timestamp_that_is_none_refuses_the_event():
    call = decode.single(b'{"originalTimestamp":"yesterday"}', "page", Limits())
    assert built(call) == []
    assert call.refused[0].error.message.endswith("- at `$.originalTimestamp`")


def visitor(header, **event):
    headers = CIMultiDict({"AnonymousId": header})
    url = yarl.URL("/v1/track")
    body = json.dumps({"event": "E"} | event).encode()
    request = Request("POST", url, headers, body, "127.0.0.1", Client.of(headers))
    (built_,) = built(segment.single(request, "track", Limits()))
    return built_.anonymous_id


def test_the_anonymous_id_in_the_header_counts_for_events_of_nobody():
    header = base64.b64encode("Zoë".encode()).decode()
    assert visitor(header) == "Zoë"
    assert visitor(header, anonymousId="own") == "own"
    assert visitor(header, userId="u") is None


@pytest.mark.parametrize("header", ["!!!", "AA==", "/w==", "é", "", "\udcff"])
def test_a_header_that_names_nobody_is_passed_over(header):
    assert visitor(header) is None
