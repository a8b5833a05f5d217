"""Items to events: the rules of time, page fields, ids and limits that all protocols share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from collector.clock import uuid7
from collector.config import Limits
from collector.errors import Refused
from collector.event import TYPES, Event
from collector.wire import bots
from collector.wire.message import ABSENT, Call, Item, Refusal, invalid
from collector.wire.privacy import RULES, Declined, Rules
from collector.wire.scrub import Scrubber


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """What the server knows of a request: whose it is, when and from where it came.

    `ip` is already masked; `masked` does the same for an address that an event carries.
    `bot`: what `user_agent` says, where it is a visitor's. `scrub`: None when the request
    holds nothing that it would take out."""

    site: str
    received_at: int
    ip: str | None
    user_agent: str | None
    gpc: bool
    limits: Limits
    masked: Callable[[str], str | None]
    dnt: bool = False
    bot: int | None = None
    rules: Rules = RULES
    scrub: Scrubber | None = None


class _Page(msgspec.Struct, gc=False):
    url: str | None = None
    path: str | None = None
    title: str | None = None
    referrer: str | None = None


class _Context(msgspec.Struct, rename="camel", gc=False):
    page: _Page | None = None
    user_agent: str | None = None
    ip: str | None = None
    consent: msgspec.Raw = ABSENT
    gpc: bool | None = None
    dnt: bool | None = None
    bot: bool | None = None


Clock = tuple[int | None, int]
_PAGE = msgspec.json.Decoder(_Page)
_CONTEXT = msgspec.json.Decoder(_Context)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TIME = msgspec.json.Decoder(datetime | None)
# The last two are what RudderStack's clients send when nobody has said anything.
_SAY_NOTHING = (b"{}", b'""', b'{"All":true}', b'{"All": true}')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_NO_PAGE = _Page()
_NO_CONTEXT = _Context()
_ENCODE = msgspec.json.Encoder().encode


def events(call: Call, arrival: Arrival) -> list[Event]:
    """The events of a call; the ones that break a rule are moved to `call.refused`, the ones
    whose visitor said no are counted in `call.declined`."""
    clock = _clock(call.sent_at, arrival)
    try:
        return [_event(item, call, arrival, clock) for item in call.items]
    except (Refused, Declined):
        return _one_by_one(call, arrival, clock)


def _one_by_one(call: Call, arrival: Arrival, clock: Clock) -> list[Event]:
    built: list[Event] = []
    taken = {refusal.index for refusal in call.refused}
    places = (i for i in range(len(call.items) + len(taken)) if i not in taken)
    for index, item in zip(places, list(call.items), strict=True):
        try:
            built.append(_event(item, call, arrival, clock))
        except Refused as error:
            if call.batched:
                error = invalid(error.message.replace("`$", f"`$.batch[{index}]"), error.status)
            call.refused.append(Refusal(index, error, _ENCODE(item)))
        except Declined:
            call.declined += 1
    call.refused.sort(key=lambda refusal: refusal.index)
    return built


def _event(item: Item, call: Call, arrival: Arrival, clock: Clock) -> Event:
    kind = item.type
    if kind not in TYPES:
        raise invalid(f"expected one of {', '.join(sorted(TYPES))} - at `$.type`")
    message_id = item.message_id or uuid7(arrival.received_at)
    if len(message_id) > arrival.limits.message_id_chars:
        raise invalid(
            f"longer than {arrival.limits.message_id_chars} characters - at `$.messageId`"
        )
    name = item.event if kind == "track" else item.name
    if kind == "track" and not name:
        raise invalid("expected a name - at `$.event`")
    properties = context = None
    if item.properties is not ABSENT:
        properties = _object(item.properties, "properties")
    if item.context is not ABSENT:
        context = _object(item.context, "context")
    if arrival.scrub is not None:
        properties, context = arrival.scrub.text(properties), arrival.scrub.text(context)
    ctx = _NO_CONTEXT if context is None else _decoded(_CONTEXT, context, _context_slowly)
    page = ctx.page or _NO_PAGE
    if kind == "page" and properties is not None:
        page = _over(_decoded(_PAGE, properties, _page_slowly), page)
    traits = _object(item.traits, "traits") if item.traits is not ABSENT else None
    if traits is None and kind == "identify" and context is not None:
        traits = _traits_of(context)  # where RudderStack's clients put them
    if item.category is not ABSENT and kind in ("page", "screen"):
        properties = _with(properties, "category", item.category, b'"')
    if item.integrations is not ABSENT:
        context = _with(context, "integrations", item.integrations, b"{")
    ip, consent = arrival.ip, None
    if ctx.ip is not None and context is not None:
        ip, context = _own_address(ctx.ip, context, arrival)
    gpc, dnt = arrival.gpc or ctx.gpc, arrival.dnt or ctx.dnt
    if ctx.consent is not ABSENT or gpc or dnt:
        consent = arrival.rules.consent(ctx.consent, bool(gpc), bool(dnt))
    bot = arrival.bot
    if ctx.bot or (ctx.user_agent is not None and bots.known(ctx.user_agent)):
        bot = 1
    if item.sent_at is not call.sent_at and item.sent_at is not None:
        clock = _clock(item.sent_at, arrival)
    sent_at, shift = clock
    stamp = item.timestamp
    if stamp is None and item.original_timestamp is not ABSENT:
        stamp = _stamp(item.original_timestamp)
    original = None if stamp is None else to_ms(stamp)
    if original is None:
        timestamp = arrival.received_at
    elif call.historical:
        timestamp = original
    else:
        timestamp = min(original + shift, arrival.received_at)
    return Event(
        message_id,
        arrival.site,
        kind,
        name or None,
        _text(item.user_id) if item.user_id is not None else None,
        _text(item.anonymous_id) if item.anonymous_id is not None else None,
        _text(item.group_id) if item.group_id is not None else None,
        _text(item.previous_id) if item.previous_id is not None else None,
        timestamp,
        arrival.received_at,
        sent_at,
        original,
        page.url,
        page.path or (_path_of(page.url) if page.url else None),
        page.title,
        page.referrer,
        properties,
        traits,
        context,
        ip,
        ctx.user_agent or arrival.user_agent,
        consent,
        None,
        bot,
    )


def _object(raw: msgspec.Raw, name: str) -> str | None:
    """JSON text of an object; None when absent, null or empty."""
    text = str(raw, "utf-8")
    if not text or text == "null":
        return None
    if text[0] != "{":
        raise invalid(f"expected an object - at `$.{name}`")
    return text


def _with(text: str | None, name: str, value: msgspec.Raw, opener: bytes) -> str | None:
    """JSON text of an object that has `value` too, unless it has that name already or the value
    says nothing or is of another kind."""
    raw = bytes(value)
    if raw[:1] != opener or raw in _SAY_NOTHING:
        return text
    fields = _FIELDS.decode(text) if text else {}
    return _ENCODE({name: value} | fields).decode()


def _traits_of(context: str) -> str | None:
    raw = _FIELDS.decode(context).get("traits", ABSENT)
    return str(raw, "utf-8") if bytes(raw)[:1] == b"{" else None


def _stamp(raw: msgspec.Raw) -> datetime | None:
    try:
        stamp: datetime | None = _TIME.decode(raw)
    except msgspec.DecodeError as error:
        raise invalid(f"{error} - at `$.originalTimestamp`") from None
    return stamp


def _text(value: int | str) -> str | None:
    return str(value) or None


def _clock(sent: datetime | None, arrival: Arrival) -> Clock:
    """What a client says of its clock: sentAt in milliseconds, and what to add to its times,
    which is nothing unless the clock is off by more than the setting."""
    if sent is None:
        return None, 0
    sent_ms = to_ms(sent)
    skew = arrival.received_at - sent_ms
    return sent_ms, skew if abs(skew) > arrival.limits.clock_skew_s * 1000 else 0


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970 UTC, the rest cut off; a time without zone is UTC."""
    try:
        return (at - _EPOCH) // _MS  # half the time of timestamp(), and exact
    except TypeError:
        return (at.replace(tzinfo=UTC) - _EPOCH) // _MS


