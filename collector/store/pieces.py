"""Makes the columns (store/columns.py) of hits that are added up."""

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store import columns, cursors, hits, seals
from collector.store.columns import Piece
from collector.store.hits import COLUMNS

_ZONES = """SELECT json_group_array(json_array(first, last, known)) FROM (
  SELECT b.first, b.last, coalesce((SELECT p.last FROM hit_pieces AS p WHERE p.first <= b.first
    ORDER BY p.first DESC LIMIT 1), 0) >= b.last AS known FROM hit_blocks AS b ORDER BY b.first)"""
_zones = msgspec.json.Decoder(list[tuple[int, int, int]]).decode
PIECE = 32_768


class Made(msgspec.Struct):
    """What one transaction writes: a piece and its columns."""

    epoch: int
    piece: Piece
    columns: list[tuple[int, bytes]]


def plan(connection: sqlite.Connection) -> Made | None:
    """The piece that is made next; None when there are all. Of one moment: within a
    transaction."""
    found = _next(connection)
    if not found:
        return None
    read = hits.read(connection, "seq BETWEEN ? AND ?", found, COLUMNS)
    many, at = len(read[0]), read[1] or [0]
    packed = [
        (i, columns.pack(name, numbers))
        for i, (name, numbers) in enumerate(zip(COLUMNS, read, strict=True))
        if many
    ]
    return Made(seals.epoch(connection), Piece(*found, min(at), max(at), many), packed)


def _next(connection: sqlite.Connection) -> tuple[int, int] | None:
    """First and last number of hits that no piece has; the newest once there is enough of them."""
    first, end = 0, 0
    for start, last, known in _zones(connection.execute(_ZONES).fetchone()[0]):
        if first and (known or last - first >= PIECE + seals.ZONE):
            return first, end
        if not known:
            first, end = first or start, last
    return (first, end) if end - first >= PIECE - seals.ZONE else None


def apply(connection: sqlite.Connection, made: Made) -> bool:
    """Write it; False when it is not true any more."""
    with cursors.derived(connection):
        if seals.epoch(connection) != made.epoch:
            return False
        connection.execute(
            "INSERT INTO hit_pieces VALUES (?, ?, ?, ?, ?)", msgspec.structs.astuple(made.piece)
        )
        connection.executemany(
            "INSERT OR REPLACE INTO hit_columns VALUES (?, ?)",
            [(columns.place(made.piece.first, name), content) for name, content in made.columns],
        )
    return True
