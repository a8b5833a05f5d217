"""Events on their way to the log: as objects, or as rows that compiled code has made of a body.

What nearly all clients send goes from bytes to a row in 2 to 3 µs, where decoding, checks and event
in Python take 9 (wire/plain.py; the Python decides whatever is unusual, and both say the same of
every body).

Either way a batch reaches SQLite as one JSON array of arrays: as text (msgspec), or in SQLite's
binary form (https://sqlite.org/jsonb.html), which saves it 2 µs an event of taking text apart.
"""

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from collector import compiled
from collector.compiled import COMPILED, Row
from collector.event import Event

Entry = Event | Row
TRAITS = "traits"
# Columns that are empty in most batches, beside the traits.
RARE = (
    "group_id",
    "previous_id",
    "consent",
    "trusted",
    "bot",
    "violations",
    "node_id",
    "node_seq",
)
PLAIN, WITH_TRAITS, WITH_ALL = 0, 1, 2

_rare = attrgetter(*RARE)
_NOTHING_RARE = {(None,) * len(RARE)}
_encode = msgspec.json.Encoder().encode
_astuple = msgspec.structs.astuple


def packed(events: Sequence[Entry]) -> tuple[bytes | str, int]:
    """A batch as SQLite takes it, and the columns that it needs (PLAIN, WITH_TRAITS, WITH_ALL).
    Raises UnicodeError, ValueError or OverflowError for what cannot be written."""
    if COMPILED:
        return compiled.pack(events, _astuple)
    given = [event for event in events if isinstance(event, Event)]
    rare = WITH_ALL if set(map(_rare, given)) != _NOTHING_RARE else PLAIN
    if rare == PLAIN and any(event.traits is not None for event in given):
        rare = WITH_TRAITS
    return str(_encode(given), "utf-8"), rare


def shown(event: Entry) -> bytes:
    """For an operator, who is to see what could not be stored."""
    if isinstance(event, Event):
        return repr(event).encode("utf-8", "backslashreplace")
    return event.data
