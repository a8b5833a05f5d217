"""Segment's HTTP API: single calls, batches, the pixel; and the pixel's own beacon, which
speaks the same batch.

Formats: Segment's HTTP tracking API and the sources of analytics.js, analytics-node and
analytics-python.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from collector.config import Limits
from collector.errors import Refused
from collector.wire import decode, junk
from collector.wire.message import (
    ANONYMOUS_ID,
    AUTHORIZATION,
    Answer,
    Call,
    Refusal,
    Request,
    invalid,
    refusal,
)

_JSON = "application/json"
OK = Answer(200, _JSON, b'{"success":true}')
_LONGEST_BASIC = 512  # characters; no write key is longer, and what is cached stays small


def single(request: Request, kind: str, limits: Limits) -> Call:
    return _keyed(decode.single(request.body, kind, limits), request)


def batch(request: Request, kind: str, limits: Limits) -> Call:
    try:
        call = decode.batch(request.body, limits)
    except Refused as error:
        # Unsound as a whole: kept under the key that came beside the body, if one did.
        call = Call(None, [], [Refusal(0, error, request.body)])
    call.historical = kind == "import"
    return _keyed(call, request)


def beacon(request: Request, kind: str, limits: Limits) -> Call:
    """The pixel's own batch: the one request that the visitor's cookie has a part in."""
    call = batch(request, kind, limits)
    call.browser = call.cookie = True
    return call


def pixel(request: Request, kind: str, limits: Limits) -> Call:
    """`GET /v1/pixel/track?data=<base64 JSON>`, or flat: `?event=A&properties.total=5`."""
    query = request.url.query
    if "data" in query:
        data = query["data"]
        text = data.replace("-", "+").replace("_", "/") + "=" * (-len(data) % 4)
        try:
            body = base64.b64decode(text)
        except (binascii.Error, ValueError):
            return _keyed(_refused("expected base64 - at `data`", data), request)
    elif any(name.count(".") > limits.depth for name in query):  # deeper than json can write
        said = f"nested deeper than {limits.depth} - at `$`"
        return _keyed(_refused(said, request.url.query_string), request)
    else:
        body = _unflatten(query)
    return _keyed(decode.single(body, kind, limits), request)


def _refused(said: str, text: str) -> Call:
    return Call(None, [], [Refusal(0, invalid(said), text.encode("utf-8", "replace"))])


def _unflatten(query: Mapping[str, str]) -> bytes:
    """`a.b=1&a.c=2` as `{"a":{"b":"1","c":"2"}}`; values are text."""
    tree: dict[str, Any] = {}
    for name, value in query.items():
        node = tree
        *path, last = name.split(".")
        for step in path:
            child = node.setdefault(step, {})
            if not isinstance(child, dict):
                child = node[step] = {}
            node = child
        node[last] = value
    # As \u escapes: what is no text in the query is then refused like in any other body.
    return json.dumps(tree).encode()


def answer(refused: list[Refusal], stored: int) -> Answer:
    """Exactly `{"success":true}` when all were taken: older SDKs retry on anything else."""
    if not refused:
        return OK
    if not stored:
        first = refused[0].error
        return error(first)
    return Answer(
        200,
        _JSON,
        msgspec.json.encode(
            {
                "success": True,
                "rejected": [
                    {"index": r.index, "code": r.error.code, "message": r.error.message}
                    for r in refused
                ],
            }
        ),
    )


def error(refused: Refused) -> Answer:
    body = {"success": False, "code": refused.code, "message": refused.message}
    return refusal(refused, body)


def settings(key: str, public_url: str) -> Answer:
    """`GET /v1/projects/{key}/settings`: the browser SDK does not start without it. Names this
    collector as the place to send to, so that the address of the settings is all that changes."""
    scheme, _, host = public_url.partition("://")
    destination = {"apiKey": key, "apiHost": f"{host}/v1", "protocol": scheme}
    body = {
        "integrations": {"Segment.io": {**destination, "addBundledMetadata": False}},
        "metrics": {"sampleRate": 0},
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
    }
    return Answer(200, _JSON, msgspec.json.encode(body), (("Cache-Control", "max-age=300"),))


def metrics(key: str, public_url: str) -> Answer:
    """`POST /v1/m`: what the browser SDK counts of itself; nothing of it is kept."""
    return OK


def _keyed(call: Call, request: Request) -> Call:
    """The write key: Basic's user name, else the body's, else the query's."""
    basic = basic_user(request)
    if basic:
        call.key = basic
    elif not call.key and request.url.raw_query_string:
        call.key = request.url.query.get("writeKey")
    header = request.headers.get(ANONYMOUS_ID)
    if header:
        _name_visitor(call, header)
    return call


def basic_user(request: Request) -> str | None:
    header = request.headers.get(AUTHORIZATION)
    return _basic_user(header) if header and len(header) <= _LONGEST_BASIC else None


def _name_visitor(call: Call, header: str) -> None:
    """RudderStack's clients name the visitor beside the body too, in base64; it counts for
    events that name nobody."""
    try:
        anonymous_id = base64.b64decode(header, validate=True).decode()
        junk.check_text(anonymous_id, "AnonymousId")
    except (ValueError, Refused):
        return
    for item in call.items:
        if item.user_id is None and item.anonymous_id is None:
            item.anonymous_id = anonymous_id or None


@lru_cache(maxsize=4096)
def _basic_user(header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(token.strip(), validate=True).decode().partition(":")[0]
    except ValueError:
        return None
