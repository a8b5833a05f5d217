"""How far each file has been imported."""

import secrets

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.clock import now_ms

_WRITE = "INSERT OR REPLACE INTO imports VALUES (?, ?, ?, ?, ?, ?)"


class Progress(msgspec.Struct, frozen=True):
    """Of a source: all its first `bytes`, which have this `digest`, are in the log."""

    bytes: int = 0
    lines: int = 0
    digest: str = ""
    salt: str = ""


def progress(connection: sqlite.Connection, source: str) -> Progress:
    row = connection.execute(
        "SELECT bytes, lines, digest, salt FROM imports WHERE source = ?", (source,)
    ).fetchone()
    found = Progress(*row) if row else Progress()
    return found if found.salt else msgspec.structs.replace(found, salt=secrets.token_hex(16))


def record(connection: sqlite.Connection, source: str, reached: Progress) -> None:
    """Afterwards: an event between the last record and a kill is a duplicate when it comes
    again, by its number or its message id."""
    connection.execute(_WRITE, (source, *msgspec.structs.astuple(reached), now_ms()))
