"""A copy of the database while it is written to, and a look at whether a copy is sound.

The copy is of one moment: a read transaction is held from its first page to its last, and the
pages are copied in pieces with a rest after each, so that ingest keeps the disk. (Without that
transaction SQLite begins again at each commit of another process and never ends.) Meanwhile the
write-ahead log cannot begin anew: it grows by what is written until the copy is made.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.errors import CollectorError
from collector.store.database import APPLICATION_ID, migrations
from collector.store.failures import code_of, translate

_PAGES = 256  # of 8 KiB: 2 MB at a time
_SYNC_PIECES = 8  # so that the end has not the whole copy to write, and every commit to wait for it
_REST = 1  # times as long as a piece took
_NICE = 10
_NO_DATABASE = 26
_COUNTED = ("events", "people", "purchases", "leads", "rejected")


class Contents(msgspec.Struct, frozen=True):
    """What a database holds. `last_seq`: the highest number ever given away, the high-water mark;
    times in milliseconds since 1970."""

    node_id: str
    schema: int
    last_seq: int
    first_received_at: int | None
    last_received_at: int | None
    counts: dict[str, int]


class Found(msgspec.Struct):
    """`wrong`: what is the matter, nothing when it is sound."""

    contents: Contents | None = None
    wrong: list[str] = msgspec.field(default_factory=list)


def copy(source: Path, target: Path, show: Callable[[float], None]) -> int:
    """Copy to the empty file `target`; returns its high-water mark. `show` is told which part is
    done. Raises CollectorError."""
    try:
        reading, writing = _open(source), sqlite.connect(target, isolation_level=None)
    except sqlite.Error as error:
        raise CollectorError(f"{source}: {translate(error)}") from None
    try:
        # A draft: it counts when all of it is there.
        writing.execute("PRAGMA journal_mode = OFF")
        writing.execute("PRAGMA synchronous = OFF")
        reading.execute("BEGIN")
        last_seq = _last_seq(reading)
        with _Pace(target, show) as pace:
            reading.backup(writing, pages=_PAGES, progress=pace)
        reading.execute("ROLLBACK")
        writing.execute("PRAGMA journal_mode = DELETE")  # one file, readable where none may write
    except sqlite.Error as error:
        raise CollectorError(f"{target}: {translate(error)}") from None
    finally:
        writing.close()
        reading.close()
    _sync(target)
    return last_seq


def give_way() -> None:
    """Let this thread come after others: of two cores ingest may need both."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class _Pace:
    """Rests after each piece."""

    def __init__(self, target: Path, show: Callable[[float], None]) -> None:
        self._show = show
        self._pieces = 0
        self._fd = os.open(target, os.O_RDWR)
        self._since = time.monotonic()

    def __enter__(self) -> "_Pace":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def __call__(self, status: int, remaining: int, total: int) -> None:
        self._pieces += 1
        if self._pieces % _SYNC_PIECES == 0:
            os.fdatasync(self._fd)
        time.sleep(min(1.0, _REST * (time.monotonic() - self._since)))
        self._show(1 - remaining / max(1, total))
        self._since = time.monotonic()


def verify(path: Path) -> Found:
    """Look through the whole file. Raises CollectorError for what is no database of a collector
    that this one knows."""
    found = Found()
    try:
        connection = _open(path)
    except sqlite.Error as error:
        raise CollectorError(f"{path}: {translate(error)}") from None
    try:
        connection.execute("BEGIN")
        schema = _of_ours(connection, path)
        lines = connection.execute("PRAGMA integrity_check(20)").fetchall()
        found.wrong = [str(line) for (line,) in lines if line != "ok"]
        found.contents = _contents(connection, schema)
        found.wrong += _amiss(connection, path, found.contents)
    except (sqlite.DatabaseError, UnicodeDecodeError) as error:
        if code_of(error) == _NO_DATABASE and found.contents is None:
            raise CollectorError(f"{path}: not a database") from None
        found.wrong.append(str(translate(error)))
    finally:
        connection.close()
    return found


def _of_ours(connection: sqlite.Connection, path: Path) -> int:
    """The schema's version."""
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if owner != APPLICATION_ID:
        raise CollectorError(f"{path}: not a collector's database")
    if version > (known := len(migrations())):
        raise CollectorError(f"{path}: has schema {version}, this collector knows {known}")
    return version


def _contents(connection: sqlite.Connection, schema: int) -> Contents:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    counts = {
        name: int(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0])  # noqa: S608
        for name in _COUNTED
        if name in tables
    }
    times = "SELECT min(received_at), max(received_at) FROM events"
    first, last = connection.execute(times).fetchone()
    node = connection.execute("SELECT value FROM meta WHERE name = 'node_id'").fetchone()
    return Contents(
        str(node[0]) if node else "",
        schema,
        _last_seq(connection),
        first,
        last,
        counts,
    )


def _amiss(connection: sqlite.Connection, path: Path, contents: Contents) -> list[str]:
    """What SQLite finds nothing wrong with."""
    wrong = []
    highest = connection.execute("SELECT max(seq) FROM events").fetchone()[0] or 0
    if highest > contents.last_seq:
        wrong.append(f"event {highest} is above the high-water mark {contents.last_seq}")
    mark = path.with_name("collector.mark")
    text = mark.read_text("ascii", "replace").strip() if mark.exists() else ""
    if text.isdigit() and int(text) > contents.last_seq:
        missing = int(text) - contents.last_seq
        wrong.append(f"the newest {missing} events are missing: {mark} says {int(text)}")
    return wrong


def _last_seq(connection: sqlite.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def _open(path: Path) -> sqlite.Connection:
    connection = sqlite.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0
    )
    connection.execute("PRAGMA query_only = ON")
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _sync(path: Path) -> None:
    for place, flags in ((path, os.O_RDWR), (path.parent, os.O_RDONLY)):
        fd = os.open(place, flags)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
