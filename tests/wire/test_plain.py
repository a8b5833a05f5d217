"""What compiled code makes of a body, beside what Python makes of it."""

import json
import random
import sys
from contextlib import closing
from itertools import chain
from typing import Any

import msgspec
import pytest
from pysqlite3 import dbapi2 as sqlite

from bench.traffic import STEM, Traffic
from collector import rows
from collector.compiled import COMPILED, Decoder, Plain
from collector.config import Limits
from collector.config_privacy import Privacy
from collector.errors import Refused
from collector.event import Event
from collector.ingest import marks
from collector.ingest.sites import Site
from collector.people.commerce import KNOWN, LEADS, PURCHASES, violations
from collector.wire import bots, build, decode, plain
from collector.wire.scrub import Scrubber

NOW = 1_795_573_000_000
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
LIMITS = Limits()
SCRUBBER = Scrubber(Privacy())
SITE = Site("shöp", ("wk",), frozenset())
EVENT = {
    "type": "track",
    "event": "Added",
    "messageId": "m-1",
    "anonymousId": "a",
    "timestamp": "2026-11-24T19:00:00.123Z",
    "properties": {"price": 19.95, "list": [1, -2.5e-3, {"deep": [None, True, ""]}]},
    "context": {
        "page": {"url": "https://s.example/a/b?c=d#e", "title": "é ☃ 😀", "referrer": ""},
        "locale": "de",
    },
}


def decoder(limits: Limits = LIMITS, scrubber: Scrubber = SCRUBBER) -> Decoder:
    made = plain.decoder(limits, scrubber, PURCHASES, LEADS, KNOWN, violations)
    assert made is not None, "collector._compiled was not compiled"
    return made


def read_back(made: list[rows.Entry]) -> list[tuple[Any, ...]]:
    """What SQLite reads from a batch."""
    data, _ = rows.packed(made)
    values = ", ".join(f"value ->> {i}" for i in range(len(rows.RARE) + 19))
    with closing(sqlite.connect(":memory:")) as connection:
        return connection.execute(f"SELECT {values} FROM jsonb_each(?)", (data,)).fetchall()


def compiled(body: bytes, kind: str | None, using: Decoder | None = None) -> Any:
    """The rows' values; None where it is not plain."""
    using = using or decoder()
    found = using.batch(body) if kind is None else using.single(body, kind)
    made = found and found.rows(SITE.name, NOW, "192.0.2.0", AGENT, False, True)
    return None if made is None else read_back(made)


def in_python(body: bytes, kind: str | None, limits: Limits = LIMITS) -> Any:
    """The events' values; None where something was refused."""
    try:
        call = decode.batch(body, limits) if kind is None else decode.single(body, kind, limits)
    except Refused:
        return None
    masked = {"198.51.100.9": "198.51.100.0"}.get
    arrival = build.Arrival(
        SITE.name, NOW, "192.0.2.0", AGENT, False, limits, masked, scrub=SCRUBBER
    )
    events = marks.marked(build.events(call, arrival), SITE)
    return None if call.refused else [msgspec.structs.astuple(event) for event in events]


def text(value: Any, **how: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, **how).encode("utf-8", "surrogatepass")


def both(body: bytes, kind: str | None = "track") -> Any:
    """Compared, and given back."""
    made = compiled(body, kind)
    if made is not None:
        assert made == in_python(body, kind), body
    return made


def test_the_compiled_part_is_there_and_knows_the_columns() -> None:
    from collector import _compiled

    assert COMPILED
    assert Event.__struct_fields__ == _compiled.COLUMNS
    assert set(rows.RARE) | {rows.TRAITS} < set(_compiled.COLUMNS)


@pytest.mark.parametrize("shape", ["single", "batch20"])
def test_all_real_traffic_is_plain(shape: str) -> None:
    for number, body in enumerate(Traffic("wk", "localhost").bodies(shape, 300)):
        filled = body.replace(STEM, b"%034x" % number)
        assert both(filled, "track" if shape == "single" else None), filled


