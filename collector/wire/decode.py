"""Bytes to items: the whole body in one go, or event by event once something is wrong."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

import msgspec

from collector.config import Limits
from collector.errors import Refused
from collector.wire import junk
from collector.wire.message import ABSENT, Call, Item, Refusal, invalid

T = TypeVar("T")

ITEM = msgspec.json.Decoder(Item)
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TEXTS = (
    "type",
    "message_id",
    "event",
    "name",
    "user_id",
    "anonymous_id",
    "group_id",
    "previous_id",
)
_CAMEL = dict(zip(Item.__struct_fields__, Item.__struct_encode_fields__, strict=True))


class _Batch(msgspec.Struct, rename="camel", gc=False):
    batch: list[Item]
    write_key: str | None = None
    sent_at: datetime | None = None
    context: msgspec.Raw = ABSENT
    integrations: msgspec.Raw = ABSENT
    fresh: msgspec.Raw = ABSENT
    reset: msgspec.Raw = ABSENT


class _Envelope(msgspec.Struct, rename="camel", gc=False):
    """A batch without its events."""

    write_key: str | None = None
    sent_at: datetime | None = None
    context: msgspec.Raw = ABSENT
    integrations: msgspec.Raw = ABSENT
    fresh: msgspec.Raw = ABSENT
    reset: msgspec.Raw = ABSENT


class _Key(msgspec.Struct, rename="camel", gc=False):
    write_key: str | None = None


_BATCH = msgspec.json.Decoder(_Batch)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_KEY = msgspec.json.Decoder(_Key)
_ANY = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()


def single(body: bytes, kind: str, limits: Limits) -> Call:
    """The body of `/v1/track` and its like: one event of type `kind`."""
    if len(body) <= limits.event_bytes and not junk.suspicious(body, limits.depth):
        try:
            item = ITEM.decode(body)
        except _ERRORS:
            pass  # named below
        else:
            item.type = kind
            return Call(item.write_key, [item], [], item.sent_at)
    try:
        if len(body) > limits.event_bytes:
            raise invalid(f"over {limits.event_bytes} bytes - at `$`", 413, "too_large")
        item = _item(body, limits, "$")
    except Refused as error:
        return Call(_key(body), [], [Refusal(0, error, body)])
    item.type = kind
    return Call(item.write_key, [item], [], item.sent_at)


def batch(body: bytes, limits: Limits) -> Call:
    """The body of `/v1/batch`: `{batch: [...], writeKey, sentAt, context}`. Raises Refused
    when the envelope is unsound; an unsound event is refused alone."""
    if not junk.suspicious(body, limits.depth + 2):  # in an object, in an array
        try:
            whole = _BATCH.decode(body)
        except _ERRORS:
            pass  # named event by event below
        else:
            check_count(len(whole.batch), limits)
            if not _any_too_large(body, whole.batch, limits):
                _share(whole.batch, whole, limits)
                return _call(whole, whole.batch)
    return _event_by_event(body, limits)


def _event_by_event(body: bytes, limits: Limits) -> Call:
    envelope, spans = split(body, "batch", _ENVELOPE)
    check_count(len(spans), limits)
    call = _call(envelope, [])
    for index, (start, end) in enumerate(spans):
        raw, at = body[start:end], f"$.batch[{index}]"
        try:
            if len(raw) > limits.event_bytes:
                raise invalid(f"over {limits.event_bytes} bytes - at `{at}`", 413, "too_large")
            call.items.append(_item(raw, limits, at))
        except Refused as error:
            call.refused.append(Refusal(index, error, raw))
    _share(call.items, envelope, limits)
    return call


def split(
    body: bytes, name: str, decoder: msgspec.json.Decoder[T]
) -> tuple[T, list[tuple[int, int]]]:
    """A body without the elements of its top-level array `name`, and where each of them lies."""
    spans = list(_elements(body, name))
    rest = body if not spans else body[: spans[0][0]] + body[spans[-1][1] :]
    try:
        envelope = decoder.decode(rest)
    except _ERRORS as error:
        raise invalid(said(error, "$"), code="invalid_json") from None
    junk.check(rest, "$")
    return envelope, spans


def _call(batch: _Batch | _Envelope, items: list[Item]) -> Call:
    call = Call(batch.write_key, items, [], batch.sent_at, batched=True)
    if batch.fresh is not ABSENT or batch.reset is not ABSENT:
        call.fresh, call.reset = bytes(batch.fresh) == b"true", bytes(batch.reset) == b"true"
    return call


def _item(raw: bytes, limits: Limits, at: str) -> Item:
    if junk.deeper_than(raw, limits.depth):
        raise invalid(f"nested deeper than {limits.depth} - at `{at}`")
    try:
        item = ITEM.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(said(error, at)) from None
    except _ERRORS as error:
        raise invalid(said(error, at), code="invalid_json") from None
    if junk.suspicious(raw, limits.depth):
        _check_item(item, at)
    return item


def _check_item(item: Item, at: str) -> None:
    for name in _TEXTS:
        value = getattr(item, name)
        if isinstance(value, str):
            junk.check_text(value, f"{at}.{_CAMEL[name]}")
    for name in ("properties", "traits", "context", "integrations", "category"):
        raw = bytes(getattr(item, name))
        if raw:
            junk.check(raw, f"{at}.{name}")


def _any_too_large(body: bytes, items: list[Item], limits: Limits) -> bool:
    """True when an event may be too large, as far as the whole body allows it."""
    if len(body) <= limits.event_bytes or not items:
        return False
    sizes = [len(_ENCODER.encode(item)) for item in items]
    unseen = max(0, len(body) - sum(sizes))  # fields that are not kept, the envelope
    return max(sizes) + unseen > limits.event_bytes


def check_count(count: int, limits: Limits) -> None:
    if count > limits.batch_events:
        raise invalid(f"over {limits.batch_events} events - at `$.batch`", 413, "too_large")


def _share(items: list[Item], batch: _Batch | _Envelope, limits: Limits) -> None:
    """A batch's context and integrations are each item's, the item's own keys winning (as in
    Segment's API). They count as if each had brought them: a small body must not become a
    thousand times as much."""
    for name in ("context", "integrations"):
        raw = getattr(batch, name)
        if raw is ABSENT or bytes(raw) == b"null":
            continue
        size = len(bytes(raw))
        if size > limits.event_bytes or size * len(items) > limits.batch_bytes:
            each = f"{size} bytes for each of {len(items)} events are too much"
            raise invalid(f"{each} - at `$.{name}`", 413, "too_large")
        try:
            base = _ANY.decode(raw)
        except _ERRORS as error:
            raise invalid(said(error, f"$.{name}")) from None
        for item in items:
            setattr(item, name, _over(getattr(item, name), base))


def _over(own: msgspec.Raw, base: dict[str, msgspec.Raw]) -> msgspec.Raw:
    if own is ABSENT or bytes(own) == b"null":
        return msgspec.Raw(_ENCODER.encode(base))
    try:
        return msgspec.Raw(_ENCODER.encode(base | _ANY.decode(own)))
    except _ERRORS:
        return own  # no object: refused by itself where its event is built


def _key(body: bytes) -> str | None:
    """The write key of a body whose event is unsound, so that the refusal has an owner."""
    try:
        return _KEY.decode(body).write_key
    except _ERRORS:
        return None


def said(error: Exception, at: str) -> str:
    """msgspec's words with the place in our batch: ``… - at `$.batch[3].userId` ``."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 - at `{at}`"
    if isinstance(error, RecursionError):
        return f"nested too deep - at `{at}`"
    text, _, place = str(error).partition(" - at `$")
    return f"{text} - at `{at}{place.rstrip('`')}`"


