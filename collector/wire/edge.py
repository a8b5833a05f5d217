"""What an edge forwards: events as it stored them, with their node and number.

`{"events": [[properties, traits, context, consent, violations, message_id, site, …], …]}`,
told from Segment's batches by its content type. The JSON columns are taken over as they are,
byte for byte; the parser that finds their ends has made sure that they are JSON.
"""

from typing import Annotated, Any, get_type_hints

import msgspec

from collector.config import Limits
from collector.event import JSON_COLUMNS, PLAIN_COLUMNS, TYPES, Event
from collector.wire import junk, segment
from collector.wire.message import CONTENT_TYPE, Call, Request, invalid

CONTENT = "application/vnd.collector.edge+json"
_INT = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_ID = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
_NUMBER = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_TEXT = Annotated[str, msgspec.Meta(min_length=1)]
_OWN = {"node_id": _ID, "node_seq": _NUMBER, "message_id": _TEXT, "site": _TEXT}


def bounded(name: str, kind: Any) -> Any:
    """The type that a column is decoded as: what the log can hold."""
    numbers = {int: _INT, int | None: _INT | None}
    return _OWN.get(name, numbers.get(kind, kind))


_HINTS = get_type_hints(Event)
_Row = msgspec.defstruct(
    "_Row",
    [(name, msgspec.Raw) for name in JSON_COLUMNS]
    + [(name, bounded(name, _HINTS[name])) for name in PLAIN_COLUMNS],
    array_like=True,
    gc=False,
)


class _Body(msgspec.Struct, gc=False):
    events: list[_Row]  # type: ignore[valid-type]


class _Raws(msgspec.Struct, gc=False):
    events: list[msgspec.Raw]


_BODY = msgspec.json.Decoder(_Body)
_ENCODE = msgspec.json.Encoder().encode
_RAWS = msgspec.json.Decoder(_Raws)
_NULL = b"null"
_OBJECTS = 3  # of the JSON columns; consent may be anything, violations is a list
# Where each column of Event stands in a row.
_PLACES = tuple((*JSON_COLUMNS, *PLAIN_COLUMNS).index(name) for name in Event.__struct_fields__)


def parse(request: Request, kind: str, limits: Limits) -> Call:
    """The body of `/v1/import`: an edge's, or a batch of Segment's."""
    if request.headers.get(CONTENT_TYPE) != CONTENT:
        return segment.batch(request, kind, limits)
    return Call(segment.basic_user(request), [], [], forwarded=events(request.body, limits))


def events(body: bytes, limits: Limits) -> list[Event]:
    """The events of a body. Raises Refused: all of them are sound, or none is taken."""
    try:
        _look_through(body, limits.depth)
        rows = _BODY.decode(body).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(str(error)) from None
    if len(rows) > limits.batch_events:
        raise invalid(f"more than {limits.batch_events} events - at `$.events`", 413, "too_large")
    found = [_event(row) for row in rows]
    for index, event in enumerate(found):
        check(event, limits, f"$.events[{index}]")
    return found


def written(events: list[Event]) -> bytes:
    """Events as such a body."""
    return _ENCODE({"events": [_row(event) for event in events]})


def check(event: Event, limits: Limits, at: str) -> None:
    if event.type not in TYPES or len(event.message_id) > limits.message_id_chars:
        raise invalid(f"expected a type and a message id - at `{at}`")


def _row(event: Event) -> list[Any]:
    texts = [getattr(event, name) for name in JSON_COLUMNS]
    raws: list[Any] = [None if text is None else msgspec.Raw(text.encode()) for text in texts]
    return raws + [getattr(event, name) for name in PLAIN_COLUMNS]


def _look_through(body: bytes, depth: int) -> None:
    """Raises Refused where an event holds junk. The look errs on the safe side: one event in ten
    may be walked, and not for that the five hundred beside it."""
    if junk.suspicious(body, depth + 3):  # in an object, in an array, in an array
        for index, raw in enumerate(_RAWS.decode(body).events):
            junk.sound(bytes(raw), depth + 1, f"$.events[{index}]")


def _event(row: Any) -> Event:
    return event_of(list(msgspec.structs.astuple(row)))


def event_of(values: list[Any]) -> Event:
    """From the values of the JSON columns, raw, and then of the others."""
    for at in range(len(JSON_COLUMNS)):
        raw = bytes(values[at])
        if raw != _NULL and raw[:1] != b"{" and at < _OBJECTS:
            raise invalid(f"expected an object - at `{JSON_COLUMNS[at]}`")
        values[at] = None if raw == _NULL else str(raw, "utf-8")
    return Event(*[values[at] for at in _PLACES])
