"""The database file: opened, migrated, looked at, set aside when damaged.

One connection writes; another folds the write-ahead log back beside it (folding.py). Readers are
read-only and short.
"""

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import aiosqlite
from pysqlite3 import dbapi2 as sqlite

from collector.errors import CollectorError, StoreUnavailable
from collector.store import inserts
from collector.store.failures import DAMAGED, UNREADABLE, code_of, is_sync, made, translate
from collector.store.folding import SOFT_LIMIT, empty, settle
from collector.store.inserts import Durable, Inserts

SQLITE_VERSION: str = sqlite.sqlite_version

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

APPLICATION_ID = 0x65_64_67_65  # "edge"


class Database:
    """The writing connection, on a thread of its own."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self.inserts: Inserts | None = None
        self._recovering = asyncio.Lock()
        self._syncs_failed = self._recovered = 0  # of SQLite's own
        self.path = path
        # Closed when no connection is left: that takes the locks of all of them away
        # (https://sqlite.org/howtocorrupt.html, 2.2).
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    async def begin_inserts(self, statements: tuple[str, ...]) -> None:
        self.inserts = await inserts.begin(self._connection, self.path, self.file, statements)

    async def insert(self, put: Inserts, *batch: Any) -> None:
        """A batch as one transaction, see `durable`. Raises like `run`."""
        try:
            await self._recover()
            await put(*batch)
        except UNREADABLE as error:
            raise translate(error, self.path) from error

    async def durable(self, future: Durable) -> None:
        """Raises StoreUnavailable where what was inserted may not be on disk."""
        try:
            await future
        except UNREADABLE as error:
            raise translate(error, self.path) from error

    async def _recover(self) -> None:
        """Where a sync has failed: bring all into the file, and have the write-ahead log begin
        anew. What the system still has of it may not be what the disk has."""
        while self._unsure:
            async with self._recovering:
                failed, inserts = self._syncs_failed, self.inserts
                if inserts:
                    inserts.leave()
                work = inserts.recover if inserts else settle
                if self._unsure and not await on_thread(self._connection, work, self.path):
                    raise StoreUnavailable("busy (after a sync that failed)")
                self._recovered = failed
                if inserts:
                    inserts.tell_synced()

    @property
    def _unsure(self) -> bool:
        return self._syncs_failed > self._recovered or bool(self.inserts and self.inserts.failed)

    async def run(
        self,
        work: Callable[Concatenate[sqlite.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `work(connection, …)` on the writing thread, in one trip.

        aiosqlite's own methods make a trip a statement, and under load each trip waits for the
        interpreter lock (up to 5 ms); its `_execute` is how they all get there. Raises
        StoreUnavailable or BadRow. A cancelled caller does not stop the work.
        """
        try:
            await self._recover()
            if self.inserts:
                self.inserts.leave()
                self.inserts.look()
            return cast(T, await on_thread(self._connection, work, *args, **kwargs))
        except UNREADABLE as error:
            self._syncs_failed += is_sync(error)
            raise translate(error, self.path) from error

    async def close(self) -> None:
        try:
            await self.run(empty)
        except CollectorError as error:
            log.warning("last checkpoint left undone, nothing is lost: %s", error)
        if self.inserts:
            await self.inserts.close()
        await self._connection.close()
        os.close(self.file)


