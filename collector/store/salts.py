"""The salt of the day, from which sites without cookies make their visitors' ids."""

from pysqlite3 import dbapi2 as sqlite

_NAME = "visitor_salt"


def read_salt(connection: sqlite.Connection, day: int) -> bytes | None:
    """The salt that was kept for `day` (days since 1970 UTC); None when it is another day's."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_NAME,)).fetchone()
    kept, _, salt = str(row[0]).partition(":") if row else ("", "", "")
    try:
        return bytes.fromhex(salt) if kept == str(day) and salt else None
    except ValueError:
        return None


def keep_salt(connection: sqlite.Connection, day: int, salt: bytes) -> bool:
    """Keep the day's salt in place of the former one. True when that is gone from the file and
    from the write-ahead log; False while a reader holds the log: to be called again."""
    value = f"{day}:{salt.hex()}"
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_NAME,)).fetchone()
    if row is None or row[0] != value:
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_NAME, value))
    return _emptied(connection)


def destroy_salt(connection: sqlite.Connection) -> None:
    """No site is without cookies: what was kept for one goes."""
    if connection.execute("DELETE FROM meta WHERE name = ?", (_NAME,)).rowcount:
        _emptied(connection)


def _emptied(connection: sqlite.Connection) -> bool:
    """Fold the log back and cut it off, without waiting for readers: commits would wait too.
    (What was overwritten in the file itself is zeroed by secure_delete.)"""
    patience = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(patience)}")
    return not busy
