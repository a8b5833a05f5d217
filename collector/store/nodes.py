"""Another node id for a data folder that was restored or cloned, whose numbers are taken.

Events that no centre has yet get it as well. It may be cut off at any point and begun again: an
event goes under the id that it has.
"""

import secrets

from pysqlite3 import dbapi2 as sqlite

from collector.store import cursors, database
from collector.store.outgoing import cursor_name

_PIECE = 10_000  # numbers in one transaction
_NEXT = "next_node_id"


def begin(connection: sqlite.Connection, centres: list[str]) -> tuple[str, int]:
    """The new id, and the newest number that every centre has."""
    new = database.meta(connection, _NEXT, lambda: secrets.token_hex(8))
    delivered = [cursors.position(connection, cursor_name(name)) for name in centres]
    return new, min(delivered, default=0)


def relabel(connection: sqlite.Connection, new: str, after: int) -> int | None:
    """Events behind that number, some of them; where to go on, None when there are no more."""
    upto = after + _PIECE
    connection.execute(
        "UPDATE events SET node_id = ?1 WHERE seq > ?2 AND seq <= ?3 AND node_id = "
        "(SELECT value FROM meta WHERE name = 'node_id')",
        (new, after, upto),
    )
    row = connection.execute("SELECT 1 FROM events WHERE seq > ? LIMIT 1", (upto,)).fetchone()
    return upto if row else None


def behind(connection: sqlite.Connection, after: int) -> int:
    found = connection.execute("SELECT count(*) FROM events WHERE seq > ?", (after,)).fetchone()
    return int(found[0])


def finish(connection: sqlite.Connection, new: str) -> None:
    """From now on it is the folder's. What was delivered under the old id is compared no more."""
    with cursors.transaction(connection):
        connection.execute("UPDATE meta SET value = ? WHERE name = 'node_id'", (new,))
        connection.execute("DELETE FROM meta WHERE name = ?", (_NEXT,))
        connection.execute(
            "UPDATE audits SET audited_to = max(audited_to, coalesce((SELECT seq FROM cursors "
            "WHERE name = 'forward ' || upstream), 0))"
        )