async def on_thread(
    connection: aiosqlite.Connection, work: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """`work(sqlite connection, …)` on the thread of `connection`, in one trip."""
    execute: Any = connection._execute
    return await execute(work, connection._conn, *args, **kwargs)


async def open_database(path: Path, durability: str, checkpoint_pages: int) -> Database:
    """Open or create the file at `path`, its schema brought up to date.

    A damaged file is set aside (renamed, never deleted) and a new one begun, with the sites'
    keys taken over as far as they can be read: a collector that does not start loses more.
    Raises CollectorError for a file of a newer version or of another program.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return await _open(path, durability, checkpoint_pages)
    except CollectorError as error:
        raise CollectorError(f"{path}: {error}") from None
    except UNREADABLE as error:
        if code_of(error) not in DAMAGED:
            raise CollectorError(f"{path}: {translate(error)}") from error
        return await begin_anew(path, durability, checkpoint_pages, error)


async def begin_anew(
    path: Path, durability: str, checkpoint_pages: int, error: Exception
) -> Database:
    """Set the damaged file aside and open a new one."""
    rescued = _rescue(path)
    aside = _set_aside(path)
    log.error("%s is damaged (%s): set aside as %s, beginning a new one", path, error, aside)
    database = await _open(path, durability, checkpoint_pages)
    await database.run(_restore, rescued)
    if not rescued.get("site_keys"):
        log.error("the write keys could not be read: pages need the new snippet")
    return database


async def _open(path: Path, durability: str, checkpoint_pages: int) -> Database:
    connection = aiosqlite.Connection(lambda: _connect(path), 64)
    try:
        await connection
    except UNREADABLE:
        connection._thread.join()  # on its way out, and not to report to a loop that is gone
        raise
    try:
        await on_thread(connection, _prepare, path, durability, checkpoint_pages)
    except BaseException:
        await connection.close()
        raise
    return Database(connection, path)


def _connect(path: Path) -> sqlite.Connection:
    path.touch(mode=0o600)
    connection = sqlite.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    # What is stored is UTF-8. A flipped bit in old text must not stop a start.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _prepare(
    connection: sqlite.Connection, path: Path, durability: str, checkpoint_pages: int
) -> None:
    if _is_new(connection):  # before anything is written to the file
        # Rows of 800 bytes: pages of 8 KiB take 5 to 14 % less CPU than of 4 at any batch size;
        # 16 gain as much again in large batches and lose it in small ones.
        connection.execute("PRAGMA page_size = 8192")
        # Retention gives pages back a few at a time. 4 % of an insert's CPU, 0.2 µs an event.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {durability}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
    connection.execute(f"PRAGMA journal_size_limit = {(SOFT_LIMIT + 1) * checkpoint_pages * 8192}")
    connection.execute("PRAGMA secure_delete = ON")
    _migrate(connection)
    try:
        _look_at_columns(connection)
        _look_over(connection)
    except sqlite.OperationalError as error:  # the schema speaks of what is not there
        if code_of(error) == sqlite.SQLITE_ERROR:
            error.sqlite_errorcode = sqlite.SQLITE_CORRUPT
        raise
    # What a killed process has left may not be on disk, and is answered for from here on.
    settle(connection, path)


def _is_new(connection: sqlite.Connection) -> bool:
    """Whether the file is empty. Raises CollectorError for another program's."""
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and owner != APPLICATION_ID:
        raise CollectorError("the file is a database of another program")
    return not tables


def _migrate(connection: sqlite.Connection) -> None:
    """Bring the schema up to date, forward only, each step in a transaction of its own."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    steps = migrations()
    if version > len(steps):
        raise CollectorError(
            f"the database has schema {version}, this collector knows {len(steps)}: "
            "run the newer version that wrote it"
        )
    if 0 < version < len(steps):
        log.info("the database is brought from schema %d to %d", version, len(steps))
    for number, script in enumerate(steps[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def migrations() -> list[str]:
    folder = resources.files("collector.store") / "migrations"
    files = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [(folder / name).read_text("utf-8") for name in files]


def _statements(script: str) -> list[str]:
    """The script's statements (executescript would commit the open transaction)."""
    statements, begun = [], ""
    for line in script.splitlines(keepends=True):
        begun += line
        if sqlite.complete_statement(begun):
            statements.append(begun)
            begun = ""
    return statements


def _look_at_columns(connection: sqlite.Connection) -> None:
    """Those of a database of our own are there. The schema is text in the file's first pages:
    with a flipped bit in a column's name it is sound for SQLite, and nothing can be stored."""
    for table, columns in _columns_of_ours().items():
        if other := columns ^ _columns(connection, table):
            raise made(sqlite.SQLITE_CORRUPT, f"{table} and its column {min(other)}")


def _columns(connection: sqlite.Connection, table: str) -> set[str]:
    rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return {name for (name,) in rows}


@functools.cache
def _columns_of_ours() -> dict[str, set[str]]:
    """Of each table and view. Takes 15 ms."""
    with contextlib.closing(sqlite.connect(":memory:", isolation_level=None)) as fresh:
        _migrate(fresh)
        names = fresh.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
        return {name: _columns(fresh, name) for (name,) in names.fetchall()}


def _look_over(connection: sqlite.Connection) -> None:
    """A cheap look for damage: the schema's trees and what the window is read back from, so
    that a start ends here or not at all. The whole file (`PRAGMA integrity_check`) takes
    minutes at 10 GB and is for `verify`."""
    for (table,) in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall():
        connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()  # noqa: S608
    connection.execute(
        "SELECT sum(length(site) + length(message_id)) FROM "
        "(SELECT site, message_id FROM events ORDER BY seq DESC LIMIT 65536)"
    ).fetchone()
    connection.execute("SELECT max(hashes) FROM dedupe_segments").fetchone()
    connection.execute("BEGIN IMMEDIATE")  # taking pages reads the list of free ones
    try:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('probe', hex(zeroblob(32768)))")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _rescue(path: Path) -> dict[str, list[Any]]:
    """The small tables of a damaged file, as far as they can be read."""
    rescued: dict[str, list[Any]] = {}
    try:
        connection = sqlite.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite.Error:
        return rescued
    try:
        connection.execute("PRAGMA writable_schema = ON")  # reads on in a file that was cut short
        for table in ("site_keys", "meta"):
            try:
                rescued[table] = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
            except UNREADABLE:
                continue
    finally:
        connection.close()
    return rescued


def _restore(connection: sqlite.Connection, rescued: dict[str, list[Any]]) -> None:
    for table, rows in rescued.items():
        connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", rows)  # noqa: S608


def _set_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}x")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def site_keys(connection: sqlite.Connection, names: list[str]) -> dict[str, str]:
    """The write key of each site in `names`, made and kept where there is none."""
    made = 0
    for name in names:
        made += connection.execute(
            "INSERT OR IGNORE INTO site_keys VALUES (?, ?)",
            (name, f"wk_{secrets.token_urlsafe(18)}"),
        ).rowcount
    if made:  # into the file itself: a lost write-ahead log must not cost the pages their key
        empty(connection)
    return dict(connection.execute("SELECT site, key FROM site_keys").fetchall())


