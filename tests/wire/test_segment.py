"""Segment's ways of saying who, and its answers."""

import base64
import json

import pytest
import yarl
from multidict import CIMultiDict

from collector.config import Limits
from collector.config_clients import Clients
from collector.config_http import Http
from collector.errors import Refused
from collector.wire import segment, table
from collector.wire.message import Client, Refusal, Request, invalid

EVENT = {"type": "track", "event": "E"}


def basic(user, password=""):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def request(body=None, path="/v1/track", auth=None, query=""):
    url = yarl.URL.build(path=path, query_string=query, encoded=True)
    headers = CIMultiDict({"Authorization": auth} if auth else {})
    raw = body if isinstance(body, bytes) else json.dumps(body or EVENT).encode()
    return Request("POST", url, headers, raw, "127.0.0.1", Client.of(headers))


WAYS = {
    "basic": ({}, basic("wk"), ""),
    "basic-lower-case": ({}, basic("wk").replace("Basic", "basic"), ""),
    "basic-with-password": ({}, basic("wk", "secret"), ""),
    "basic-without-colon": ({}, "Basic " + base64.b64encode(b"wk").decode(), ""),
    "body": ({"writeKey": "wk"}, None, ""),
    "query": ({}, None, "writeKey=wk"),
    "bearer-and-body": ({"writeKey": "wk"}, "Bearer token", ""),
    "broken-basic-and-body": ({"writeKey": "wk"}, "Basic !!!", ""),
    "empty-basic-and-query": ({}, basic(""), "writeKey=wk"),
    "basic-before-body": ({"writeKey": "other"}, basic("wk"), "writeKey=third"),
    "body-before-query": ({"writeKey": "wk"}, None, "writeKey=other"),
}


@pytest.mark.parametrize(("extra", "auth", "query"), WAYS.values(), ids=WAYS.keys())
def test_the_key_is_found_in_every_place(extra, auth, query):
    single = segment.single(request(EVENT | extra, auth=auth, query=query), "track", Limits())
    body = {"batch": [EVENT]} | extra
    batch = segment.batch(request(body, auth=auth, query=query), "batch", Limits())

    assert (single.key, batch.key) == ("wk", "wk")


@pytest.mark.parametrize(
    "auth", [None, "Bearer wk", "Basic", "Basic !!!", "Basic \udcff", "Basic /w==", "wk", basic("")]
)
def test_without_a_key_there_is_none(auth):
    assert segment.single(request(auth=auth), "track", Limits()).key is None


def test_long_headers_of_strangers_are_not_remembered():
    before = segment._basic_user.cache_info().currsize
    for number in range(100):
        segment.single(request(auth=f"Basic {number}{'x' * 10_000}"), "track", Limits())

    assert segment._basic_user.cache_info().currsize == before


def test_an_import_keeps_its_times():
    assert segment.batch(request({"batch": [EVENT]}), "import", Limits()).historical
    assert not segment.batch(request({"batch": [EVENT]}), "batch", Limits()).historical


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", [True, False])
def test_the_pixel_takes_base64_of_any_kind(encode, padding):
    data = encode(json.dumps(EVENT | {"writeKey": "wk", "userId": "û?>~é"}).encode()).decode()
    query = str(yarl.URL.build(query={"data": data if padding else data.rstrip("=")}))[1:]

    call = segment.pixel(request(path="/v1/pixel/track", query=query), "track", Limits())

    assert (call.key, call.refused) == ("wk", [])
    assert call.items[0].user_id == "û?>~é"


@pytest.mark.parametrize("data", ["a", "%ff", "é", "e30", "", "bm90IGpzb24"])
def test_a_broken_pixel_is_refused_under_its_key(data):
    call = segment.pixel(request(query=f"writeKey=wk&data={data}"), "identify", Limits())

    assert call.key == "wk"
    assert call.refused or data == "e30"  # {} is a sound identify


@pytest.mark.parametrize("dots", [65, 5000])
def test_a_name_of_dots_without_end_is_refused_like_any_nesting(dots):
    query = f"writeKey=wk&event=A&a{'.a' * dots}=1"

    call = segment.pixel(request(path="/v1/pixel/track", query=query), "track", Limits())

    assert call.key == "wk"
    assert [one.error.message for one in call.refused] == ["nested deeper than 64 - at `$`"]


def test_the_answer_is_exactly_success():
    answer = segment.answer([], 5)

    assert (answer.status, answer.body) == (200, b'{"success":true}')


def test_refused_events_are_named_beside_the_stored():
    answer = segment.answer([Refusal(3, invalid("wrong - at `$.batch[3].userId`"), b"")], 4)

    assert answer.status == 200
    assert json.loads(answer.body) == {
        "success": True,
        "rejected": [
            {
                "index": 3,
                "code": "invalid_event",
                "message": "wrong - at `$.batch[3].userId`",
            }
        ],
    }


def test_where_nothing_was_stored_it_is_the_first_ones_error():
    refused = [
        Refusal(0, Refused(413, "too_large", "over"), b""),
        Refusal(1, invalid("wrong"), b""),
    ]

    answer = segment.answer(refused, 0)

    assert answer.status == 413
    assert json.loads(answer.body) == {"success": False, "code": "too_large", "message": "over"}


@pytest.mark.parametrize(
    ("status", "retry"), [(400, False), (401, False), (429, True), (503, True)]
)
def test_only_what_may_be_tried_again_says_when(status, retry):
    answer = segment.error(Refused(status, "code", "message"))

    assert (("Retry-After", "1") in answer.headers) == retry


def test_every_path_of_segments_api_is_there():
    paths = table.routes(Http(), Clients())

    for kind in ("identify", "track", "page", "screen", "group", "alias"):
        assert paths[f"/v1/{kind}"].kind == paths[f"/v1/{kind[0]}"].kind == kind
        assert paths[f"/v1/pixel/{kind}"].method == "GET"
    for path in ("/v1/batch", "/v1/b", "/v1/import", "/c"):
        assert paths[path].method == "POST"


def test_script_gif_and_beacon_can_be_renamed():
    paths = table.routes(Http(gif_path="/x/i.gif", beacon_path="/x/i"), Clients())

    assert {"/x/i.gif", "/x/i"} <= paths.keys()
    assert "/c" not in paths
