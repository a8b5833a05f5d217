"""One broken event between two sound ones, in a hundred ways."""

import json
from typing import NamedTuple

import pytest


class Bad(NamedTuple):
    """An event's bytes, and what is said of them behind `$.batch[1]`."""

    event: bytes
    place: str
    said: str = ""
    code: str = "invalid_event"
    alone: int = 400


def track(properties: bytes = b"{}", more: bytes = b"") -> bytes:
    return b'{"type":"track","event":"E","messageId":"bad","properties":%s%s}' % (properties, more)


def nested(depth: int, opener: bytes = b'{"a":', closer: bytes = b"}") -> bytes:
    return opener * depth + b"1" + closer * depth


JSON = "invalid_json"
EVENTS = {
    "nan": Bad(track(b'{"a":NaN}'), "", "malformed", JSON),
    "infinity": Bad(track(b'{"a":Infinity}'), "", "malformed", JSON),
    "minus-infinity": Bad(track(b'{"a":-Infinity}'), "", "malformed", JSON),
    "depth-65": Bad(track(nested(65)), "", "nested deeper than 64"),
    "depth-2000": Bad(track(nested(2000)), "", "nested deeper than 64"),
    "depth-2000-arrays": Bad(track(b'{"a":%s}' % nested(2000, b"[", b"]")), "", "nested deeper"),
    "depth-2000-unknown-field": Bad(track(b"{}", b',"x":' + nested(2000)), "", "nested deeper"),
    "depth-never-closed": Bad(track(b"[{}" + b"[" * 99 + b"]" * 99 + b"]"), "", "nested deeper"),
    "bytes-ff": Bad(track(b'{"a":"\xff"}'), ".properties", "not UTF-8"),
    "bytes-ff-in-key": Bad(track(b'{"\xff":1}'), ".properties", "not UTF-8"),
    "bytes-overlong": Bad(track(b'{"a":"\xc0\xaf"}'), ".properties", "not UTF-8"),
    "bytes-surrogate": Bad(track(b'{"a":"\xed\xa0\x80"}'), ".properties", "not UTF-8"),
    "bytes-cut": Bad(track(b'{"a":"\xe2\x82"}'), ".properties", "not UTF-8"),
    "bytes-ff-in-user": Bad(track(b"{}", b',"userId":"\xff"'), "", "not UTF-8", JSON),
    "surrogate-in-property": Bad(track(b'{"a":{"b":["\\ud800"]}}'), "", code=JSON),
    "surrogate-low": Bad(track(b'{"a":"\\udc00 x"}'), "", "surrogate pair", JSON),
    "surrogate-pair-of-highs": Bad(track(b'{"a":"\\udbff\\udbff"}'), "", "surrogate pair", JSON),
    "surrogate-in-key": Bad(track(b'{"\\udbff":1}'), "", code=JSON),
    "surrogate-in-user": Bad(track(b"{}", b',"userId":"\\ud800"'), "", code=JSON),
    "surrogate-in-id": Bad(b'{"type":"track","event":"E","messageId":"\\uDFFF"}', "", code=JSON),
    "surrogate-in-event": Bad(b'{"type":"track","event":"\\ud83d"}', "", code=JSON),
    "nul-in-property": Bad(track(b'{"a":"x\\u0000"}'), ".properties.a", "NUL"),
    "nul-in-user": Bad(track(b"{}", b',"userId":"\\u0000"'), ".userId", "NUL"),
    "nul-in-trait-name": Bad(track(b"{}", b',"traits":{"\\u0000":1}'), ".traits", "NUL"),
    "nul-in-context": Bad(track(b"{}", b',"context":{"a":["\\u0000"]}'), ".context.a[0]", "NUL"),
    "nul-byte": Bad(track(b'{"a":"\0"}'), "", "malformed", JSON),
    "control-byte": Bad(track(b'{"a":"\n"}'), "", "malformed", JSON),
    "number-1e999": Bad(track(b'{"a":1e999}'), ".properties", "out of range"),
    "number-minus-1E+400": Bad(track(b'{"a":[-1E+400]}'), ".properties", "out of range"),
    "number-400-digits": Bad(track(b'{"a":%s}' % (b"7" * 400)), ".properties.a", "beyond 64"),
    "number-2-63": Bad(track(b'{"a":9223372036854775808}'), ".properties.a", "beyond 64 bits"),
    "number-below-64-bits": Bad(track(b'{"a":-9223372036854775809}'), ".properties.a", "beyond"),
    "number-user-2-64": Bad(track(b"{}", b',"userId":18446744073709551616'), ".userId"),
    "number-leading-zero": Bad(track(b'{"a":01}'), "", "malformed", JSON),
    "oversize": Bad(track(b'{"a":"%s"}' % (b"x" * 33_000)), "", "over 32768", "too_large", 413),
    "trailing-comma": Bad(track(b'{"a":1,}'), "", "malformed", JSON),
    "single-quotes": Bad(b"{'type':'track'}", "", "malformed", JSON),
    "comment": Bad(b'{"type":"track"/**/}', "", "malformed", JSON),
    "bare-key": Bad(b"{type:1}", "", "malformed", JSON),
    "bad-escape": Bad(track(b'{"a":"\\x41"}'), "", "malformed", JSON),
    "null": Bad(b"null", "", "got `null`"),
    "a-number": Bad(b"5", "", "got `int`"),
    "a-string": Bad(b'"track"', "", "got `str`"),
    "an-array": Bad(b"[]", "", "got `array`"),
    "type-number": Bad(b'{"type":7}', ".type", "got `int`"),
    "event-missing": Bad(b'{"type":"track"}', ".event", "expected a name"),
    "event-empty": Bad(b'{"type":"track","event":""}', ".event", "expected a name"),
    "event-number": Bad(b'{"type":"track","event":1}', ".event", "got `int`"),
    "user-object": Bad(track(b"{}", b',"userId":{}'), ".userId"),
    "user-bool": Bad(track(b"{}", b',"userId":true'), ".userId"),
    "user-fraction": Bad(track(b"{}", b',"userId":1.5'), ".userId"),
    "time-words": Bad(track(b"{}", b',"timestamp":"yesterday"'), ".timestamp"),
    "time-month-13": Bad(track(b"{}", b',"timestamp":"2026-13-01T00:00:00Z"'), ".timestamp"),
    "time-number": Bad(track(b"{}", b',"timestamp":1767225600'), ".timestamp"),
    "sent-at-words": Bad(track(b"{}", b',"sentAt":"now"'), ".sentAt"),
    "id-too-long": Bad(
        b'{"type":"track","event":"E","messageId":"%s"}' % (b"i" * 101), ".messageId", "100 char"
    ),
    "id-number": Bad(b'{"type":"track","event":"E","messageId":1}', ".messageId", "got `int`"),
    "properties-array": Bad(track(b"[]"), ".properties", "expected an object"),
    "properties-text": Bad(track(b'"x"'), ".properties", "expected an object"),
    "traits-number": Bad(track(b"{}", b',"traits":1'), ".traits", "expected an object"),
    "context-text": Bad(track(b"{}", b',"context":"x"'), ".context", "expected an object"),
}
ONLY_IN_A_BATCH = {
    "type-missing": Bad(b'{"event":"E"}', ".type", "expected one of"),
    "type-unknown": Bad(b'{"type":"drop table"}', ".type", "expected one of"),
}