PLAIN_VALUES = {
    "type": ["track", "page", "screen", "identify", "group", "alias"],
    "event": ["Purchase Completed", "Lead", "x", 'quo"te', "Ünï"],
    "name": ["Home", "", None],
    "messageId": ["m-2", "a" * 255],
    "userId": ["u", "", None, "ü"],
    "anonymousId": ["b", None, "tab\tbed"],
    "groupId": ["g"],
    "previousId": ["p"],
    "timestamp": [
        None,
        "2026-11-24T19:00:00Z",
        "2026-11-24T19:00:00.123456+00:00",
        "1970-01-01T00:00:00.000Z",
        "2028-02-29T23:59:59.9Z",
        "9999-12-31T23:59:59Z",
    ],
    "sentAt": [None, "2026-11-24T19:00:01.5Z", "2020-01-01T00:00:00Z"],
    "traits": [None, {}, {"email": "ada@example.com"}],
    "integrations": [None, {}, "", {"All": True}],
    "category": [None, 5, "shoes"],
    "originalTimestamp": [None, "2026-11-24T20:00:00+01:00"],
    "properties": [
        None,
        {},
        {"total": 5, "currency": "EUR"},
        {"total": "much"},
        {"email": "ada@example.com", "at": "/a?b=c@d"},
        {"url": "https://o.example/own", "title": "Own", "referrer": ""},
        {"url": "", "path": "/only"},
        {"path": "", "title": ""},
        {"url": "mailto:x", "title": None},
        {"link": "https://s.example/?token=1"},
        {"n": [0, -0.0, 1e10, 123456789012345678, 1e-99, 0.1]},
        {"eyJ": "eyJhbGciOiJI.eyJzdWIiOiIx.x"},
    ],
    "context": [
        None,
        {},
        {"page": None},
        {"page": {"url": "https://s.example"}},
        {"page": {"url": "https://s.example?x", "path": ""}},
        {"page": {"url": "https:", "title": "", "referrer": None}},
        {"page": {"url": "https://ada:pw@s.example/x"}},
        {"userAgent": "curl/8", "bot": False, "gpc": None, "dnt": False, "ip": None},
        {"userAgent": "", "traits": {"plan": "pro"}},
        {"page": {"path": "/p", "extra": {"a": [{}]}}, "x": [[[]]]},
    ],
}
ODD_VALUES = {
    "type": [None, "Track", 5],
    "event": [None, "", 5, {}, "a\0b", "\ud800"],
    "messageId": [None, "", 7, "a" * 256, "ü", "m\n", "m\u2028"],
    "userId": [7, 2**63, 1.5, True, []],
    "timestamp": [
        "soon",
        5,
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T19:00:60Z",
        "2026-11-24T19:00:00",
        "2026-11-24T19:00:00+02:00",
        "2026-11-24T19:00:00.1234567Z",
        "2026-11-24T19:00:00.Z",
        "1969-12-31T23:59:59.999Z",
        "2026-11-24 19:00:00Z",
        "2026-11-24T19:00:00Zz",
    ],
    "sentAt": ["never", 1.5],
    "properties": [
        5,
        [],
        "x",
        {"n": 12345678901234567890},
        {"n": float("inf")},
        {"t": "\0"},
        {"t": "\ud83d"},
        {"url": 5},
        {"page": "/?access_token=abc"},
    ],
    "context": [
        [],
        {"page": 5},
        {"page": {"title": 5}},
        {"ip": "198.51.100.9"},
        {"ip": 5},
        {"consent": {"analytics": True}},
        {"consent": {"analytics": False}},
        {"consent": None},
        {"gpc": True},
        {"dnt": "1"},
        {"bot": True},
        {"userAgent": 5},
        {"userAgent": 'a"b'},
    ],
    "traits": [[], "x"],
    "integrations": [{"All": False}, {"All": True, "x": 1}, []],
    "writeKey": [5],
}


def of(values: dict[str, list[Any]], made: random.Random) -> dict[str, Any]:
    names = made.sample(sorted(values), made.randrange(6))
    return {name: made.choice(values[name]) for name in names}


def drawn(made: random.Random, odd: bool) -> dict[str, Any]:
    item = EVENT | of(PLAIN_VALUES, made) | (of(ODD_VALUES, made) if odd else {})
    names = list(item)
    made.shuffle(names)
    return {name: item[name] for name in names if made.random() < 0.95}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_taken_is_what_python_makes_of_it(seed: int) -> None:
    made = random.Random(seed)
    taken = 0
    for _ in range(1500):
        body = text(drawn(made, made.random() < 0.3), indent=made.choice([None, None, 1]))
        kind = made.choice(["track", "page", "screen", "identify", "group", "alias"])
        taken += both(body, kind) is not None
    assert taken > 500

    taken = 0
    for _ in range(400):
        items = [drawn(made, made.random() < 0.05) for _ in range(made.randrange(4))]
        batch = {"batch": items} | made.choice([{}, {"writeKey": "wk"}, {"sentAt": None, "x": [1]}])
        batch |= made.choice([{}] * 4 + [{"context": {"app": 1}}, {"context": None}])
        taken += both(text(batch), None) is not None
    assert taken > 60


