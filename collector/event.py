"""The one event that all parts share: a row of the log."""

from typing import NamedTuple

import msgspec

TYPES = frozenset({"identify", "track", "page", "screen", "group", "alias"})


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One accepted call, in the order of the columns of `events` (without `seq`).

    Times are milliseconds since 1970 UTC; `properties`, `traits`, `context`, `consent` and
    `violations` are JSON text, never decoded on the way to the log. `node_id` and `node_seq`
    are None for an event accepted here: the log fills them in.

    array_like: a list of events encodes to a JSON array of arrays in compiled code, which is
    how a batch reaches SQLite (rows.py). gc=False: holds no cycles, and 27 references
    less for the collector to walk.
    """

    message_id: str
    site: str
    type: str
    event: str | None
    user_id: str | None
    anonymous_id: str | None
    group_id: str | None
    previous_id: str | None
    timestamp: int
    received_at: int
    sent_at: int | None
    original_timestamp: int | None
    url: str | None
    path: str | None
    title: str | None
    referrer: str | None
    properties: str | None
    traits: str | None
    context: str | None
    ip: str | None
    user_agent: str | None
    consent: str | None = None
    trusted: int | None = None
    bot: int | None = None
    violations: str | None = None
    node_id: str | None = None
    node_seq: int | None = None

    @property
    def identity(self) -> bytes:
        return identity(self.site, self.message_id)


def identity(site: str, message_id: str) -> bytes:
    """By which an event is stored once."""
    return f"{site}\0{message_id}".encode("utf-8", "surrogatepass")


# Between edge and centre an event is one JSON array in this order (store/outgoing.py writes it,
# wire/edge.py reads it). New columns go to the end of Event.
JSON_COLUMNS = ("properties", "traits", "context", "consent", "violations")
PLAIN_COLUMNS = tuple(n for n in Event.__struct_fields__ if n not in JSON_COLUMNS)

# Events of one visitor lie in one lane and keep their order; lanes travel side by side. Edge and
# centre must agree, also across versions: the rule of `lane` is never changed.
LANES = 16


def lane(event: Event) -> int:
    """From the last three characters of the visitor's id, as SQLite can compute it too."""
    visitor = event.anonymous_id or event.user_id or event.message_id
    last = visitor[-3:]
    return (ord(last[-1]) + 3 * ord(last[-2:][0]) + 5 * ord(last[0])) % LANES if last else 0


class Reject(msgspec.Struct, frozen=True, gc=False):
    """What was refused under a valid key: a row of `rejected`."""

    site: str
    received_at: int
    index: int
    status: int
    code: str
    message: str
    body: bytes


class Outgoing(NamedTuple):
    """An event as an upstream gets it: its number here, its lane, whose it is, when it came, its
    text."""

    seq: int
    lane: int
    visitor: str
    received_at: int
    text: str
