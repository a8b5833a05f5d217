"""Umami's collection endpoints: POST /api/send with one event, /api/batch with an array of them.

Format: Umami's tracker, @umami/node and its server's routes, versions 2 and 3.
`{"type": "event", "payload": {"website": …, "url": …, "name": …, "data": {…}, "id": …}}`.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from collector.config import Limits
from collector.errors import Refused
from collector.wire import decode, junk
from collector.wire.message import (
    Answer,
    Call,
    Item,
    Refusal,
    Request,
    invalid,
    raw_object,
    refusal,
)

_JSON = "application/json"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_S = 253_402_300_799  # the year 9999
_METRICS = ("lcp", "inp", "cls", "fcp", "ttfb", "duration")
_TYPES = ("event", "identify", "performance", "error")

Data = dict[str, Any]
T = TypeVar("T")


class _Payload(msgspec.Struct, gc=False):
    website: str | None = None
    url: str | None = None
    hostname: str | None = None
    referrer: str | None = None
    title: str | None = None
    language: str | None = None
    screen: str | None = None
    name: str | None = None
    tag: str | None = None
    id: int | str | None = None
    data: Data | None = None
    timestamp: int | float | None = None
    ip: str | None = None
    user_agent: str | None = msgspec.field(default=None, name="userAgent")


class _Event(msgspec.Struct, gc=False):
    payload: msgspec.Raw
    type: str = "event"


class _Website(msgspec.Struct, gc=False):
    website: str | None = None


class _Owner(msgspec.Struct, gc=False):
    payload: _Website


_EVENT = msgspec.json.Decoder(_Event)
_PAYLOAD = msgspec.json.Decoder(_Payload)
_OWNER = msgspec.json.Decoder(_Owner)
_ENVELOPE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def send(request: Request, kind: str, limits: Limits) -> Call:
    call = Call(None, [], [], named=_website(request.body))
    _take(call, request.body, 0, "$", request, limits)
    return call


def batch(request: Request, kind: str, limits: Limits) -> Call:
    """An array; the first event names the site."""
    body = b'{"batch":%b}' % request.body
    try:
        _, spans = decode.split(body, "batch", _ENVELOPE)
        decode.check_count(len(spans), limits)
    except Refused as error:
        return Call(None, [], [Refusal(0, error, request.body)], named="")
    call = Call(None, [], [], named="")
    for index, (start, end) in enumerate(spans):
        call.named = call.named or _website(body[start:end])
        _take(call, body[start:end], index, f"$[{index}]", request, limits)
    return call


def _take(call: Call, raw: bytes, index: int, at: str, request: Request, limits: Limits) -> None:
    try:
        call.items.append(_item(raw, at, request, limits))
    except Refused as error:
        call.refused.append(Refusal(index, error, raw))


def answer(refused: list[Refusal], stored: int) -> Answer:
    """The cache is what its tracker hands back with the next event: nothing has to be kept."""
    return error(refused[0].error) if refused and not stored else _OK


_OK = Answer(200, _JSON, b'{"cache":"","sessionId":"","visitId":""}')


def batch_answer(refused: list[Refusal], stored: int) -> Answer:
    if refused and not stored:
        return error(refused[0].error)
    details = [{"index": r.index, "response": _said(r.error)} for r in refused]
    size = stored + len(refused)
    body = {"size": size, "processed": stored, "errors": len(refused), "details": details}
    return Answer(200, _JSON, msgspec.json.encode(body))


def error(refused: Refused) -> Answer:
    return refusal(refused, _said(refused))


def _said(refused: Refused) -> dict[str, Any]:
    """Its `error` beside our code and message."""
    said = {"code": refused.code, "message": refused.message}
    return {"success": False, **said, "error": {**said, "status": refused.status}}


def _website(body: bytes) -> str:
    try:
        return _OWNER.decode(body).payload.website or ""
    except _ERRORS:
        return ""


def _item(raw: bytes, at: str, request: Request, limits: Limits) -> Item:
    if len(raw) > limits.event_bytes:
        raise invalid(f"over {limits.event_bytes} bytes - at `{at}`", 413, "too_large")
    junk.sound(raw, limits.depth, at)
    event = _decoded(_EVENT, raw, at)
    if event.type not in _TYPES:
        raise invalid(f"expected one of {', '.join(_TYPES)} - at `{at}.type`")
    payload = _decoded(_PAYLOAD, event.payload, f"{at}.payload")
    more = {} if event.type == "event" else msgspec.json.decode(event.payload, type=Data)
    return _mapped(event.type, payload, more, at, request)


def _decoded(decoder: msgspec.json.Decoder[T], raw: bytes, at: str) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(decode.said(error, at)) from None
    except _ERRORS as error:
        raise invalid(decode.said(error, at), code="invalid_json") from None


def _mapped(kind: str, payload: _Payload, more: Data, at: str, request: Request) -> Item:
    page, data = _page(payload, request), payload.data or {}
    item = Item(
        user_id=payload.id,
        timestamp=_time(payload.timestamp, f"{at}.payload.timestamp"),
        context=raw_object(_context(payload, page)),
    )
    if kind == "identify":
        item.type, item.traits = "identify", raw_object(data)
    elif kind != "event":
        own = {name: more[name] for name in more if name not in _Payload.__struct_fields__}
        if kind == "performance":
            own = {name: own[name] for name in _METRICS if name in own}
        item.type, item.event, item.properties = "track", kind.title(), raw_object(own | data)
    elif payload.name:
        item.type, item.event, item.properties = "track", payload.name, raw_object(data)
        _commerce(item, data)
    else:
        item.type, item.properties = "page", raw_object(data | page)
    return item


def _commerce(item: Item, data: Data) -> None:
    """`data.commerce` with an order id is a completed payment."""
    commerce = data.get("commerce")
    if not isinstance(commerce, dict) or not commerce.get("orderId"):
        return
    items = commerce.get("items")
    products = [_product(i) for i in items if isinstance(i, dict)] if type(items) is list else []
    own = {name: value for name, value in data.items() if name != "commerce"}
    kept = {name: value for name, value in commerce.items() if name not in ("items", "orderId")}
    order: Data = {
        "order_id": commerce["orderId"],
        "products": products,
        **_total(commerce, products),
    }
    order["event_name"] = item.event
    item.event, item.properties = "Order Completed", raw_object(own | kept | order)


def _product(given: Data) -> Data:
    return {"product_id" if name == "productId" else name: v for name, v in given.items()}


def _total(commerce: Data, products: list[Data]) -> Data:
    """Net prices are sent, and shipping and tax beside them: the order's value is their sum."""
    try:
        lines = [Decimal(str(p["price"])) * Decimal(str(p.get("quantity", 1))) for p in products]
        extra = [Decimal(str(commerce[name])) for name in ("shipping", "tax") if name in commerce]
    except (KeyError, InvalidOperation):
        return {}
    total = sum(lines + extra, Decimal(0))
    return {"total": f"{total:f}"} if products and abs(total) < 10**15 else {}


