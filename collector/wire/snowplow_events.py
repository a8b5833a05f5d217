"""What Snowplow's events mean. Each is a flat object of texts; self-describing events and context
entities are JSON inside it, plain or as base64.

Parameters: Snowplow's tracker protocol and the sources of its JavaScript, Node and Python
trackers.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from collector.config import Limits
from collector.wire import decode, junk
from collector.wire.message import Item, invalid, raw_object

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = 253_402_300_799_999  # the year 9999

Params = dict[str, str]
Entities = list[dict[str, Any]]


class _SelfDescribing(msgspec.Struct, gc=False):
    schema: str
    data: msgspec.Raw


class _Entity(msgspec.Struct, gc=False):
    schema: str
    data: dict[str, Any]


class _Entities(msgspec.Struct, gc=False):
    data: list[_Entity]


_SELF_DESCRIBING = msgspec.json.Decoder(_SelfDescribing)
_ENTITIES = msgspec.json.Decoder(_Entities)
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def item(given: Params, limits: Limits, at: str, anonymous: bool) -> Item:
    """One event. Whatever is not mapped to a field of ours stays in `context.snowplow`."""
    params = dict(given)
    event = params.pop("e", "")
    if event not in _EVENTS:
        raise invalid(f"expected one of {', '.join(_EVENTS)} - at `{at}.e`")
    entities = _entities(params, limits, at)
    kind, name, properties = _EVENTS[event](params, entities, limits, at)
    if anonymous:
        for private in _PRIVATE:
            params.pop(private, None)
    user, visitor = params.pop("uid", None), params.pop("duid", None)
    if visitor is None:
        visitor = params.pop("tnuid", None) or params.pop("nuid", None)
    true_time, sent = params.pop("ttm", None), params.pop("stm", None)
    made = params.pop("dtm", None)
    return Item(
        type=kind,
        message_id=params.pop("eid", None),
        event=name,
        name=name if kind == "screen" else None,
        user_id=user,
        anonymous_id=visitor,
        # `ttm` is true as it stands: without a sent time no clock is corrected.
        timestamp=_time(true_time or made, f"{at}.{'ttm' if true_time else 'dtm'}"),
        sent_at=None if true_time else _time(sent, f"{at}.stm"),
        properties=raw_object(properties),
        context=raw_object(_context(given, params, entities)),
    )


_PRIVATE = ("uid", "duid", "nuid", "tnuid", "ip")


def _time(text: str | None, at: str) -> datetime | None:
    """Milliseconds since 1970."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", text) or float(text) > _LATEST_MS:
        raise invalid(f"expected milliseconds since 1970 - at `{at}`")
    return _EPOCH + timedelta(milliseconds=int(text.partition(".")[0]))


def _context(given: Params, rest: Params, entities: Entities) -> dict[str, Any]:
    page = {ours: given[name] for name, ours in _PAGE.items() if name in given}
    context: dict[str, Any] = {"page": page} if page else {}
    for name, ours in _FIELDS.items():
        if name in rest:
            context[ours] = rest.pop(name)
    if "tv" in rest:
        context["library"] = {"name": "snowplow", "version": rest.pop("tv")}
    width, _, height = rest.get("res", "").partition("x")
    if width.isdecimal() and height.isdecimal() and len(rest["res"]) < 20:
        context["screen"] = {"width": int(width), "height": int(height)}
        del rest["res"]
    if entities:
        context["contexts"] = entities
    if left := {name: value for name, value in rest.items() if name not in _PAGE}:
        context["snowplow"] = left
    return context


_PAGE = {"url": "url", "page": "title", "refr": "referrer"}
_FIELDS = {"lang": "locale", "tz": "timezone", "ua": "userAgent", "ip": "ip"}


def _entities(params: Params, limits: Limits, at: str) -> Entities:
    raw = _embedded(params, "co", "cx", limits, at)
    if raw is None:
        return []
    try:
        wrapped = _ENTITIES.decode(raw)
    except _ERRORS as error:
        raise invalid(decode.said(error, f"{at}.co")) from None
    return [{"schema": entity.schema, "data": entity.data} for entity in wrapped.data]


