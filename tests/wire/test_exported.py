"""Lines of `collector export` and of Segment's files, read back."""

import json

import pytest

from collector.config import Limits
from collector.errors import Refused
from collector.wire import exported, segment_file

LINE = {
    "seq": 9,
    "message_id": "m",
    "site": "shop",
    "type": "track",
    "event": "A",
    "timestamp": 5,
    "received_at": 6,
    "node_id": "node",
    "node_seq": 7,
    "properties": {"a": 1.0},
}


def read(**columns):
    return exported.event(json.dumps(LINE | columns).encode(), Limits())


def test_json_columns_are_taken_over_byte_for_byte():
    line = json.dumps(LINE).replace('{"a": 1.0}', '{"a" :  1.50e1}').encode()
    event = exported.event(line, Limits())
    assert event.properties == '{"a" :  1.50e1}'
    assert (event.message_id, event.node_id, event.node_seq) == ("m", "node", 7)
    assert event.traits is event.user_id is None


def test_a_column_with_line_breaks_is_the_one_that_exact_has():
    text = '{\n "a": 1,\r\n "b": "\\n"}'
    shown = json.loads('{"a": 1, "b": "\\n"}')
    line = json.dumps(LINE | {"properties": "*"} | {"exact": {"properties": text, "traits": None}})
    line = line.replace('"*"', text.replace("\n", " ").replace("\r", " "))
    assert json.loads(line)["properties"] == shown
    assert exported.event(line.encode(), Limits()).properties == text


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"exact": {"properties": '{"a": 2.0}'}}, "exact.properties"),
        ({"properties": [1]}, "expected an object"),
        ({"properties": {"a": "\0"}}, "NUL"),
        ({"title": "\0"}, "NUL"),
        ({"title": "\ud800"}, "truncated|surrogate"),
        ({"properties": {"a": 2**64}}, "64 bits"),
        ({"timestamp": 2**63}, "timestamp"),
        ({"type": "other"}, "Invalid enum value"),
        ({"message_id": "x" * 101}, "message_id"),
        ({"message_id": ""}, "message_id"),
        ({"node_id": "../x"}, "node_id"),
        ({"node_seq": 0}, "node_seq"),
        ({"site": None}, "site"),
    ],
)
def test_what_the_log_could_not_have_held_is_refused(columns, why):
    with pytest.raises(Refused, match=why):
        read(**columns)


def test_an_exact_text_that_is_no_json_is_refused():
    with pytest.raises(Refused):
        read(properties={"a": "x y"}, exact={"properties": '{"a": "x\ny"}'})


def test_too_deep_nesting_is_refused():
    line = json.dumps(LINE).replace('{"a": 1.0}', '{"a":' * 70 + "1" + "}" * 70)
    with pytest.raises(Refused, match="deeper"):
        exported.event(line.encode(), Limits())


@pytest.mark.parametrize("bad", [b"", b"{", b"\xff{}", b"[]", b"1", b'{"seq":1}', b"[" * 99_999])
def test_what_is_no_line_of_an_export_is_refused(bad):
    with pytest.raises(Refused):
        exported.event(bad, Limits())


def test_a_call_that_has_what_it_needs_is_left_as_it_is():
    line = b'{"messageId":"m", "type":"page","timestamp":"2026-01-01T00:00:00Z"}'
    assert segment_file.calls(line, 0) == [line]


def test_a_call_without_a_message_id_gets_the_same_one_each_time():
    line = b'{"type":"page"}'
    (first,), (again,), (other,) = (segment_file.calls(line, place) for place in (0, 0, 16))
    assert first == again != other
    assert len(json.loads(first)["messageId"]) == 32


def test_a_batch_in_a_line_is_its_calls():
    line = json.dumps({"batch": [{"type": "page"}, {"type": "page"}, {"messageId": "m"}]}).encode()
    ids = [json.loads(call)["messageId"] for call in segment_file.calls(line, 0)]
    assert len(set(ids)) == 3
    assert ids[2] == "m"


def test_an_archives_time_is_when_it_was_received():
    line = b'{"messageId":"m","type":"page","receivedAt":"2025-01-01T00:00:00Z"}'
    (call,) = segment_file.calls(line, 0)
    assert json.loads(call)["timestamp"] == "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("bad", [b"{", b"[]", b'{"batch":[1]}', b'{"batch":{}}', b"}]", b"[" * 99])
def test_what_is_no_call_is_refused(bad):
    with pytest.raises(Refused):
        segment_file.calls(bad, 0)