@pytest.mark.parametrize("seed", range(4))
def test_bytes_flipped_left_out_or_doubled_make_no_difference_between_the_two(seed: int) -> None:
    made = random.Random(seed)
    bodies = [(text(EVENT), "track"), (text({"batch": [EVENT, EVENT | {"type": "page"}]}), None)]
    taken = 0
    for _ in range(3000):
        whole, kind = made.choice(bodies)
        body = bytearray(whole)
        for _ in range(made.randrange(1, 3)):
            at = made.randrange(len(body))
            if made.random() < 0.3:
                del body[at : at + made.randrange(1, 4)]
            elif made.random() < 0.3:
                body[at:at] = made.choice([b"\\", b'"', b"\xff", b"\xc3", b"\\u0041", b"1", b" "])
            else:
                body[at] ^= 1 << made.randrange(8)
        taken += both(bytes(body), kind) is not None
    assert taken > 200


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"messageId":"m","event":"E","event":"F"}', "a field twice"),
        (b'{"messageId":"m","event":"E","\\u0065vent":"F"}', "a field spelled otherwise"),
        (b'{"messageId":"m","event":"E"} x', "something behind it"),
        (b'{"messageId":"m","event":"E",}', "a comma too many"),
        (b'{"messageId":"m","event":"E","x":01}', "a zero in front"),
        (b'{"messageId":"m","event":"E","x":.5}', "no digit in front"),
        (b'{"messageId":"m","event":"E","x":1.}', "no digit behind"),
        (b'{"messageId":"m","event":"E","x":1e}', "no exponent"),
        (b'{"messageId":"m","event":"E","x":1e999}', "a number beyond"),
        (b'{"messageId":"m","event":"E","x":9223372036854775808}', "an integer beyond"),
        (b'{"messageId":"m","event":"E","x":tru}', "half a word"),
        (b'{"messageId":"m","event":"E","x":NaN}', "no JSON"),
        (b'{"messageId":"m","event":"E","x":"\n"}', "a line break in a text"),
        (b'{"messageId":"m","event":"E","x":"\\x"}', "no escape"),
        (b'{"messageId":"m","event":"E","x":"\\u0000"}', "NUL"),
        (b'{"messageId":"m","event":"E","x":"\\ud800"}', "half a pair"),
        (b'{"messageId":"m","event":"E","x":"\xed\xa0\x80"}', "half a pair in UTF-8"),
        (b'{"messageId":"m","event":"E","x":"\xc0\xaf"}', "too long a form"),
        (b'{"messageId":"m","event":"E","x":"\xf4\x90\x80\x80"}', "beyond Unicode"),
        (b'{"messageId":"m","event":"E","x":"\xe2\x82"}', "half a character"),
        (b'{"messageId":"m","event":"E","x":' + b"[" * 99 + b"]" * 99 + b"}", "too deep"),
        (b'{"messageId":"m","event":"E","x":' + b"[" * 9999, "far too deep"),
        (b'\xef\xbb\xbf{"messageId":"m","event":"E"}', "a mark in front"),
        (b'{"messageId":"m","event":"E"', "cut off"),
        (b'["messageId","m"]', "no object"),
        (b"", "nothing"),
    ],
)
def test_what_is_unusual_is_left_to_python(body: bytes, why: str) -> None:
    assert compiled(body, "track") is None, why


def test_every_cut_of_a_body_is_left_to_python() -> None:
    for whole, kind in ((text(EVENT), "track"), (text({"batch": [EVENT]}), None)):
        assert both(whole, kind)
        for end in range(len(whole)):
            assert compiled(whole[:end], kind) is None


