"""The log: batches in, one transaction each, every event once within the window.

A batch reaches SQLite as one JSON array (rows.py) and is taken apart there, in compiled code and
without the interpreter lock: 7 µs an event as text and 5 as JSONB, against 11 µs for multi-row
VALUES with bound parameters, and any batch size is one prepared statement. Events alone, the
common case, are a table to it (c/packed.h): a fifth less CPU in all. Row by row (executemany) the
lock is fought for at every row and the rate falls to 1,000/s beside a busy event loop.

Invariants: `last_seq` and the window move only after COMMIT has returned; one batch is under
way at a time; node_seq of an event accepted here is its seq, which is never used again.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import xxhash
from pysqlite3 import dbapi2 as sqlite

from collector import rows
from collector.errors import BadRow, CollectorError
from collector.event import Event, Reject, identity
from collector.rows import Entry
from collector.store import arrivals, cursors
from collector.store import database as db
from collector.store.disk import PageCache
from collector.store.inserts import Durable
from collector.store.window import SEGMENT, Window, read_back

log = logging.getLogger(__name__)

E = TypeVar("E", bound=Entry)
_COLUMNS = Event.__struct_fields__
_LEFT_OUT = {rows.PLAIN: (*rows.RARE, rows.TRAITS), rows.WITH_TRAITS: rows.RARE, rows.WITH_ALL: ()}


def _of_json(column: str) -> str:
    """As a path: of a number alone SQLite makes one first, at each value."""
    return f"value ->> '$[{_COLUMNS.index(column)}]'"


def _insert_statement(rare: int, value: Callable[[str], str], place: str, table: str) -> str:
    """Parameters: 1 JSON array of events, 2 seq of the first, 3 this node's id.

    Without the rare columns where a batch has none in them: taking a column out of the JSON
    costs 0.2 µs, also when it is null."""
    source = {name: value(name) for name in _COLUMNS if name not in _LEFT_OUT[rare]}
    source["node_id"], source["node_seq"] = "?3", f"?2 + {place}"
    if rare == rows.WITH_ALL:
        source["node_id"] = f"coalesce({value('node_id')}, ?3)"
        source["node_seq"] = f"coalesce({value('node_seq')}, ?2 + {place})"
    return (
        f"INSERT INTO events (seq, {', '.join(source)}) "  # noqa: S608
        f"SELECT ?2 + {place}, {', '.join(source.values())} FROM {table}"
    )


INSERT = {rare: _insert_statement(rare, _of_json, "key", "jsonb_each(?1)") for rare in _LEFT_OUT}
# The same where the batch is a table (c/packed.h).
_INSERT_PACKED = tuple(_insert_statement(rare, str, "rowid", "packed_events") for rare in _LEFT_OUT)
_REJECT = (
    "INSERT INTO rejected (site, received_at, batch_index, status, code, message, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_EXPIRE_REJECTS = (
    "DELETE FROM rejected WHERE site = ?1 AND id <= "
    "(SELECT id FROM rejected WHERE site = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"
)


class Appended(msgspec.Struct, frozen=True):
    """What became of a batch."""

    stored: int
    duplicates: int
    rejects_expired: int
    durable: Durable | None = None  # None: it is on disk


class Prepared(msgspec.Struct, frozen=True):
    """What of an insert can be done before its turn."""

    keys: list[int]  # of `Window.hash`
    packed: bytes | str
    rare: int


class _Work(msgspec.Struct, frozen=True):
    """One transaction, ready for the writing thread."""

    rare: int
    events: bytes | str
    count: int
    first_seq: int
    node_id: str
    rejects: list[Reject]
    rejected_per_site: int
    mark: int
    note: arrivals.Note | None

    @property
    def alone(self) -> bool:
        """Events and nothing else: one statement, which is a transaction by itself."""
        return bool(self.count and not (self.rejects or self.note))


class EventLog:
    """Appends to the log; made by `open_log`, used by one task."""

    def __init__(
        self,
        database: db.Database,
        node_id: str,
        last_seq: int,
        seen: Window,
        tail: "array[int]",
        mark: int,
        dedupe_ids: int,
        rejected_per_site: int,
        cached_bytes: int = 0,
    ) -> None:
        self._database = database
        self.on_disk = database.durable
        self._cache = PageCache(database.file, cached_bytes)
        self.node_id = node_id
        self._seen = seen
        self._tail = tail  # hashes of the newest events, not yet in a stored segment
        self._mark = mark
        self._dedupe_ids = dedupe_ids
        self._rejected_per_site = rejected_per_site
        self.last_seq = last_seq

    async def append(
        self,
        events: list[E],
        rejects: list[Reject],
        note: Callable[[list[E]], arrivals.Note] | None = None,
        text: str | None = None,
    ) -> Appended:
        """`insert`, and wait until it is on disk. Raises StoreUnavailable also where that may not
        be; the events are in the log then, and known when they come again."""
        result = await self.insert(events, rejects, note, text)
        if result.durable:
            await self.on_disk(result.durable)
        return result

    async def insert(
        self,
        events: list[E],
        rejects: list[Reject],
        note: Callable[[list[E]], arrivals.Note] | None = None,
        text: str | None = None,
        prepared: Prepared | None = None,
    ) -> Appended:
        """Store a batch; returns when it is committed. On disk it is only when `durable` of what
        is returned is done, of a batch of known events as well: they may be on their way there.
        `note` is asked what to write beside the events that are stored (store/edges.py). `text`:
        the events in JSON, where an edge has sent them so.

        Raises StoreUnavailable or BadRow, and then nothing of it was stored."""
        fresh, first = events, self.last_seq + 1
        keys = prepared.keys if prepared else self._keys(events)
        if not self._seen.add_unseen(keys, first):
            fresh, keys = await self._fresh(events, keys)
            self._seen.add(keys, first)
        try:
            if fresh is not events:
                text = prepared = None
            work = self._work(fresh, rejects, note and note(fresh), text, prepared)
            expired = await self._store(work)
        except CollectorError:
            self._seen.remove(keys, first)
            raise
        self.last_seq += len(fresh)
        self._tail.extend(keys)
        inserts = self._database.inserts
        durable = inserts.durable() if inserts else None
        if len(self._tail) >= SEGMENT:
            await self._keep_segment()
        return Appended(len(fresh), len(events) - len(fresh), expired, durable)

    async def _keep_segment(self) -> None:
        """The oldest of the tail. In a transaction of its own, which waits for no sync: where it
        is missing, the next start reads the events instead."""
        first = self.last_seq - len(self._tail) + 1
        segment = self._seen.pack(first, self._tail[:SEGMENT])
        oldest = self.last_seq - self._dedupe_ids - SEGMENT
        try:
            await self._database.run(_write_segment, first, segment, oldest)
        except CollectorError as error:
            log.warning("a start will take longer, the window's newest part is not kept: %s", error)
        del self._tail[:SEGMENT]
        asyncio.get_running_loop().run_in_executor(None, self._cache.give_up)

    async def _store(self, work: _Work) -> int:
        inserts, events = self._database.inserts, work.events
        if inserts and work.alone and isinstance(events, bytes):
            batch = work.rare, events, work.first_seq, work.count, self.node_id.encode(), self._mark
            await self._database.insert(inserts, *batch)
            return 0
        return await self._database.run(_append, work)

    async def skip_to(self, seq: int) -> None:
        """Go on after number `seq`, which is known to have been given away."""
        await self._database.run(_skip_to, seq)
        self.last_seq = seq
        self._tail = array("Q")  # a segment has no gaps; a start reads the events instead

    def prepare(self, events: list[E]) -> Prepared | None:
        """For `insert`, while another is under way. None where it is to tell what is wrong."""
        try:
            return Prepared(self._keys(events), *_packed(events))
        except BadRow:
            return None

    def _keys(self, events: list[E]) -> list[int]:
        hashed = self._seen.hash
        return [hashed(event.identity) for event in events]

    async def _fresh(self, events: list[E], keys: list[int]) -> tuple[list[E], list[int]]:
        """The events not seen before, and their hashes. A hit by hash counts only when the
        full id in the log (or earlier in this batch) is the same."""
        suspects = self._seen.candidates(keys, self.last_seq)
        known = set(await self._database.run(_ids, suspects)) if suspects else set()
        fresh, fresh_keys = [], []
        for event, key in zip(events, keys, strict=True):
            if event.identity not in known:
                known.add(event.identity)
                fresh.append(event)
                fresh_keys.append(key)
        return fresh, fresh_keys

    def _work(
        self,
        events: list[E],
        rejects: list[Reject],
        note: arrivals.Note | None,
        text: str | None,
        prepared: Prepared | None,
    ) -> _Work:
        if prepared:
            packed, rare = prepared.packed, prepared.rare
        else:
            packed, rare = (text, rows.WITH_ALL) if text else _packed(events)
        return _Work(
            rare,
            packed,
            len(events),
            self.last_seq + 1,
            self.node_id,
            rejects,
            self._rejected_per_site,
            self._mark,
            note,
        )


def _packed(events: list[E]) -> tuple[bytes | str, int]:
    try:
        return rows.packed(events)
    except (UnicodeError, ValueError, OverflowError) as error:
        raise BadRow(f"cannot be encoded: {error}") from error


def claim(folder: Path) -> int:
    """Open the file that holds the highest stored seq, and hold it alone: one collector a data
    folder. Raises CollectorError when another has it. Returns the descriptor."""
    mark = os.open(folder / "collector.mark", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(mark)
        raise CollectorError(
            f"data: another collector runs on {folder}; --data names another folder"
        ) from None
    return mark


def _append(connection: sqlite.Connection, work: _Work) -> int:
    """The transaction."""
    expired = 0
    if work.alone:
        _insert(connection, work)
    else:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if work.count:
                _insert(connection, work)
            expired = _write_rejects(connection, work)
            if work.note:
                arrivals.write(connection, work.note, work.first_seq)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if work.count:
        # It is committed whatever becomes of the mark, which then only says less.
        with contextlib.suppress(OSError):
            os.pwrite(work.mark, b"%020d\n" % (work.first_seq + work.count - 1), 0)
    return expired


def _insert(connection: sqlite.Connection, work: _Work) -> None:
    connection.execute(INSERT[work.rare], (work.events, work.first_seq, work.node_id))


def _write_segment(
    connection: sqlite.Connection, first_seq: int, segment: bytes, oldest: int
) -> None:
    with cursors.derived(connection):
        connection.execute(
            "INSERT OR REPLACE INTO dedupe_segments VALUES (?, ?)", (first_seq, segment)
        )
        connection.execute("DELETE FROM dedupe_segments WHERE first_seq < ?", (oldest,))


def _write_rejects(connection: sqlite.Connection, work: _Work) -> int:
    if not work.rejects:
        return 0
    connection.executemany(_REJECT, [msgspec.structs.astuple(r) for r in work.rejects])
    return sum(
        connection.execute(_EXPIRE_REJECTS, (site, work.rejected_per_site)).rowcount
        for site in {reject.site for reject in work.rejects}
    )


def _ids(connection: sqlite.Connection, seqs: list[int]) -> list[bytes]:
    found = connection.execute(
        "SELECT site, message_id FROM events WHERE seq IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(seqs).decode(),),
    )
    return [identity(*row) for row in found]


async def open_log(
    database: db.Database,
    mark: int,
    dedupe_ids: int,
    rejected_per_site: int,
    cached_bytes: int = 0,
) -> EventLog:
    """The log with its window read back; `mark` is the file that `claim` opened.

    Says when the newest events that were once there are missing: a damaged write-ahead log
    ends early and looks sound."""
    secret = await database.run(db.meta, "dedupe_seed", lambda: secrets.token_hex(8))
    node_id = await database.run(db.meta, "node_id", lambda: secrets.token_hex(8))
    last_seq = await database.run(_last_seq)
    expected = _marked(mark)
    if expected > last_seq:
        log.error(
            "the newest %d events (seq %d to %d) are missing from %s: an older copy of the "
            "file, or a write-ahead log that was damaged or removed. Numbers go on after them",
            expected - last_seq,
            last_seq + 1,
            expected,
            database.path,
        )
        await database.run(_skip_to, expected)
        last_seq = expected
    seen = Window(dedupe_ids, xxhash.xxh3_64_intdigest(secret))
    tail = await database.run(read_back, seen, max(1, last_seq - dedupe_ids), last_seq)
    await database.begin_inserts(_INSERT_PACKED)
    limits = dedupe_ids, rejected_per_site, cached_bytes
    return EventLog(database, node_id, last_seq, seen, tail, mark, *limits)


# The two differ only where one was damaged: the next event then had a number that is taken.
_LAST_SEQ = """SELECT max(coalesce((SELECT max(seq) FROM events), 0),
  coalesce((SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'events'), 0))"""


def _last_seq(connection: sqlite.Connection) -> int:
    return int(connection.execute(_LAST_SEQ).fetchone()[0])


def _marked(mark: int) -> int:
    text = os.pread(mark, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _skip_to(connection: sqlite.Connection, seq: int) -> None:
    """Never hand out again the numbers of events that may exist elsewhere."""
    if (
        connection.execute(
            "UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", (seq,)
        ).rowcount
        == 0
    ):
        connection.execute("INSERT INTO sqlite_sequence VALUES ('events', ?)", (seq,))
