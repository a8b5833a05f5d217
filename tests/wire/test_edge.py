"""What an edge forwards: rows as they are, and nothing that must not get past decoding."""

import json
from typing import Any

import pytest
import yarl
from multidict import CIMultiDict

from collector.config import Limits
from collector.errors import Refused
from collector.event import PLAIN_COLUMNS
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


def row(properties: str = "null", consent: str = "null", **columns: Any) -> str:
    plain = [(OWN | columns).get(name) for name in PLAIN_COLUMNS]
    return f"[{properties},null,null,{consent},null,{json.dumps(plain)[1:]}"


def parse(*rows: str | bytes) -> Call:
    texts = [text.encode() if isinstance(text, str) else text for text in rows]
    body = b'{"events":[' + b",".join(texts) + b"]}"
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
        (row('{"a":"\\u0000"}'), "events[1]"),
        (row('{"a":"\\ud800"}'), "malformed"),
        (row('{"a":99999999999999999999}'), "events[1]"),
        (row('{"a":1e999}'), "events[1]"),
        (row('{"a":' * 70 + "1" + "}" * 70), "deeper"),
        (row("[1]"), "expected an object"),
        (row(node_seq=0), ">= 1"),
        (row(node_seq=2**64), "events[1]"),
        (row(node_id="../x"), "regex"),
        (row(type="theft"), "events[1]"),
        (row(message_id="m" * 101), "events[1]"),
        (row(timestamp="soon"), "int"),
        (b'["\xff"]', "UTF-8"),
        ("[" * 100_000, ""),
        ("{}", "array"),
    ],
)
def test_what_is_unsound_is_refused(bad: str | bytes, said: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(row('{"a":"7e95-8000"}'), bad)
    assert refused.value.status == 400
    assert said in refused.value.message
