"""Whatever bytes come to the paths of Segment's and RudderStack's clients: an answer in their own
form, no 5xx, no traceback, and a 2xx is a row more for each event."""

import base64
import gzip
import json

import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import KEY, basic
from tests.ingest.test_any_bytes import TEXTS, VALUES, answered, anything, as_bytes, mutated

SINGLES = ["identify", "track", "page", "screen", "group", "alias", "i", "t", "p", "s", "g", "a"]
EVENT = mutated(
    {
        "type": "track",
        "event": "E",
        "name": "N",
        "category": "C",
        "userId": "u",
        "anonymousId": "a",
        "groupId": "g",
        "previousId": "p",
        "timestamp": "2026-01-01T00:00:00Z",
        "originalTimestamp": "2026-01-01T00:00:00Z",
        "sentAt": "2026-01-01T00:00:00Z",
        "properties": {"total": 1, "url": "https://shop.example/"},
        "traits": {"email": "a@b.c"},
        "context": {"page": {"url": "x"}, "ip": "203.0.113.7", "traits": {"plan": "pro"}},
        "integrations": {"All": False},
        "writeKey": "w",
    }
)
BATCH = st.builds(
    lambda events, shared: shared | {"batch": events},
    st.lists(EVENT | VALUES, max_size=3) | VALUES,
    mutated({"sentAt": "2026-01-01T00:00:00Z", "context": {"locale": "de"}, "integrations": {}}),
)
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40) | st.binary(
    max_size=20
).map(lambda raw: base64.b64encode(raw).decode())


def compressed(raw: bytes, cut: int) -> bytes:
    """gzip, cut short or not."""
    whole = gzip.compress(raw, mtime=0)
    return whole[: len(whole) - cut]


def own_form(status: int, kind: str, said: bytes) -> int:
    """Checks the answer's form; how many events it says were refused."""
    assert kind == "application/json"
    body = json.loads(said)
    if status != 200:
        return 0
    refused = body.pop("rejected", [])
    assert body == {"success": True}
    assert all(set(one) == {"index", "code", "message"} for one in refused)
    return len(refused)


@anything
@given(
    kind=st.sampled_from(SINGLES),
    body=as_bytes(EVENT),
    visitor=HEADER,
    content_type=st.sampled_from(["text/plain", "application/json", "image/png", ""]),
)
async def test_one_event(collector, quiet, kind, body, visitor, content_type):
    headers = {"Authorization": basic(KEY), "AnonymousId": visitor, "Content-Type": content_type}
    status, form, said, more = await answered(collector, quiet, f"/v1/{kind}", body, headers)
    assert own_form(status, form, said) == 0
    assert more == 1


@anything
@given(path=st.sampled_from(["/v1/batch", "/v1/b", "/v1/import"]), body=as_bytes(BATCH))
async def test_a_batch(collector, quiet, path, body):
    headers = {"Authorization": basic(KEY)}
    status, form, said, more = await answered(collector, quiet, path, body, headers)
    refused = own_form(status, form, said)
    assert more >= max(refused, status != 200)


@anything
@given(body=as_bytes(BATCH), cut=st.integers(0, 12), authorization=HEADER)
async def test_a_beacon_and_a_compressed_batch(collector, quiet, body, cut, authorization):
    sent = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
    for path, headers, raw in (
        (f"/beacon/v1/batch?writeKey={KEY}", {"Content-Type": "text/plain"}, body),
        ("/v1/batch", sent | {"Authorization": basic(KEY)}, compressed(body, cut)),
        ("/v1/batch", {"Authorization": authorization}, body),
    ):
        status, form, said, _ = await answered(collector, quiet, path, raw, headers)
        own_form(status, form, said)


def encoded(event: dict[str, object]) -> str:
    return base64.b64encode(json.dumps(event).encode()).decode()


@anything
@given(
    query=st.dictionaries(TEXTS | st.sampled_from(["event", "properties.a", "a.b"]), TEXTS)
    | st.builds(lambda data: {"data": data}, TEXTS | HEADER)
    | EVENT.map(lambda e: {"data": encoded(e | {"writeKey": KEY})})
)
@pytest.mark.parametrize("kind", ["track", "page"])
async def test_the_pixel(collector, quiet, kind, query):
    texts = {k.encode("utf-8", "replace").decode(): v.encode("utf-8", "replace").decode()
             for k, v in query.items()}  # fmt: skip
    path = str(yarl.URL.build(path=f"/v1/pixel/{kind}", query=texts | {"writeKey": KEY}))
    status, form, said, more = await answered(collector, quiet, path)
    assert (status, form) == (200, "image/gif")
    assert said.startswith(b"GIF89a")
    assert more == 1
