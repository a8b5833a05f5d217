"""What the centre notes of an edge's batch, in the transaction of its rows."""

import msgspec
from pysqlite3 import dbapi2 as sqlite

IMPORT = ""  # the edge of what a file brings: a node stays another's that it was
BLOCK_BITS = 16  # numbers are looked up, and compared with the edge, in blocks of 65,536


class Block(msgspec.Struct, frozen=True):
    """Rows of a node whose numbers lie in one block: where they stand in the batch."""

    node_id: str
    block: int
    first: int
    last: int


class Absent(msgspec.Struct, frozen=True):
    """Numbers that no row has, and why: duplicate, erased, rejected, dropped."""

    node_id: str
    first: int
    last: int
    why: str


class Note(msgspec.Struct, frozen=True):
    """Of one batch. `lanes`: of each of its nodes, JSON."""

    edge: str
    at: int
    lanes: dict[str, str]
    blocks: list[Block]
    absent: list[Absent]


_EDGE = (
    "INSERT INTO edges (node_id, name, lanes, first_at, last_at) VALUES (?1, ?2, ?3, ?4, ?4) "
    "ON CONFLICT (node_id) DO UPDATE SET name = iif(?2 = '', name, ?2), lanes = ?3, "
    "last_at = ?4, conflict = NULL"
)
_ARRIVAL = "INSERT OR REPLACE INTO edge_arrivals VALUES (?, ?, ?, ?)"
_ABSENT = "INSERT OR REPLACE INTO absent_numbers VALUES (?, ?, ?, ?)"


def write(connection: sqlite.Connection, note: Note, first_seq: int) -> None:
    """Inside the transaction; `first_seq`: of the batch's first row."""
    for node_id, lanes in note.lanes.items():
        connection.execute(_EDGE, (node_id, note.edge, lanes, note.at))
    for b in note.blocks:
        place = (b.node_id, b.block, first_seq + b.first, first_seq + b.last)
        connection.execute(_ARRIVAL, place)
    write_absent(connection, note.absent)


def write_absent(connection: sqlite.Connection, absent: list[Absent]) -> None:
    connection.executemany(_ABSENT, [(a.node_id, a.first, a.last, a.why) for a in absent])