def _over(own: _Page, base: _Page) -> _Page:
    """A page's own properties, what they leave out taken from its context."""
    return _Page(
        own.url or base.url,
        own.path or (None if own.url else base.path),
        own.title or base.title,
        own.referrer if own.referrer is not None else base.referrer,
    )


def _path_of(url: str) -> str | None:
    """The path of an http address, None of anything else."""
    _, sep, rest = url.partition("://")
    if not sep:
        return None
    for mark in "?#":
        rest = rest.partition(mark)[0]
    return "/" + rest.partition("/")[2]


def _decoded(decoder: msgspec.json.Decoder[Any], text: str, slowly: Callable[[Any], Any]) -> Any:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        return slowly(msgspec.json.decode(text))


def _page_slowly(value: dict[str, Any]) -> _Page:
    """Only the fields that are text: a number as title spoils neither url nor event."""
    return _Page(
        **{
            name: value[name]
            for name in _Page.__struct_fields__
            if isinstance(value.get(name), str)
        }
    )


def _context_slowly(value: dict[str, Any]) -> _Context:
    page, agent, ip = value.get("page"), value.get("userAgent"), value.get("ip")
    return _Context(
        page=_page_slowly(page) if isinstance(page, dict) else None,
        user_agent=agent if isinstance(agent, str) else None,
        ip=ip if isinstance(ip, str) else "" if ip is not None else None,
        consent=msgspec.Raw(_ENCODE(value["consent"])) if "consent" in value else ABSENT,
        **{name: value.get(name) in (True, "1") for name in ("gpc", "dnt", "bot")},
    )


def _own_address(text: str, context: str, arrival: Arrival) -> tuple[str | None, str]:
    """An address that a server sends for its visitor is treated as the visitor's own: masked
    by the same setting, in the context too."""
    ip = arrival.masked(text)
    value = msgspec.json.decode(context, type=dict[str, msgspec.Raw])
    if ip is None:
        del value["ip"]
    else:
        value["ip"] = msgspec.Raw(_ENCODE(ip))
    return ip or arrival.ip, _ENCODE(value).decode()
