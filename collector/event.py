"""The one event that all parts share: a row of the log."""

import msgspec

TYPES = frozenset({"identify", "track", "page", "screen", "group", "alias"})


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One accepted call, in the order of the columns of `events` (without `seq`).

    Times are milliseconds since 1970 UTC; `properties`, `traits`, `context`, `consent` and
    `violations` are JSON text, never decoded on the way to the log. `node_id` and `node_seq`
    are None for an event accepted here: the log fills them in.

    array_like: a list of events encodes to a JSON array of arrays in compiled code, which is
    how a batch reaches SQLite (store/log.py). gc=False: holds no cycles, and 27 references
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


class Reject(msgspec.Struct, frozen=True, gc=False):
    """What was refused under a valid key: a row of `rejected`."""

    site: str
    received_at: int
    index: int
    status: int
    code: str
    message: str
    body: bytes