def test_the_limits_hold() -> None:
    small = Limits(event_bytes=400, message_id_chars=8, batch_events=2, depth=4)
    using = decoder(small)
    padded = EVENT | {"properties": {"p": "x" * 400}}
    assert compiled(text(EVENT | {"properties": {}}), "track", using)
    assert compiled(text(padded), "track", using) is None
    assert compiled(text({"batch": [padded]}), None, using) is None
    assert compiled(text(EVENT | {"messageId": "m" * 9, "properties": {}}), "track", using) is None
    assert compiled(b" " * 400 + text(EVENT | {"properties": {}}), "track", using) is None
    two, three = ({"batch": [EVENT | {"properties": {}}] * n} for n in (2, 3))
    assert compiled(text(two), None, using)
    assert compiled(text(three), None, using) is None
    for levels, fits in ((3, True), (4, False)):
        deep = EVENT | {"properties": json.loads('{"a":' * levels + "1" + "}" * levels)}
        assert (compiled(text(deep), "track", using) is not None) == fits
        assert (in_python(text(deep), "track", small) is not None) == fits


def test_any_limit_that_the_settings_take_is_taken() -> None:
    vast = Limits(
        event_bytes=2**64,
        message_id_chars=2**64,
        batch_events=2**64,
        depth=2**40,
        clock_skew_s=1e300,
    )
    assert compiled(text(EVENT), "track", decoder(vast))
    assert decoder(Limits(clock_skew_s=float("inf")))


def test_what_is_taken_out_of_an_address_is_left_to_python() -> None:
    secret = EVENT | {"context": {"page": {"url": "https://s.example/?token=abc"}}}
    assert compiled(text(secret), "track") is None
    own = decoder(scrubber=Scrubber(Privacy(scrub_patterns=("ber-[0-9]+",))))
    numbered = EVENT | {"properties": {"url": "/ber-5"}}
    assert compiled(text(numbered), "track")
    assert compiled(text(numbered), "track", own) is None
    off = Scrubber(Privacy(scrub_patterns=(), scrub_parameters=()))
    assert compiled(text(secret), "track", decoder(scrubber=off))


AMOUNTS = [5, -5, 0, 19.95, "19.95", "5", 123456789012, 999999999999.99]
ODD_AMOUNTS = [1e3, "1e3", "", ".5", "5.", "+5", "1,000", True, [], {}, 9999999999999, "9" * 20]
NAMES = ["a", "", 7, 1.5, 'q"']
ODD_NAMES = [True, [], {"a": 1}]
EMAILS = ["ada@example.com", "a.b-c+d_e@x-1.example.org", "A@B.CO"]
ODD_EMAILS = ["ada", "ada@x", "@x.y", "a@.y", "a@x.", "a@x..y", "a b@x.y", " a@x.y", "ü@x.y", 5,
              "a@" + "x" * 250 + ".org", "a" * 65 + "@x.y", 'a"@x.y', ""]  # fmt: skip


def shopped(made: random.Random, odd: float) -> dict[str, Any]:
    def one(plain_ones: list[Any], odd_ones: list[Any]) -> Any:
        return made.choice(odd_ones if made.random() < odd else [*plain_ones, None])

    product = {
        "product_id": one(NAMES, ODD_NAMES),
        "name": one(NAMES, ODD_NAMES),
        "price": one(AMOUNTS, ODD_AMOUNTS),
        "quantity": one(AMOUNTS, ODD_AMOUNTS),
        "other": [{}],
    }
    given = {
        "total": one(AMOUNTS, ODD_AMOUNTS),
        "revenue": one(AMOUNTS, ODD_AMOUNTS),
        "currency": one(["EUR", "usd"], ["EU", "EURO", "€UR", "E1R", 5, " EUR"]),
        "order_id": one(NAMES, ODD_NAMES),
        "orderId": one(NAMES, ODD_NAMES),
        "products": one([[product], [], [product, {}]], [product, [5], [[product]], "x"]),
        "email": one(EMAILS, ODD_EMAILS),
        "source": one(NAMES, ODD_NAMES),
        "currency ": {"price": []},
    }
    return {name: value for name, value in given.items() if made.random() < 0.7}


@pytest.mark.parametrize("odd", [0.0, 0.15])
def test_what_is_wrong_in_purchases_and_leads_is_said_as_python_says_it(odd: float) -> None:
    made, asked = random.Random(7), []

    def judge(name: str, properties: str | None) -> str | None:
        asked.append(name)
        return violations(name, properties)

    using = plain.decoder(LIMITS, SCRUBBER, PURCHASES, LEADS, KNOWN, judge)
    said, count = 0, 4000
    for _ in range(count):
        properties = shopped(made, odd) if made.random() < 0.95 else None
        name = made.choice(sorted(PURCHASES | LEADS))
        body = text(EVENT | {"event": name, "properties": properties, "context": None})
        found = compiled(body, "track", using)
        assert found == in_python(body, "track"), body
        said += found[0][24] is not None
    missing = sum(name in LEADS for name in asked)  # a lead needs an address
    assert said > 200
    assert len(asked) < count * (0.5 if odd else 0.05) + missing