_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
_AFTER_KEY = re.compile(rb"\s*:\s*\[")


def _elements(body: bytes, name: str) -> Iterator[tuple[int, int]]:
    """Start and end of each element of the top-level array `name`, by brackets and strings
    alone: it works where decoding cannot (too deep, NaN), and needs no recursion."""
    start = _array_start(body, name)
    level, begin = 0, start
    for token in _TOKENS.finditer(body, start):
        char = token[0]
        if char in (b"[", b"{"):
            level += 1
        elif char == b"," and level == 0:
            yield _trimmed(body, begin, token.start())
            begin = token.end()
        elif char in (b"]", b"}"):
            level -= 1
            if level < 0:
                if char != b"]":
                    break
                if body[begin : token.start()].strip() or begin != start:
                    yield _trimmed(body, begin, token.start())
                return
    raise invalid(f"JSON is malformed: {name} is not closed - at `$.{name}`", code="invalid_json")


def _array_start(body: bytes, name: str) -> int:
    level, quoted = 0, f'"{name}"'.encode()
    for token in _TOKENS.finditer(body):
        char = token[0]
        if char in (b"[", b"{"):
            level += 1
        elif char in (b"]", b"}"):
            level -= 1
        elif level == 1 and char == quoted and body.lstrip()[:1] == b"{":
            opened = _AFTER_KEY.match(body, token.end())
            if opened:
                return opened.end()
    try:
        (_BATCH if name == "batch" else _ANY).decode(body)
    except _ERRORS as error:
        kind = "invalid_event" if isinstance(error, msgspec.ValidationError) else "invalid_json"
        raise invalid(said(error, "$"), code=kind) from None
    raise invalid(f"expected an array - at `$.{name}`")


def _trimmed(body: bytes, start: int, end: int) -> tuple[int, int]:
    raw = body[start:end]
    return start + len(raw) - len(raw.lstrip()), end - (len(raw) - len(raw.rstrip()))
