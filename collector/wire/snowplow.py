"""Snowplow's tracker protocol: GET /i with one event in the query, POST tp2 with several, and
the redirect that counts a click. What an event means is in snowplow_events.py.

Source: Snowplow's tracker protocol, and its JavaScript, Node and Python trackers.
"""

import re
from collections.abc import Callable

import msgspec
from multidict import istr

from collector.config import Limits
from collector.errors import Refused
from collector.wire import decode, junk, native
from collector.wire.message import Answer, Call, Item, Refusal, Request, invalid
from collector.wire.snowplow_events import Params, item

_ANONYMOUS = istr("SP-Anonymous")
_OK = Answer(200, "text/plain", b"ok")
_FOR_GOOD = {400, 401, 403, 410, 422}  # its trackers send again after any other error


class _Payload(msgspec.Struct, gc=False):
    """A body without its events."""

    schema: str | None = None


class _Whole(msgspec.Struct, gc=False):
    data: list[msgspec.Raw]
    schema: str | None = None


_WHOLE = msgspec.json.Decoder(_Whole)
_PAYLOAD = msgspec.json.Decoder(_Payload)
_PARAMS = msgspec.json.Decoder(dict[str, str | int | float | bool | None])
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def get(request: Request, kind: str, limits: Limits) -> Call:
    """`GET /i?e=pv&aid=…`: one event."""
    return _one(request, dict(request.url.query), limits)


def _one(request: Request, given: Params, limits: Limits) -> Call:
    raw = request.url.raw_query_string.encode("utf-8", "replace")
    params = {name: value for name, value in given.items() if value}
    try:
        if len(raw) > limits.event_bytes:
            raise invalid(f"over {limits.event_bytes} bytes - at `$`", 413, "too_large")
        for name, value in params.items():
            junk.check_text(name, "$")
            junk.check_text(value, f"$.{name}")
        items = [item(params, limits, "$", _anonymous(request))]
    except Refused as error:
        refused = [Refusal(0, error, raw[: limits.event_bytes])]
        return _call(request, [], refused, params)
    return _call(request, items, [], params)


def post(request: Request, kind: str, limits: Limits) -> Call:
    """`{"schema": "…payload_data…", "data": [{…}, …]}`. The first event names the site."""
    try:
        events = _events(request.body)
        decode.check_count(len(events), limits)
    except Refused as error:
        return _call(request, [], [Refusal(0, error, request.body)], {})
    items: list[Item] = []
    refused: list[Refusal] = []
    first: Params = {}
    for index, raw in enumerate(events):
        at = f"$.data[{index}]"
        try:
            params = _params(raw, limits, at)
            first = first if "aid" in first else params
            items.append(item(params, limits, at, _anonymous(request)))
        except Refused as error:
            refused.append(Refusal(index, error, raw))
    return _call(request, items, refused, first)


def _events(body: bytes) -> list[bytes]:
    """The bytes of each event; of a body that is unsound in one of them too."""
    try:
        return [bytes(raw) for raw in _WHOLE.decode(body).data]
    except _ERRORS:
        _, spans = decode.split(body, "data", _PAYLOAD)
        return [body[start:end] for start, end in spans]


def redirect(domains: tuple[str, ...]) -> Callable[[Request, str, Limits], Call]:
    """`GET /r/tp2?u=ADDRESS`: counts a click and sends the visitor on, to these domains and
    below them only: an open redirect would lend the site's name to anyone's links."""
    named = tuple(domain.lower().strip(".") for domain in domains)

    def parse(request: Request, kind: str, limits: Limits) -> Call:
        params = dict(request.url.query)
        target = params.pop("u", "")
        host = _host(target)
        if not host or not any(host == d or host.endswith(f".{d}") for d in named):
            raise invalid("expected an address of a domain that may be redirected to - at `u`")
        if "e" not in params:  # as Snowplow's collector does it
            click = {"schema": f"{_OWN}/uri_redirect/jsonschema/1-0-0", "data": {"uri": target}}
            event = {"schema": f"{_OWN}/unstruct_event/jsonschema/1-0-0", "data": click}
            params |= {"e": "ue", "ue_pr": msgspec.json.encode(event).decode()}
        call = _one(request, params, limits)
        headers = (("Location", target), ("Cache-Control", "no-store"))
        call.reply = Answer(302, "text/plain", b"", headers)
        return call

    return parse


_OWN = "iglu:com.snowplowanalytics.snowplow"


def _host(target: str) -> str | None:
    """The host of an absolute http address, when nobody can read another one out of it: no
    user name, nothing encoded, nothing that browsers drop or mend. None otherwise."""
    match = _TARGET.fullmatch(target)
    return match[1].lower() if match else None


_TARGET = re.compile(r"https?://([A-Za-z0-9.-]+)(?::[0-9]{1,5})?(?:[/?#][!-\[\]-~]*)?")


def answer(refused: list[Refusal], stored: int) -> Answer:
    """`ok`. What was refused beside others the trackers cannot be told of."""
    return error(refused[0].error) if refused and not stored else _OK


def error(refused: Refused) -> Answer:
    """Our code and message; the status one that its trackers understand."""
    kept = {"success": False, "code": refused.code, "message": refused.message}
    status, headers = _status(refused)
    encoded = msgspec.json.encode(kept)
    return Answer(status, "application/json", encoded, headers, refused.message)


def image(refused: list[Refusal], stored: int) -> Answer:
    return image_error(refused[0].error) if refused and not stored else native.PIXEL


def image_error(refused: Refused) -> Answer:
    """A GIF too, but with the status: its trackers use fetch and look at it."""
    status, headers = _status(refused)
    headers += native.NO_STORE
    return Answer(status, "image/gif", native.GIF, headers, refused.message)


def _status(refused: Refused) -> tuple[int, tuple[tuple[str, str], ...]]:
    if refused.status in (429, 503):
        return refused.status, (("Retry-After", str(refused.retry_after)),)
    again = refused.status in _FOR_GOOD or refused.status == 408
    return refused.status if again else 400, ()


def _call(request: Request, items: list[Item], refused: list[Refusal], first: Params) -> Call:
    return Call(
        None,
        items,
        refused,
        named=first.get("aid", ""),
        anonymous=_anonymous(request),
        browser=first.get("p") == "web",
    )


def _anonymous(request: Request) -> bool:
    return _ANONYMOUS in request.headers


def _params(raw: bytes, limits: Limits, at: str) -> Params:
    if len(raw) > limits.event_bytes:
        raise invalid(f"over {limits.event_bytes} bytes - at `{at}`", 413, "too_large")
    junk.sound(raw, limits.depth, at)
    try:
        given = _PARAMS.decode(raw)
    except _ERRORS as error:
        raise invalid(decode.said(error, at)) from None
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in given.items()
        if value is not None and value != ""
    }
