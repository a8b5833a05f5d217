from collections.abc import Callable, Iterable, Sequence
from typing import Any

COLUMNS: tuple[str, ...]

class Row:
    """An event as the log takes it: whose it is, `identity` as in `Event`, its array in SQLite's
    binary JSON, and which columns it needs (rows.PLAIN, WITH_TRAITS, WITH_ALL)."""

    site: str
    received_at: int
    identity: bytes
    data: bytes
    rare: int

class Plain:
    """A request understood: its write key, and who the visitor is by the last event that says
    so."""

    key: str | None
    visitor: str | None

    def rows(
        self,
        site: str,
        received_at: int,
        ip: str | None,
        user_agent: str | None,
        bot: bool,
        scrub: bool,
        /,
    ) -> list[Row] | None:
        """Its rows; None when it is not plain after all. `bot`: what `user_agent` says."""

class Decoder:
    """The settings. `scrub` is asked for texts in which something may be to take out, for all of
    them with `scrub_all`, for none whose parameters are all `harmless`; `judge` for events that
    are called as one of `known`, not for `purchases` and `leads` in which nothing can be wrong;
    `is_bot` for the agent that an event names."""

    def __init__(
        self,
        *,
        event_bytes: int,
        message_id_chars: int,
        batch_events: int,
        depth: int,
        skew_ms: int,
        scrub: Callable[[str], str | None],
        scrub_all: bool,
        harmless: set[str],
        purchases: frozenset[str],
        leads: frozenset[str],
        known: frozenset[str],
        judge: Callable[[str, str | None], str | None],
        is_bot: Callable[[str], bool],
    ) -> None: ...
    def single(self, body: bytes, kind: str, /) -> Plain | None:
        """One call of that kind; None where something in it is unusual."""

    def batch(self, body: bytes, /) -> Plain | None:
        """Several calls, `{"batch": [...]}`."""

    def query(self, query: str, page: str | None, /) -> Plain | None:
        """The event of a GIF's query; `page`: where it is, unless the query says so."""

class Head:
    """What ingest/heads.py's Expression is in Python."""

    def __init__(self, pieces: tuple[bytes, ...], slots: tuple[int, ...]) -> None: ...
    def match(
        self, data: bytes, /
    ) -> (
        tuple[bytes, str | None, str | None, str | None, str | None, str | None, str | None] | None
    ): ...

class Table:
    """What store/window.py's Table is in Python."""

    def __init__(self, capacity: int, bits: int, trim_at: int) -> None: ...
    def candidates(self, keys: Iterable[int], newest: int, /) -> list[int]: ...
    def add_unseen(self, keys: Sequence[int], first_seq: int, /) -> bool: ...
    def add(self, keys: Iterable[int], first_seq: int, /) -> None: ...
    def remove(self, keys: Sequence[int], first_seq: int, /) -> None: ...

class Inserts:
    """One batch at a time to the writing thread and back, without the interpreter lock. Made on
    that thread, right after its connection has loaded this library as an extension; raises
    RuntimeError where it has not, or where SQLite refuses a statement.

    Parameters of a statement: 1 the batch, 2 seq of its first event, 3 the node's id. `told`: a
    pipe that gets a byte when a batch is inserted and when it is synced, which is apart from the
    commit: into the file `wal`, the write-ahead log's; -1: nothing is synced. The connection folds
    that log back itself only from `limit` pages on, or when it is to `finish`."""

    pages: int  # in the write-ahead log after the last commit

    def __init__(self, statements: tuple[str, ...], told: int, limit: int, wal: int) -> None: ...
    def put(
        self, which: int, events: bytes, first_seq: int, count: int, node_id: bytes, mark: int, /
    ) -> bool:
        """Have the batch inserted, and its last seq written to the file `mark` once it is synced.
        True: `serve` is to be called on the thread. Raises RuntimeError while another is."""

    def serve(self) -> None:
        """Do what is put; returns when told to leave, or after a second with nothing to do."""

    def leave(self) -> None:
        """Have `serve` return once the batch under way is done."""

    def outcome(self) -> tuple[int, str] | None:
        """SQLite's extended result code, 0 for a commit, and what it says; None: not done yet."""

    def synced(self) -> tuple[int, int, int]:
        """How many batches were inserted, how many of them are on disk, and the errno of a sync
        that failed: none is tried until `recovered`."""

    def recovered(self) -> None:
        """All that was inserted is on disk by other means."""

    def finish(self) -> None:
        """Have the next commit fold back what is left, so that the log can begin anew."""

    def close(self) -> None:
        """On the writing thread, before its connection is closed."""

def pack(events: Sequence[Any], astuple: Callable[[Any], tuple[Any, ...]], /) -> tuple[bytes, int]:
    """One array of all rows, `events` being a list of rows and of what `astuple` takes apart, and
    the columns that they need."""