def named(cases: dict[str, Bad]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bad", cases.values(), ids=cases.keys())


@named(EVENTS | ONLY_IN_A_BATCH)
async def test_in_a_batch_it_alone_is_refused(idle, hot_lane, bad, quiet):
    await idle.start(**{"http.hot_lane": hot_lane})
    good = [b'{"type":"track","event":"E","messageId":"good-%d"}' % i for i in (0, 2)]
    body = b'{"sentAt":"2026-01-01T00:00:00Z","batch":[%s,%s,%s]}' % (good[0], bad.event, good[1])

    status, answer = await idle.post("/v1/batch", body)

    assert status == 200
    (refusal,) = answer["rejected"]
    assert (refusal["index"], refusal["code"]) == (1, bad.code)
    assert refusal["message"].endswith(f" - at `$.batch[1]{bad.place}`")
    assert bad.said in refusal["message"]
    assert idle.ids() == ["good-0", "good-2"]
    (row,) = idle.rejected()
    assert (row["site"], row["batch_index"], row["code"]) == ("shop", 1, bad.code)
    assert row["message"] == refusal["message"]
    assert row["status"] == bad.alone
    quiet()


@named(EVENTS)
async def test_alone_it_gets_its_4xx_and_is_kept(idle, hot_lane, bad, quiet):
    await idle.start(**{"http.hot_lane": hot_lane})

    status, answer = await idle.post("/v1/track", bad.event)

    assert (status, answer["success"], answer["code"]) == (bad.alone, False, bad.code)
    assert answer["message"].endswith(f" - at `${bad.place}`")
    assert idle.ids() == []
    (row,) = idle.rejected()
    assert (row["batch_index"], row["status"], row["message"]) == (0, status, answer["message"])
    quiet()


async def test_the_bytes_of_a_refused_event_are_kept_as_they_came(collector):
    event = track(b'{"a":"\xff\\u0000"}')

    await collector.post("/v1/batch", b'{"batch":[%s]}' % event)

    assert [row["body"] for row in collector.rejected()] == [event]


async def test_where_all_are_refused_the_answer_is_the_first_ones(collector):
    body = b'{"batch":[{"type":"track"},{"type":"nothing"}]}'

    status, answer = await collector.post("/v1/batch", body)

    assert (status, answer["code"]) == (400, "invalid_event")
    assert answer["message"] == "expected a name - at `$.batch[0].event`"
    assert [json.loads(row["body"]) for row in collector.rejected()] == [
        {"type": "track"},
        {"type": "nothing"},
    ]