def _embedded(params: Params, plain: str, coded: str, limits: Limits, at: str) -> bytes | None:
    """The JSON in one of two parameters, looked through."""
    text, code = params.pop(plain, None), params.pop(coded, None)
    if code is not None:
        coding = code.encode().translate(_STANDARD).rstrip(b"=")
        try:
            raw = base64.b64decode(coding + b"=" * (-len(coding) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise invalid(f"expected base64 - at `{at}.{coded}`") from None
    elif text is not None:
        raw = text.encode()
    else:
        return None
    junk.sound(raw, limits.depth, f"{at}.{plain}")
    return raw


_STANDARD = bytes.maketrans(b"-_ ", b"+/+")  # a plus that was not escaped in a query is a space

Parsed = tuple[str, str | None, Mapping[str, Any]]


def _page_view(params: Params, entities: Entities, limits: Limits, at: str) -> Parsed:
    return "page", None, {ours: params[name] for name, ours in _PAGE.items() if name in params}


def _ping(params: Params, entities: Entities, limits: Limits, at: str) -> Parsed:
    return "track", "Page Ping", _taken(params, _PING)


def _structured(params: Params, entities: Entities, limits: Limits, at: str) -> Parsed:
    if not params.get("se_ac"):
        raise invalid(f"expected an action - at `{at}.se_ac`")
    properties = _taken(params, _STRUCTURED)
    return "track", str(properties["action"]), properties


def _transaction(params: Params, entities: Entities, limits: Limits, at: str) -> Parsed:
    return "track", "Order Completed", _taken(params, _ORDER)


def _transaction_item(params: Params, entities: Entities, limits: Limits, at: str) -> Parsed:
    """An event of its own, as its tracker may send it in another request than the order. The
    purchase of the order id gets it, whichever comes first (people/commerce.py)."""
    properties = _taken(params, _ORDER_ITEM)
    if "sku" in properties:
        properties = {"product_id": properties["sku"], **properties}
    return "track", "Order Item", properties


def _self_describing(params: Params, entities: Entities, limits: Limits, at: str) -> Parsed:
    raw = _embedded(params, "ue_pr", "ue_px", limits, at)
    if raw is None:
        raise invalid(f"expected an event - at `{at}.ue_pr`")
    try:
        event = _SELF_DESCRIBING.decode(_SELF_DESCRIBING.decode(raw).data)
        data = msgspec.json.decode(event.data)
    except _ERRORS as error:
        raise invalid(decode.said(error, f"{at}.ue_pr")) from None
    params["schema"] = event.schema
    name = _name(event.schema)
    properties = data if isinstance(data, dict) else {} if data is None else {"value": data}
    if name == "snowplow_ecommerce_action":
        return _ecommerce(properties, entities)
    if name == "screen_view":
        shown = properties.get("name")
        return "screen", shown if isinstance(shown, str) else None, properties
    return "track", name, properties


def _name(schema: str) -> str:
    """`link_click` of `iglu:com.vendor/link_click/jsonschema/1-0-1`."""
    match = re.fullmatch(r"iglu:[^/]+/([^/]+)/[^/]+/[^/]+", schema)
    return match[1] if match else schema


def _ecommerce(action: dict[str, Any], entities: Entities) -> Parsed:
    """An action of the ecommerce plugin: what it is about lies in entities beside it."""
    about = [(_name(entity["schema"]), entity["data"]) for entity in entities]
    properties = dict(action)
    if products := [_product(data) for name, data in about if name == "product"]:
        properties["products"] = products
    for name, data in about:
        if name in _ABOUT:
            properties = _renamed(data, _TRANSACTION) | properties
    kind = action.get("type")
    if kind == "transaction":
        return "track", "Order Completed", properties
    return "track", kind if isinstance(kind, str) and kind else "Ecommerce", properties


def _product(given: dict[str, Any]) -> dict[str, Any]:
    return _renamed(given, {"id": "product_id"})


def _renamed(given: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in given.items()}


def _taken(params: Params, names: dict[str, str]) -> dict[str, Any]:
    """Takes parameters out, under our names; what is plainly a number becomes one."""
    found = {ours: params.pop(name) for name, ours in names.items() if name in params}
    return {
        name: msgspec.Raw(value.encode())
        if name in _NUMBERS and _NUMBER.fullmatch(value)
        else value
        for name, value in found.items()
    }


_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?")  # exact in a double, or nearly
_PING = {"pp_mix": "min_x", "pp_max": "max_x", "pp_miy": "min_y", "pp_may": "max_y"}
_STRUCTURED = {
    "se_ca": "category",
    "se_ac": "action",
    "se_la": "label",
    "se_pr": "property",
    "se_va": "value",
}
_ORDER = {
    "tr_id": "order_id",
    "tr_tt": "total",
    "tr_cu": "currency",
    "tr_tx": "tax",
    "tr_sh": "shipping",
    "tr_af": "affiliation",
    "tr_ci": "city",
    "tr_st": "state",
    "tr_co": "country",
}
_ORDER_ITEM = {
    "ti_id": "order_id",
    "ti_sk": "sku",
    "ti_nm": "name",
    "ti_ca": "category",
    "ti_pr": "price",
    "ti_qu": "quantity",
    "ti_cu": "currency",
}
_ABOUT = {"transaction", "refund", "transaction_error", "cart", "checkout_step", "promotion"}
_TRANSACTION = {"transaction_id": "order_id", "revenue": "total"}
_NUMBERS = {*_PING.values(), "value", "total", "tax", "shipping", "price", "quantity"}
_EVENTS: dict[str, Callable[[Params, Entities, Limits, str], Parsed]] = {
    "pv": _page_view,
    "pp": _ping,
    "se": _structured,
    "ue": _self_describing,
    "tr": _transaction,
    "ti": _transaction_item,
}
