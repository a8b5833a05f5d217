"""What an edge forwards: rows as they are, and nothing that must not get past decoding."""

import json
from typing import Any

import pytest
import yarl
from multidict import CIMultiDict

from collector.config import Limits
from collector.errors import Refused
from collector.event import Event
from collector.wire import edge
from collector.wire.message import Call, Client, Request

OWN = {
    "message_id": "m",
    "site": "shop",
    "type": "track",
    "event": "A",
    "timestamp": 5,
    "received_at": 6,
    "node_id": "node",
    "node_seq": 7,
}


def row(properties: str | None = None, consent: str | None = None, **columns: Any) -> str:
    columns = OWN | {"properties": properties, "consent": consent} | columns
    return json.dumps([columns.get(name) for name in Event.__struct_fields__])


def parse(*rows: str | bytes) -> Call:
    texts = [text.encode() if isinstance(text, str) else text for text in rows]
    body = b"[" + b",".join(texts) + b"]"
    headers = CIMultiDict({"Content-Type": edge.CONTENT, "Authorization": "Basic ZWtfMTo="})
    client = Client.of(headers)
    request = Request("POST", yarl.URL("/v1/import"), headers, body, "127.0.0.1", client)
    return edge.parse(request, "import", Limits())


def test_a_row_is_taken_over_byte_for_byte() -> None:
    call = parse(row('{ "half":1.50, "list":[1e2] }', '"granted"'))
    assert call.key == "ek_1"
    assert call.forwarded is not None
    event = call.forwarded[0]
    assert event.properties == '{ "half":1.50, "list":[1e2] }'
    assert (event.consent, event.message_id, event.node_seq) == ('"granted"', "m", 7)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row('{"a":"\\u0000"}'), "$[1].properties.a"),
        (row('{"a":"\\ud800"}'), "$[1].properties"),
        (row('{"a":99999999999999999999}'), "$[1].properties.a"),
        (row('{"a":1e999}'), "$[1].properties"),
        (row('{"a":' * 70 + "1" + "}" * 70), "deeper"),
        (row("[1]"), "Expected `object`"),
        (row('{"a":[1', context="2]}"), "$[1].properties"),
        (row("{},{}"), "$[1].properties"),
        (row(consent="[1"), "$[1].consent"),
        (row(title="a\0b"), "NUL"),
        (row(url="\\\0"), "NUL"),
        (row(node_seq=0), ">= 1"),
        (row(node_seq=2**64), "$[1]"),
        (row(node_id="../x"), "node_id"),
        (row(node_id=None), "$[1]"),
        (row(type="theft"), "$[1]"),
        (row(message_id="m" * 101), "longer than 100"),
        (row(timestamp="soon"), "int"),
        (b'["\xff"]', "utf-8"),
        (row().encode()[:-1] + b',"of a later version: \xff"]', "utf-8"),
        ("[" * 100_000, ""),
        ("{}", "array"),
    ],
)
def test_what_is_unsound_is_refused(bad: str | bytes, said: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(row('{"a":"7e95-8000"}'), bad)
    assert refused.value.status == 400
    assert said in refused.value.message


def test_text_that_only_speaks_of_escapes_is_taken() -> None:
    (event,) = parse(row('{"a":"\\\\u0000"}', title="\\u0000 \\\\u0000")).forwarded or []
    assert event.properties == '{"a":"\\\\u0000"}'
    assert event.title == "\\u0000 \\\\u0000"
