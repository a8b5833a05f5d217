"""Bodies to items: as a whole when sound, event by event otherwise."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config import Limits
from collector.errors import Refused
from collector.wire import decode

LIMITS = Limits()
GOOD = b'{"type":"track","event":"E","messageId":"%d"}'
BAD = {
    "nan": b'{"type":"track","properties":{"a":NaN}}',
    "deep": b'{"type":"track","properties":' + b'{"a":' * 2000 + b"1" + b"}" * 2001,
    "not-utf-8": b'{"type":"track","event":"\xff"}',
    "surrogate": b'{"type":"track","event":"\\ud800"}',
    "nul": b'{"type":"track","event":"\\u0000"}',
    "large-number": b'{"type":"track","userId":18446744073709551616}',
    "out-of-range": b'{"type":"track","properties":{"a":1e999}}',
    "oversize": b'{"type":"track","properties":{"a":"%s"}}' % (b"x" * 40_000),
    "brackets-in-text": b'{"type":"]}],[{\\"","userId":{}}',
    "nonsense": b"nonsense",
}


def batch(events, **envelope):
    head = json.dumps(envelope)[1:-1].encode()
    return b"{%s%s" % (head, b"," if head else b"") + b'"batch":[' + b",".join(events) + b"]}"


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("place", [0, 1, 2])
def test_neighbours_survive(bad, place):
    events = [GOOD % number for number in range(2)]
    events.insert(place, bad)

    call = decode.batch(batch(events, writeKey="wk"), LIMITS)

    assert [item.message_id for item in call.items] == ["0", "1"]
    assert [(refusal.index, refusal.body) for refusal in call.refused] == [(place, bad)]
    assert f"`$.batch[{place}]" in call.refused[0].error.message
    assert call.key == "wk"


@given(st.lists(st.sampled_from([None, *BAD.values()]), max_size=8))
def test_any_mix_keeps_the_sound_and_names_the_others(mix):
    events = [bad or GOOD % index for index, bad in enumerate(mix)]

    call = decode.batch(batch(events, sentAt="2026-01-01T00:00:00Z"), LIMITS)

    assert [int(item.message_id) for item in call.items] == [
        index for index, bad in enumerate(mix) if bad is None
    ]
    assert [refusal.index for refusal in call.refused] == [
        index for index, bad in enumerate(mix) if bad is not None
    ]
    assert call.sent_at is not None


@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": st.just("track"), "event": st.text(st.characters(codec="utf-8"))},
            optional={
                "userId": st.text(st.characters(codec="utf-8")) | st.integers(-(2**63), 2**63 - 1),
                "properties": st.dictionaries(
                    st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.text()
                ),
            },
        ),
        max_size=5,
    )
)
def test_both_ways_read_the_same(events):
    """The slow way, taken for the sake of one bad neighbour, changes nothing for the others."""
    events = [e for e in events if "\\u0000" not in json.dumps(e) and "\\ud" not in json.dumps(e)]
    raw = [json.dumps(event).encode() for event in events]

    quick = decode.batch(batch(raw), LIMITS)
    slow = decode.batch(batch([*raw, b"nonsense"]), LIMITS)

    assert quick.refused == []
    assert [shown(item) for item in quick.items] == [shown(item) for item in slow.items]


def shown(item):
    return item.type, item.event, item.user_id, bytes(item.properties)


@pytest.mark.parametrize(
    ("event", "place"),
    [
        (b'{"type":"track","userId":{}}', "$.batch[3].userId"),
        (b'{"type":"track","timestamp":"soon"}', "$.batch[3].timestamp"),
        (b'{"type":"track","properties":{"a":{"b":["\\u0000"]}}}', "$.batch[3].properties.a.b[0]"),
        (b'{"type":"track","anonymousId":"\\u0000"}', "$.batch[3].anonymousId"),
    ],
)
def test_the_place_is_named_as_clients_write_it(event, place):
    call = decode.batch(batch([GOOD % 0, GOOD % 1, GOOD % 2, event]), LIMITS)

    assert call.refused[0].error.message.endswith(f" - at `{place}`")


@pytest.mark.parametrize("broken", [b"", b"nonsense"], ids=["sound", "one-broken"])
def test_2500_events_are_taken_and_one_more_is_not(broken):
    events = [GOOD % number for number in range(2500)]
    assert len(decode.batch(batch(events), LIMITS).items) == 2500

    with pytest.raises(Refused) as caught:
        decode.batch(batch([*events, broken or GOOD % 2500]), LIMITS)

    assert (caught.value.status, caught.value.code) == (413, "too_large")


def test_an_unclosed_batch_is_refused_as_a_whole():
    with pytest.raises(Refused) as caught:
        decode.batch(b'{"batch":[%s,%s' % (GOOD % 0, GOOD % 1), LIMITS)

    assert caught.value.code == "invalid_json"
    assert "batch is not closed - at `$.batch`" in caught.value.message


def test_an_empty_batch_has_nothing_and_breaks_nothing():
    call = decode.batch(b'{"batch":[ ], "writeKey":"wk"}', LIMITS)

    assert (call.key, call.items, call.refused) == ("wk", [], [])


def test_a_text_that_says_batch_is_not_the_batch():
    body = b'{"writeKey":"batch","x":{"batch":[1]},"batch":[%s,nonsense]}' % (GOOD % 7)

    call = decode.batch(body, LIMITS)

    assert [item.message_id for item in call.items] == ["7"]
    assert call.key == "batch"


def test_the_batchs_context_is_each_events_and_its_own_keys_win():
    events = [b'{"type":"page","context":{"a":2}}', b'{"type":"page"}', b'{"context":null}']

    call = decode.batch(batch(events, context={"a": 1, "b": [1]}), LIMITS)

    assert [json.loads(bytes(item.context)) for item in call.items] == [
        {"a": 2, "b": [1]},
        {"a": 1, "b": [1]},
        {"a": 1, "b": [1]},
    ]


def test_the_path_gives_a_single_events_type():
    call = decode.single(b'{"type":"page","event":"E","writeKey":"wk"}', "track", LIMITS)

    assert (call.items[0].type, call.key, call.batched) == ("track", "wk", False)


def test_the_owner_of_a_broken_event_is_found_if_it_can_be():
    assert decode.single(b'{"writeKey":"wk","userId":{}}', "track", LIMITS).key == "wk"
    assert decode.single(b'{"writeKey":"wk","userId":', "track", LIMITS).key is None


@pytest.mark.parametrize("where", ["integrations", "properties", "traits", "context", "unknown"])
def test_single_and_batch_hold_an_event_to_the_same_size(where):
    event = b'{"type":"track","event":"E","%s":{"v":"%s"}}' % (where.encode(), b"x" * 33_000)

    assert decode.single(event, "track", LIMITS).refused[0].error.status == 413
    assert decode.batch(batch([GOOD % 1, event]), LIMITS).refused[0].error.status == 413


@pytest.mark.parametrize("where", ["properties", "traits", "context"])
def test_single_and_batch_hold_an_event_to_the_same_depth(where):
    for depth, refused in ((63, 0), (64, 1)):
        value = b'{"a":' * depth + b"1" + b"}" * depth
        event = b'{"type":"track","event":"E","%s":%s}' % (where.encode(), value)

        assert len(decode.single(event, "track", LIMITS).refused) == refused
        assert len(decode.batch(batch([GOOD % 1, event]), LIMITS).refused) == refused


def test_an_event_of_just_the_limit_is_taken():
    event = b'{"type":"track","event":"E","properties":{"a":"%s"}}'
    event %= b"x" * (LIMITS.event_bytes - len(event) + 2)
    assert len(event) == LIMITS.event_bytes

    assert decode.single(event, "track", LIMITS).refused == []
    assert decode.batch(batch([GOOD % 1, event]), LIMITS).refused == []