def _page(payload: _Payload, request: Request) -> dict[str, str]:
    base = _base(payload.hostname, request.client.origin)
    found = {
        "url": _absolute(payload.url, base),
        "title": _uncoded(payload.title),
        "referrer": _absolute(payload.referrer, base),
    }
    return {name: value for name, value in found.items() if value}


def _base(hostname: str | None, origin: str | None) -> str:
    """What a path is below: the page's own origin where it is that host's, scheme and port told."""
    if origin and origin.isascii() and _hostname(origin) == hostname:
        return origin
    return f"https://{hostname}" if hostname else ""


def _hostname(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None


def _absolute(address: str | None, base: str) -> str | None:
    """Version 2 sends paths, and version 3 for a referrer of the same site."""
    return base + address if address and address.startswith("/") else address


def _uncoded(title: str | None) -> str | None:
    """Version 2 sends titles URI-encoded; what is not, stays as it is (as Umami does it)."""
    if not title or "%" not in title or _BROKEN.search(title):
        return title
    try:
        text = unquote(title, errors="strict")
    except UnicodeDecodeError:
        return title
    return title if "\0" in text else text


_BROKEN = re.compile("%(?![0-9A-Fa-f]{2})")


def _context(payload: _Payload, page: dict[str, str]) -> Data:
    given: Data = {
        "page": page,
        "locale": payload.language,
        "tag": payload.tag,
        "ip": payload.ip,
        "userAgent": payload.user_agent,
    }
    width, _, height = (payload.screen or "").partition("x")
    if width.isdecimal() and height.isdecimal() and len(payload.screen or "") < 20:
        given["screen"] = {"width": int(width), "height": int(height)}
    return {name: value for name, value in given.items() if value}


def _time(seconds: int | float | None, at: str) -> datetime | None:
    if seconds is None:
        return None
    if not 0 <= seconds <= _LATEST_S:
        raise invalid(f"expected seconds since 1970 - at `{at}`")
    return _EPOCH + timedelta(milliseconds=round(seconds * 1000))
