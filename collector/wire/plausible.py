"""Plausible's event endpoint: POST /api/event, one event as JSON, mostly under text/plain.

Format: Plausible's ingestion and its trackers (plausible-tracker, @plausible-analytics/tracker,
the script). Their short names come first: n name, u url, d domain, r referrer, p props, $ revenue.
"""

from typing import Any

import msgspec

from collector.config import Limits
from collector.errors import Refused
from collector.wire import decode, junk
from collector.wire.message import (
    ABSENT,
    Answer,
    Call,
    Item,
    Refusal,
    Request,
    invalid,
    raw_object,
    refusal,
)

_OK = Answer(202, "text/plain", b"ok")


class _Event(msgspec.Struct, gc=False):
    n: str | None = None
    name: str | None = None
    u: str | None = None
    url: str | None = None
    d: str | None = None
    domain: str | None = None
    r: str | None = None
    referrer: str | None = None
    m: msgspec.Raw = ABSENT
    meta: msgspec.Raw = ABSENT
    p: msgspec.Raw = ABSENT
    props: msgspec.Raw = ABSENT
    short_revenue: msgspec.Raw = msgspec.field(default=ABSENT, name="$")
    revenue: msgspec.Raw = ABSENT
    interactive: msgspec.Raw = msgspec.field(default=ABSENT, name="i")
    scroll_depth: int | None = msgspec.field(default=None, name="sd")
    engaged_ms: int | None = msgspec.field(default=None, name="e")
    width: int | float | str | None = msgspec.field(default=None, name="w")


class _Domain(msgspec.Struct, gc=False):
    d: str | None = None
    domain: str | None = None


_EVENT = msgspec.json.Decoder(_Event)
_DOMAIN = msgspec.json.Decoder(_Domain)
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def event(request: Request, kind: str, limits: Limits) -> Call:
    body = request.body
    try:
        if len(body) > limits.event_bytes:
            raise invalid(f"over {limits.event_bytes} bytes - at `$`", 413, "too_large")
        junk.sound(body, limits.depth, "$")
        given = _decoded(body)
        item = _item(given, limits)
    except Refused as error:
        return Call(None, [], [Refusal(0, error, body)], named=_domain(body))
    site = given.d or given.domain or _host(given.u or given.url)
    return Call(None, [item], [], named=site)


def answer(refused: list[Refusal], stored: int) -> Answer:
    return error(refused[0].error) if refused and not stored else _OK


def error(refused: Refused) -> Answer:
    """Its `errors` beside our code and message."""
    body = {"success": False, "code": refused.code, "message": refused.message}
    return refusal(refused, body | {"errors": {"request": [refused.message]}})


def _decoded(body: bytes) -> _Event:
    try:
        return _EVENT.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(decode.said(error, "$")) from None
    except _ERRORS as error:
        raise invalid(decode.said(error, "$"), code="invalid_json") from None


def _domain(body: bytes) -> str:
    """The domain of a body whose event is unsound, so that the refusal has an owner."""
    try:
        given = _DOMAIN.decode(body)
    except _ERRORS:
        return ""
    return given.d or given.domain or ""


def _host(url: str | None) -> str:
    """Whose page it was, where no domain is given."""
    _, _, rest = (url or "").partition("://")
    for mark in "/?#":
        rest = rest.partition(mark)[0]
    return rest.rpartition("@")[2].partition(":")[0]


def _item(given: _Event, limits: Limits) -> Item:
    name, url = given.n or given.name, given.u or given.url
    if not name:
        raise invalid("expected a name - at `$.n`")
    if not url or url.lower().startswith("data:"):
        raise invalid("expected an address - at `$.u`")
    referrer = given.r or given.referrer
    page = {"url": url} | ({"referrer": referrer} if referrer else {})
    props = _props(given, limits)
    if name == "pageview":
        return Item(type="page", properties=raw_object(props | page), context=_context(given, page))
    measured = {"scroll_depth": given.scroll_depth, "engaged_ms": given.engaged_ms}
    properties = props | {k: v for k, v in measured.items() if v is not None}
    return Item(
        type="track",
        event=name,
        properties=raw_object(properties | _revenue(given, limits)),
        context=_context(given, page),
    )


def _context(given: _Event, page: dict[str, str]) -> msgspec.Raw:
    context: dict[str, Any] = {"page": page}
    if isinstance(given.width, int | float):
        context["screen"] = {"innerWidth": given.width}
    if bytes(given.interactive) == b"false":
        context["interactive"] = False
    return raw_object(context)


def _props(given: _Event, limits: Limits) -> dict[str, Any]:
    """Texts, numbers and truths; Plausible drops what is empty or nested, and takes props that
    are none for none."""
    chosen = next((raw for raw in (given.m, given.meta, given.p, given.props) if raw), ABSENT)
    return {
        name: value
        for name, value in _object(chosen, limits, "$.p").items()
        if value not in ("", None) and not isinstance(value, dict | list)
    }


def _revenue(given: _Event, limits: Limits) -> dict[str, Any]:
    """`{"amount": 12.5, "currency": "EUR"}` as a purchase has it. It counts as one where the
    event's name is a purchase's."""
    chosen = next((raw for raw in (given.short_revenue, given.revenue) if raw), ABSENT)
    value = _object(chosen, limits, "$.$")
    names = {"amount": "total", "currency": "currency"}
    return {ours: value[name] for name, ours in names.items() if name in value}


def _object(raw: msgspec.Raw, limits: Limits, at: str) -> dict[str, Any]:
    """An object, or one as JSON in a text; empty when it is something else."""
    value = msgspec.json.decode(raw) if raw else None
    if isinstance(value, str):
        inner = value.encode()
        try:
            junk.sound(inner, limits.depth, at)
            value = msgspec.json.decode(inner)
        except msgspec.DecodeError:
            return {}
    return value if isinstance(value, dict) else {}
