"""What an edge forwards: events as it stored them, with their node and number.

An array of events, each an array of the columns in the order of `Event`, its JSON columns as
text; told from Segment's batches by its content type. What was read here without anything left
out may go to the log as it came: SQLite takes the same text apart.
"""

import re
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from collector.config import Limits
from collector.event import JSON_COLUMNS, TYPES, Event
from collector.wire import junk, segment
from collector.wire.message import CONTENT_TYPE, Call, Request, invalid

CONTENT = "application/vnd.collector.edge+json"
_INT = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_TEXT = Annotated[str, msgspec.Meta(min_length=1)]
_OWN = {
    "node_id": _TEXT,
    "node_seq": Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)],
    "message_id": _TEXT,
    "site": _TEXT,
    "type": Literal[tuple(sorted(TYPES))],
}
_NODE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def bounded(name: str, kind: Any) -> Any:
    """The type that a column is decoded as: what the log can hold."""
    numbers = {int: _INT, int | None: _INT | None}
    return _OWN.get(name, numbers.get(kind, kind))


_HINTS = get_type_hints(Event)
# Decoded into events at once: another pass over them would cost as much as the decoding.
_Row = msgspec.defstruct(
    "_Row",
    [(name, bounded(name, _HINTS[name])) for name in Event.__struct_fields__],
    bases=(Event,),
    array_like=True,
    frozen=True,
    gc=False,
)


class _Object(msgspec.Struct, gc=False):
    """Any object: its members are parsed, and left."""


_ENCODE = msgspec.json.Encoder().encode
_ROWS = msgspec.json.Decoder(list[_Row])  # type: ignore[valid-type]
_OBJECT = msgspec.json.Decoder(_Object)
_ANYTHING = msgspec.json.Decoder(msgspec.Raw)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # behind an even number of backslashes it is text


def parse(request: Request, kind: str, limits: Limits) -> Call:
    """The body of `/v1/import`: an edge's, or a batch of Segment's."""
    if request.headers.get(CONTENT_TYPE) != CONTENT:
        return segment.batch(request, kind, limits)
    return Call(segment.basic_user(request), [], [], forwarded=events(request.body, limits))


def events(body: bytes, limits: Limits) -> list[Event]:
    """The events of a body. Raises Refused: all of them are sound, or none is taken."""
    try:
        rows: list[Event] = _ROWS.decode(body)
        if not body.isascii():  # columns of a later version are passed over, whatever is in them
            body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(str(error)) from None
    if b"u0000" in body and _NUL.search(body):
        raise invalid("NUL character in text")
    if len(rows) > limits.batch_events:
        raise invalid(f"more than {limits.batch_events} events - at `$`", 413, "too_large")
    longest = limits.message_id_chars
    nodes = {row.node_id or "" for row in rows}
    if not all(map(_NODE.fullmatch, nodes)) or any(len(row.message_id) > longest for row in rows):
        for index, row in enumerate(rows):
            check(row, limits, f"$[{index}]")
    _look_through(rows, limits.depth)
    return rows


def written(events: list[Event]) -> bytes:
    """Events as such a body."""
    return _ENCODE(events)


def check(event: Event, limits: Limits, at: str) -> None:
    """Raises Refused where an id is none."""
    if len(event.message_id) > limits.message_id_chars:
        raise invalid(f"longer than {limits.message_id_chars} - at `{at}.message_id`")
    if not _NODE.fullmatch(event.node_id or ""):
        raise invalid(f"expected 1 to 64 letters, digits, dots, dashes - at `{at}.node_id`")


def _look_through(rows: list[Event], depth: int) -> None:
    """Raises Refused where a JSON column is not sound. All are looked at as one text first, which
    errs on the safe side; then one by one, and only where something may be wrong."""
    decode = _OBJECT.decode
    objects = [t for r in rows for t in (r.properties, r.traits, r.context) if t is not None]
    others = [t for r in rows for t in (r.consent, r.violations) if t is not None]
    try:
        for text in objects:
            decode(text)
        for text in others:
            _ANYTHING.decode(text)
    except (msgspec.DecodeError, RecursionError):
        _name_unsound(rows, depth)
    if junk.suspicious(",".join(objects + others).encode(), depth):
        _name_unsound(rows, depth)


def _name_unsound(rows: list[Event], depth: int) -> None:
    for index, row in enumerate(rows):
        for name in JSON_COLUMNS:
            text = getattr(row, name)
            if text is not None:
                at = f"$[{index}].{name}"
                junk.sound(text.encode(), depth, at)
                _check_kind(text, name, at)


def _check_kind(text: str, name: str, at: str) -> None:
    expected = _OBJECT if name in ("properties", "traits", "context") else _ANYTHING
    try:
        expected.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(f"{error} - at `{at}`") from None
