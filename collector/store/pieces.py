"""Makes the columns (store/columns.py) of hits that are added up."""

from collections.abc import Sequence

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store import columns, cursors, hits, people, seals
from collector.store.columns import PERSON, Piece
from collector.store.hits import COLUMNS

_ZONES = """SELECT json_group_array(json_array(first, last, known)) FROM (
  SELECT b.first, b.last, coalesce((SELECT p.last FROM hit_pieces AS p WHERE p.first <= b.first
    ORDER BY p.first DESC LIMIT 1), 0) >= b.last AS known FROM hit_blocks AS b ORDER BY b.first)"""
_zones = msgspec.json.Decoder(list[tuple[int, int, int]]).decode
_UNKNOWN = """SELECT p.first, p.last FROM hit_pieces AS p WHERE p.hits AND p.last <= ?
  AND NOT EXISTS (SELECT 1 FROM hit_columns AS c WHERE c.place = p.first << 4)
  ORDER BY p.first LIMIT 1"""
_WHO = """SELECT json_group_array(coalesce(k.key, k.anonymous, 0)) FROM (
  SELECT seq FROM hits WHERE seq BETWEEN ? AND ? ORDER BY seq) AS h
  LEFT JOIN event_keys AS k ON k.seq = h.seq"""
_numbers = msgspec.json.Decoder(list[int]).decode


PIECE = 32_768


class Made(msgspec.Struct):
    """What one transaction writes: a piece's columns, and the piece where it is a new one."""

    epoch: int
    first: int
    columns: list[tuple[int, bytes]]
    piece: Piece | None = None


def plan(connection: sqlite.Connection) -> Made | None:
    """The columns that are made next; None when there are all. Of one moment: within a
    transaction."""
    epoch = seals.epoch(connection)
    if found := _next(connection):
        read = hits.read(connection, "seq BETWEEN ? AND ?", found, COLUMNS)
        many, at = len(read[0]), read[1] or [0]
        piece = Piece(*found, min(at), max(at), many)
        packed = [
            (i, columns.pack(name, numbers))
            for i, (name, numbers) in enumerate(zip(COLUMNS, read, strict=True))
            if many
        ]
        return Made(epoch, piece.first, packed, piece)
    projected = cursors.position(connection, people.CURSOR)
    row = connection.execute(_UNKNOWN, (projected,)).fetchone()
    if not row:
        return None
    return Made(epoch, row[0], [(PERSON, columns.marks_of(_numbers(_who(connection, row))))])


def _who(connection: sqlite.Connection, numbers: Sequence[int]) -> str:
    return str(connection.execute(_WHO, numbers).fetchone()[0])


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
        if made.piece:
            connection.execute(
                "INSERT INTO hit_pieces VALUES (?, ?, ?, ?, ?)", msgspec.structs.astuple(made.piece)
            )
        connection.executemany(
            "INSERT OR REPLACE INTO hit_columns VALUES (?, ?)",
            [(columns.place(made.first, name), content) for name, content in made.columns],
        )
    return True
