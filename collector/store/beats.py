"""What edges last said of themselves."""

from pysqlite3 import dbapi2 as sqlite

from collector.event import LANES

_WRITE = (
    "INSERT INTO edges (node_id, name, lanes, first_at, last_at, beat, beat_at) "
    "VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?4) "
    "ON CONFLICT (node_id) DO UPDATE SET beat = ?5, beat_at = ?4 WHERE name = ?2"
)
_NO_LANES = str([0] * LANES)


def write(connection: sqlite.Connection, edge: str, node_id: str, at: int, beat: str) -> None:
    connection.execute(_WRITE, (node_id, edge, _NO_LANES, at, beat))


def read(connection: sqlite.Connection) -> list[tuple[str, str, int, str]]:
    """Edge, node, time and words of each."""
    rows: list[tuple[str, str, int, str]] = connection.execute(
        "SELECT name, node_id, beat_at, beat FROM edges WHERE beat IS NOT NULL"
    ).fetchall()
    return rows
