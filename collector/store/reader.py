"""Reading beside the one writing connection.

Readers are read-only and short: a read transaction that stays open stops checkpoints, and the
write-ahead log then grows without bound. So each piece of work ends its transaction, and one
that takes longer than its limit is broken off.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, cast

import aiosqlite
import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.errors import CollectorError
from collector.store.database import on_thread
from collector.store.failures import UNREADABLE, translate

P = ParamSpec("P")
T = TypeVar("T")
_STEPS = 10_000  # of SQLite's machine, between two looks at the clock: well under 1 ms


class TookTooLong(CollectorError):
    """A query was broken off at its time limit."""


class Watched(sqlite.Connection):  # type: ignore[misc,unused-ignore]
    """Knows whom to tell how far its work has come."""

    told: Callable[[float], None] | None = None


def tell(connection: sqlite.Connection, share: float) -> None:
    """So much of the work in hand is done, from 0 to 1."""
    if told := getattr(connection, "told", None):
        told(share)


class Reads(Protocol):
    """What a reader does, in this process or in another (store/apart.py)."""

    async def run(
        self,
        work: Callable[Concatenate[sqlite.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...

    async def watched(
        self,
        told: Callable[[float], None] | None,
        work: Callable[Concatenate[sqlite.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...


class Reader:
    """A read-only connection with a thread of its own. One piece of work at a time; further
    ones wait their turn."""

    def __init__(self, connection: aiosqlite.Connection, path: Path, limit_s: float) -> None:
        self._connection = connection
        self._path = path
        self._limit_s = limit_s

    @classmethod
    async def open(cls, path: Path, limit_s: float = 30.0, cache_mb: int = 2) -> Self:
        """Beside a database that `open_database` has opened. Raises CollectorError."""
        connection = aiosqlite.Connection(lambda: _connect(path, cache_mb), 64)
        try:
            await connection
        except sqlite.Error as error:
            connection._thread.join()
            raise CollectorError(f"{path}: {translate(error)}") from error
        return cls(connection, path, limit_s)

    async def run(
        self,
        work: Callable[Concatenate[sqlite.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `work(connection, …)` on the thread. Raises TookTooLong, StoreUnavailable or
        BadRow. A cancelled caller does not stop the work."""
        return await self.watched(None, work, *args, **kwargs)

    async def watched(
        self,
        told: Callable[[float], None] | None,
        work: Callable[Concatenate[sqlite.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The same; `told`, on that thread, what share of the work is done."""

        def timed(connection: sqlite.Connection) -> T:
            until = time.monotonic() + self._limit_s
            connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            connection.told = told
            return work(connection, *args, **kwargs)

        try:
            return cast(T, await on_thread(self._connection, timed))
        except sqlite.OperationalError as error:
            if "interrupted" in str(error):
                raise TookTooLong(f"took longer than {self._limit_s:g} s") from error
            raise translate(error, self._path) from error
        except UNREADABLE as error:
            raise translate(error, self._path) from error

    async def close(self) -> None:
        await self._connection.close()


def _connect(path: Path, cache_mb: int = 2) -> sqlite.Connection:
    connection = sqlite.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        timeout=5.0,
        factory=Watched,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = {-1000 * cache_mb}")
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


@contextlib.contextmanager
def snapshot(connection: sqlite.Connection) -> Iterator[None]:
    """Several statements see the same moment of the database."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def rows_at_once(
    connection: sqlite.Connection, select: str, values: Sequence[object], row: Any
) -> list[Any]:
    """What a SELECT of one column `j`, JSON of type `row`, gives. In one step of SQLite's: beside
    a busy loop the interpreter lock is fought for at every row."""
    text = connection.execute(f"SELECT json_group_array(json(j)) FROM ({select})", values)
    return msgspec.json.decode(text.fetchone()[0], type=list[row])


def dicts(cursor: sqlite.Cursor) -> list[dict[str, Any]]:
    """All rows, by the names of their columns."""
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
