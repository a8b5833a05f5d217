"""The GIF's query string."""

import json

import pytest
import yarl
from multidict import CIMultiDict

from collector.config import Limits
from collector.errors import Refused
from collector.wire import native
from collector.wire.message import Client, Request


def gif(query, **headers):
    url = yarl.URL.build(path="/c.gif", query_string=query, encoded=True)
    fields = CIMultiDict(headers)
    request = Request("GET", url, fields, b"", "127.0.0.1", Client.of(fields))
    return native.gif(request, "page", Limits())


def test_every_field_has_its_place():
    call = gif(
        "k=wk&e=Opened&u=https%3A%2F%2Fshop.example%2Fa%3Fb&t=A+t%C3%ADtle&r=https%3A%2F%2Fr.example"
        "&id=m-1&a=anon&uid=user&p.plan=pro&p.a.b=1&other=x"
    )

    (item,) = call.items
    assert (call.key, call.refused) == ("wk", [])
    assert (item.type, item.event, item.message_id) == ("track", "Opened", "m-1")
    assert (item.user_id, item.anonymous_id) == ("user", "anon")
    assert json.loads(bytes(item.properties)) == {"plan": "pro", "a.b": "1"}
    assert json.loads(bytes(item.context))["page"] == {
        "url": "https://shop.example/a?b",
        "title": "A títle",
        "referrer": "https://r.example",
    }


@pytest.mark.parametrize("query", ["k=wk", "k=wk&e=page", "k=wk&e="])
def test_without_an_event_it_is_a_page(query):
    (item,) = gif(query + "&u=https%3A%2F%2Fshop.example%2F&p.a=1").items

    assert item.type == "page"
    assert json.loads(bytes(item.properties)) == {"url": "https://shop.example/", "a": "1"}


def test_without_an_address_it_is_the_page_that_shows_the_image():
    (item,) = gif("k=wk", Referer="https://shop.example/mail").items

    assert json.loads(bytes(item.properties)) == {"url": "https://shop.example/mail"}


def test_an_empty_query_has_no_key_and_breaks_nothing():
    call = gif("")

    assert (call.key, len(call.items)) == (None, 1)


@pytest.mark.parametrize("query", ["uid=%00", "p.a=%00", "p.%00=1", "t=a%00b", "%00=%00"])
def test_nul_is_refused_and_its_owner_known(query):
    call = gif("k=wk&" + query)

    assert (call.key, call.items) == ("wk", [])
    assert call.refused[0].error.code == "invalid_event"
    assert call.refused[0].body == b"k=wk&" + query.encode()


@pytest.mark.parametrize("query", ["p.a=%ff", "p.a=%ed%a0%80", "p.%ff=1", "p.a=%zz", "p.a=%"])
def test_bad_escapes_become_text_that_can_be_stored(query):
    (item,) = gif("k=wk&" + query).items

    json.loads(bytes(item.properties)).popitem()[0].encode()


@pytest.mark.parametrize(
    ("status", "answered"), [(400, 200), (401, 200), (413, 200), (429, 429), (503, 503)]
)
def test_an_error_is_a_gif_and_503_only_when_it_cannot_be_stored(status, answered):
    answer = native.error(Refused(status, "code", "message"))

    assert (answer.status, answer.content_type, answer.body) == (answered, "image/gif", native.GIF)
    assert (("Retry-After", "1") in answer.headers) == (answered != 200)
    assert ("Cache-Control", "no-store, private") in answer.headers


def test_the_gif_is_one():
    assert native.GIF.startswith(b"GIF89a\x01\x00\x01\x00")
    assert native.GIF.endswith(b";")
