"""SQLite's errors as ours."""

from pathlib import Path

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.errors import BadRow, Damaged, StoreUnavailable

_UNAVAILABLE = {
    3: "not permitted",
    5: "busy",
    6: "locked",
    7: "out of memory",
    8: "read-only",
    10: "disk I/O error",
    11: "database damaged",
    13: "disk or database full",
    14: "cannot be opened",
    15: "locking protocol",
    26: "not a database",
}
DAMAGED = {11, 26}
IOERR_FSYNC, _IOERR_DIR_FSYNC = 1034, 1290
# What reading a database can raise: what is no text, or not what a column of ours holds, was
# damaged within a page that SQLite finds nothing wrong with.
UNREADABLE = (sqlite.Error, UnicodeDecodeError, msgspec.DecodeError)


def translate(error: Exception, path: Path | None = None) -> StoreUnavailable | BadRow:
    """SQLite's error as one of ours: the store's trouble, or a row's."""
    code = code_of(error)
    if code in DAMAGED and path:
        return Damaged(f"{_UNAVAILABLE[code]} ({error})", path)
    if code in _UNAVAILABLE:
        return StoreUnavailable(f"{_UNAVAILABLE[code]} ({error})")
    if code == sqlite.SQLITE_CONSTRAINT and "events.seq" in str(error):
        return StoreUnavailable(
            "another program wrote to events in collector.db; restart the collector"
        )
    return BadRow(str(error))


def made(code: int, message: str) -> sqlite.DatabaseError:
    """As SQLite would raise it."""
    error = sqlite.DatabaseError(message)
    error.sqlite_errorcode = code
    return error


def is_sync(error: Exception) -> bool:
    """Whether a sync of SQLite's own has failed."""
    return getattr(error, "sqlite_errorcode", 0) in (IOERR_FSYNC, _IOERR_DIR_FSYNC)


def code_of(error: Exception) -> int:
    """SQLite's primary result code. Of a message that is no text (it names what was read of a
    damaged schema) only the UnicodeDecodeError is left."""
    if isinstance(error, UnicodeDecodeError | msgspec.DecodeError):
        return int(sqlite.SQLITE_CORRUPT)
    return int(getattr(error, "sqlite_errorcode", 1)) & 0xFF  # the module's own errors have none