def count(found: Plain) -> int:
    made = found.rows(SITE.name, NOW, None, None, False, False)
    return len(made or [])


def test_a_body_names_its_key_and_its_visitor() -> None:
    found = decoder().single(text(EVENT | {"writeKey": "wk"}), "track")
    assert found and (found.key, found.visitor, count(found)) == ("wk", "a", 1)
    items = [EVENT | {"anonymousId": "b"}, EVENT | {"anonymousId": None}]
    found = decoder().batch(text({"batch": items}))
    assert found and (found.key, found.visitor, count(found)) == (None, "b", 2)
    assert decoder().batch(text({"batch": items, "writeKey": "w\tk"})) is None


def test_events_and_rows_go_together_into_one_batch() -> None:
    found = decoder().single(text(EVENT), "track")
    row = found and found.rows(SITE.name, NOW, None, None, False, False)
    assert row
    made = in_python(text(EVENT | {"messageId": "m-2", "userId": 7}), "track")
    event = Event(*made[0])
    values = read_back([event, *row, event])
    assert [value[0] for value in values] == ["m-2", "m-1", "m-2"]
    assert values[0] == made[0]
    assert row[0].identity == "shöp\0m-1".encode()
    assert row[0].site is SITE.name and row[0].received_at == NOW


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, rows.PLAIN),
        ({"traits": "{}"}, rows.WITH_TRAITS),
        ({"bot": 1}, rows.WITH_ALL),
        ({"node_seq": 5, "traits": "{}"}, rows.WITH_ALL),
    ],
)
def test_a_batch_says_which_columns_it_needs(
    change: dict[str, Any], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Event(*in_python(text(EVENT), "track")[0])
    events: list[rows.Entry] = [event, msgspec.structs.replace(event, **change)]
    binary, rare = rows.packed(events)
    monkeypatch.setattr(rows, "COMPILED", False)
    as_text, also = rows.packed(events)
    assert (rare, also) == (wanted, wanted)
    assert isinstance(binary, bytes) and isinstance(as_text, str)
    values = read_back(events)
    assert values == [msgspec.structs.astuple(event) for event in events]


def test_what_no_database_takes_is_an_error() -> None:
    event = Event(*in_python(text(EVENT), "track")[0])
    for change in ({"title": "\ud800"}, {"timestamp": 2**63}):
        with pytest.raises((UnicodeError, OverflowError)):
            rows.packed([msgspec.structs.replace(event, **change)])


def test_nothing_is_held_once_the_rows_are_gone() -> None:
    using, agent, name = decoder(), "".join([AGENT, "!"]), "".join(["sh", "op"])
    bodies = [text(EVENT), text(EVENT | {"event": "Lead"}), text(EVENT | {"event": ""}), b"{"]
    before = [sys.getrefcount(one) for one in chain(bodies, [using, agent, name, None])]
    for _ in range(1000):
        for body in bodies:
            found = using.single(body, "track")
            made = found and found.rows(name, NOW, None, agent, False, True)
            if made:
                rows.packed(made)
            del found, made
    after = [sys.getrefcount(one) for one in chain(bodies, [using, agent, name, None])]
    assert all(abs(b - a) < 100 for a, b in zip(before, after, strict=True))


def test_an_error_of_what_is_asked_comes_through() -> None:
    def fails(*_: Any) -> Any:
        raise LookupError("asked")

    for name in ("scrub", "judge", "is_bot"):
        asked = {"scrub": SCRUBBER.text, "judge": violations, "is_bot": bots.known} | {name: fails}
        using = Decoder(
            event_bytes=9999, message_id_chars=99, batch_events=9, depth=9, skew_ms=9,
            scrub_all=True, harmless=set(), purchases=frozenset(), leads=frozenset(),
            known=KNOWN, **asked,
        )  # fmt: skip
        item = EVENT | {"event": "Lead", "context": {"userAgent": "x"}}
        found = using.single(text(item), "track")
        assert found
        with pytest.raises(LookupError):
            found.rows("shop", NOW, None, None, False, True)