def read_site_keys(path: Path) -> dict[str, str]:
    """The kept write keys, read beside a running collector; empty where there is no database."""
    if not path.exists():
        return {}
    connection = sqlite.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return dict(connection.execute("SELECT site, key FROM site_keys").fetchall())
    except sqlite.OperationalError:
        return {}
    except (sqlite.DatabaseError, UnicodeDecodeError) as error:
        raise CollectorError(f"{path}: {translate(error)}; `serve` sets it aside") from error
    finally:
        connection.close()


def stored_address(path: Path, message_id: str) -> str | None:
    """The address kept with one of the newest events, "" for none; None when there is no such
    event. Read beside a running collector."""
    connection = sqlite.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        row = connection.execute(
            "SELECT ip FROM (SELECT message_id, ip FROM events ORDER BY seq DESC LIMIT 20000) "
            "WHERE message_id = ?",
            (message_id,),
        ).fetchone()
    except sqlite.DatabaseError as error:
        raise CollectorError(f"{path}: {translate(error)}") from error
    finally:
        connection.close()
    return None if row is None else row[0] or ""


def meta(connection: sqlite.Connection, name: str, make: Callable[[], str]) -> str:
    """A value kept for the life of the database, made when absent."""
    connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, make()))
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return str(row[0])


def probe(connection: sqlite.Connection) -> None:
    """Find out whether the store can write: commit 64 KiB and take it away again."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('probe', hex(zeroblob(32768)))")
    connection.execute("DELETE FROM meta WHERE name = 'probe'")
