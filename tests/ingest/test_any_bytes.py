"""Whatever bytes come to Snowplow's, Plausible's and Umami's paths: an answer in the protocol's
own form, no 5xx, no traceback, and a 2xx is a row more."""

import base64
import json

import pytest
import yarl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TP2 = "/com.snowplowanalytics.snowplow/tp2"
TEXTS = st.text(max_size=20) | st.sampled_from(["", "\0", "\ud800", "1e999", "9" * 30, "{}"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3), max_leaves=8
)
JUNK = st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode())


def mutated(sound: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
    """A sound event, some of its fields replaced by anything, others left out."""
    replaced = st.dictionaries(st.sampled_from(sorted(sound)), VALUES, max_size=3)
    left_out = st.sets(st.sampled_from(sorted(sound)), max_size=3)
    return st.builds(
        lambda new, out: {k: v for k, v in (sound | new).items() if k not in out},
        replaced,
        left_out,
    )


def embedded(kind: str) -> st.SearchStrategy[str]:
    wrapped = VALUES.map(lambda v: {"schema": kind, "data": {"schema": "iglu:v/e/j/1", "data": v}})
    encoded = (wrapped | VALUES).map(lambda v: json.dumps(v).encode()) | st.binary(max_size=40)
    return encoded.map(lambda raw: base64.urlsafe_b64encode(raw).decode()) | TEXTS


SNOWPLOW = st.fixed_dictionaries(
    {"e": st.sampled_from(["pv", "pp", "se", "ue", "tr", "ti", "x"]), "ue_px": embedded("u")},
    optional={"cx": embedded("c"), "co": TEXTS, "tr_tt": TEXTS, "se_ac": TEXTS, "res": TEXTS},
)
PARAMS = mutated(
    {"dtm": "1767225500000", "stm": "1767225500000", "ttm": "1", "uid": "u", "duid": "d",
     "url": "https://shop.example/", "refr": "r", "ip": "203.0.113.7", "ua": "A", "eid": "",
     "tv": "x", "aid": "shop"}
)  # fmt: skip
EVENTS = st.builds(lambda fixed, more: more | fixed, SNOWPLOW, PARAMS)
BATCH = st.lists(EVENTS | VALUES, max_size=3).map(lambda data: {"schema": "p", "data": data})
PLAUSIBLE = mutated(
    {"n": "pageview", "u": "https://shop.example/", "d": "shop", "r": "r", "p": {"a": 1}, "w": 5,
     "h": 0, "$": {"amount": 1, "currency": "EUR"}, "sd": 1, "e": 1, "i": False, "props": "{}"}
)  # fmt: skip
PAYLOAD = mutated(
    {"website": "shop", "url": "/", "hostname": "shop.example", "title": "T", "referrer": "/x",
     "screen": "1x1", "language": "de", "name": "n", "id": "u", "timestamp": 1767225500,
     "tag": "t", "ip": "203.0.113.7", "userAgent": "A",
     "data": {"commerce": {"orderId": "o", "items": [{"price": 1, "quantity": 1}]}}}
)  # fmt: skip
UMAMI = mutated({"type": "event"}) | st.builds(
    lambda kind, payload: {"type": kind, "payload": payload},
    st.sampled_from(["event", "identify", "performance", "error"]) | VALUES,
    PAYLOAD | VALUES,
)
UMAMIS = st.lists(UMAMI, max_size=3)

anything = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
Bytes = st.SearchStrategy[bytes]


def as_bytes(values: st.SearchStrategy[object]) -> Bytes:
    return values.map(lambda value: json.dumps(value).encode()) | JUNK


async def answered(collector, quiet, path, body=None, headers=None):
    """Status, content type and body; the answer's common rules checked."""
    before = count(collector)
    method = "GET" if body is None else "POST"
    url = yarl.URL(collector.url + path, encoded=True)
    async with collector.session.request(method, url, data=body, headers=headers) as answer:
        status, kind, said = answer.status, answer.content_type, await answer.read()
    quiet()
    assert status in (200, 202, 400, 401, 413)
    if status >= 400 and kind == "application/json":
        error = json.loads(said)
        assert error["success"] is False
        assert error["code"]
        assert error["message"]
    return status, kind, said, count(collector) - before


def count(collector):
    (row,) = collector.rows(
        "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM rejected) AS n"
    )
    return row["n"]


@anything
@given(body=as_bytes(BATCH), anonymous=st.booleans())
async def test_snowplow_by_post(collector, quiet, body, anonymous):
    headers = {"SP-Anonymous": "*"} if anonymous else {}
    status, kind, said, _ = await answered(collector, quiet, TP2, body, headers)
    assert (status, kind, said) == (200, "text/plain", b"ok") or (status, kind) == (
        400,
        "application/json",
    )


def query(params: dict[str, object]) -> str:
    """Without the event's id: the same one twice would be one row."""
    texts = {k: str(v).encode("utf-8", "replace").decode() for k, v in params.items() if k != "eid"}
    return str(yarl.URL.build(query=texts))[1:]


QUERIES = (
    EVENTS.map(query)
    | st.binary(max_size=60).map(lambda raw: "e=pv&url=" + "".join(f"%{b:02x}" for b in raw))
    | st.text("&=%+;?/e0pv.", max_size=40)
)


@anything
@given(query=QUERIES)
@pytest.mark.parametrize("path", ["/i", "/ice.png"])
async def test_snowplow_by_get(collector, quiet, path, query):
    status, kind, said, more = await answered(collector, quiet, f"{path}?{query}")
    assert kind == "image/gif"
    assert said.startswith(b"GIF89a")
    assert status in (200, 400)
    assert more == 1


@anything
@given(body=as_bytes(PLAUSIBLE))
async def test_plausible(collector, quiet, body):
    status, kind, said, more = await answered(collector, quiet, "/api/event", body)
    if status == 202:
        assert (kind, said) == ("text/plain", b"ok")
    else:
        assert (status, kind) == (400, "application/json")
        assert json.loads(said)["errors"]
    assert more == 1


@anything
@given(body=as_bytes(UMAMI))
async def test_umami(collector, quiet, body):
    status, kind, said, more = await answered(collector, quiet, "/api/send", body)
    assert kind == "application/json"
    assert set(json.loads(said)) >= ({"cache", "sessionId"} if status == 200 else {"error"})
    assert more == 1


@anything
@given(body=as_bytes(UMAMIS))
async def test_umami_in_batches(collector, quiet, body):
    status, kind, said, more = await answered(collector, quiet, "/api/batch", body)
    assert kind == "application/json"
    if status == 200:
        assert json.loads(said)["size"] == more
