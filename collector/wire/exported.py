"""A line of `collector export`: an event as it was stored, read back.

What `exact` holds (store/exports.py) takes the place of the column that was shown without its
line breaks.
"""

from typing import Any, get_args, get_type_hints

import msgspec

from collector.config import Limits
from collector.event import JSON_COLUMNS, PLAIN_COLUMNS, Event
from collector.wire import edge, junk
from collector.wire.decode import said
from collector.wire.message import invalid

_HINTS = get_type_hints(Event)
_NULL = msgspec.Raw(b"null")


def _field(name: str) -> tuple[Any, ...]:
    """A column of its type; what may be NULL may be left out, in lines that others wrote."""
    kind = edge.bounded(name, _HINTS[name])
    optional = type(None) in get_args(_HINTS[name]) and name not in ("node_id", "node_seq")
    return (name, kind, None) if optional else (name, kind)


_Line = msgspec.defstruct(
    "_Line",
    [(name, msgspec.Raw, _NULL) for name in JSON_COLUMNS]
    + [_field(name) for name in PLAIN_COLUMNS]
    + [("exact", dict[str, str | None] | None, None)],
    kw_only=True,
    gc=False,
)
_LINE = msgspec.json.Decoder(_Line)
_JSON = msgspec.json.Decoder()
_OBJECTS = 3  # of the JSON columns; consent may be anything, violations is a list
# Where each column of Event stands in a line.
_PLACES = tuple((*JSON_COLUMNS, *PLAIN_COLUMNS).index(name) for name in Event.__struct_fields__)


def event(line: bytes, limits: Limits) -> Event:
    """The event of a line. Raises Refused."""
    try:
        read = _LINE.decode(line)
        if b"\\u" in line:  # only so can NUL or half a character stand in a text
            junk.check(line, "$")
        values = list(msgspec.structs.astuple(read))
        exact = values.pop()
        if exact:
            _restore(values, exact)
        for at, name in enumerate(JSON_COLUMNS):
            if (raw := bytes(values[at])) != b"null":
                junk.sound(raw, limits.depth, f"$.{name}")
    except msgspec.ValidationError as error:
        raise invalid(said(error, "$")) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(said(error, "$"), code="invalid_json") from None
    found = _event(values)
    edge.check(found, limits, "$")
    return found


def _event(values: list[Any]) -> Event:
    """From the values of the JSON columns, raw, and then of the others."""
    for at, name in enumerate(JSON_COLUMNS):
        raw = bytes(values[at])
        if raw != b"null" and raw[:1] != b"{" and at < _OBJECTS:
            raise invalid(f"expected an object - at `{name}`")
        values[at] = None if raw == b"null" else str(raw, "utf-8")
    return Event(*[values[at] for at in _PLACES])


def _restore(values: list[object], exact: dict[str, str | None]) -> None:
    """Believed only where it says the same as what is shown."""
    for at, name in enumerate(JSON_COLUMNS):
        text, shown = exact.get(name), bytes(values[at])  # type: ignore[call-overload]
        if text is None:
            continue
        if text.replace("\n", " ").replace("\r", " ").encode() != shown:
            raise invalid(f"says something else than the column - at `$.exact.{name}`")
        _JSON.decode(text)  # a line break inside a string would make it none
        values[at] = msgspec.Raw(text.encode())
