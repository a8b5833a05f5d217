"""The quick look and the thorough one."""

import json
import uuid

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.errors import Refused
from collector.wire import junk

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
NUMBERS_BEYOND = ["1e999", "-1E+400", "9" * 19, "-9223372036854775809", "100000000e300", "2.5e1000"]
TEXTS_BEYOND = [
    '"\\u0000"',
    '"\\ud800"',
    '"\\uDFFFy"',
    '"\udcff"',
    '"\udcc0\udcaf"',
    '"\\ud83d\\ud83d"',
]
EVIL = st.sampled_from([*NUMBERS_BEYOND, *TEXTS_BEYOND])
FILLER = st.sampled_from(["", " ", "\n", "\t "])


def refused(body: bytes) -> bool:
    try:
        junk.check(body, "$")
    except Refused:
        return True
    return False


@given(VALUES, EVIL, FILLER, FILLER)
def test_the_quick_look_misses_nothing_that_the_thorough_one_refuses(value, evil, before, after):
    text = json.dumps({"sound": value, "evil": 0}).replace('"evil": 0', f'"evil":{before}{evil}')
    body = (text + after).encode("utf-8", "surrogateescape")

    assert junk.suspicious(body, 500) or not refused(body)


@given(st.binary(max_size=60))
@example(b'{"a":1e999}')
@example(b"[1e999\n]")
@example(b'{"a":"\xff"}')
def test_the_quick_look_misses_nothing_in_any_bytes_that_decode_as_raw(body):
    try:
        raw = bytes(msgspec.json.decode(body, type=msgspec.Raw))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # refused by the decoder itself
    closed = b"[" + raw + b"]"  # a number is never the last byte of a body

    assert junk.suspicious(closed, 500) or not refused(closed)


@given(VALUES)
def test_sound_json_passes_the_thorough_look(value):
    if "\\u0000" not in json.dumps(value):
        junk.check(json.dumps(value).encode(), "$")


@pytest.mark.parametrize(
    "value",
    [
        str(uuid.UUID(int=0x1E999_0000_4000_8000_1E99_9000_0000)),
        "0000e999-0000-4000-8000-00000000e123",
        "2026-01-01T00:00:00.000Z",
        1767225600123,
        119.85,
        1e22,
        "https://shop.example/a?utm=x&id=1234567890",
        "Zürich 🛒 日本",
        'back\\slash and "quotes"',
    ],
)
def test_everyday_values_take_the_quick_way(value):
    assert not junk.suspicious(json.dumps({"v": value}, ensure_ascii=False).encode(), 500)


def test_ten_thousand_random_ids_take_the_quick_way():
    body = json.dumps([str(uuid.uuid4()) for _ in range(10_000)]).encode()

    assert not junk.suspicious(body, 500)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"a":[1,{"b":"\\u0000"}]}', "NUL character in text - at `$.p.a[1].b`"),
        (b'{"\\u0000":1}', "NUL character in text - at `$.p`"),
        (b'{"a":9223372036854775808}', "integer beyond 64 bits - at `$.p.a`"),
        (b'{"a":"\xff"}', "not UTF-8 - at `$.p`"),
        (b'{"a":1e999}', "Number out of range - at `$.p`"),
    ],
)
def test_the_thorough_look_names_the_place(raw, said):
    with pytest.raises(Refused) as caught:
        junk.check(raw, "$.p")
    assert caught.value.message == said


def test_the_ends_of_64_bits_pass():
    junk.check(b"[9223372036854775807,-9223372036854775808]", "$")


@given(VALUES, st.integers(1, 6))
def test_depth_is_that_of_the_brackets(value, limit):
    def depth(inner):
        if not isinstance(inner, list | dict):
            return 0
        parts = inner.values() if isinstance(inner, dict) else inner
        return 1 + max(map(depth, parts), default=0)

    assert junk.deeper_than(json.dumps(value).encode(), limit) == (depth(value) > limit)


def test_brackets_in_text_are_no_depth():
    assert not junk.deeper_than(b'["[[[[{{{{\\"[[["]', 1)
