"""Looking through hits: columns of small numbers, a piece of the log at a time. What is added up
is read by columns (store/columns.py), the rest by rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import and_

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store import columns as by_column
from collector.store.columns import Narrow, Piece
from collector.store.reader import tell

SLOT_MS = 900_000
DIMENSIONS = ("path", "referrer", "campaign", "event", "device", "browser", "country", "type")
COLUMNS = ("seq", "at", "bot", "view", "site", "visitor", *DIMENSIONS)
_AT_ONCE = 65_536
LAST = (1 << 63) - 1
_FEW = ("bot", "view", "site")  # as dimensions, of few values
_ints = msgspec.json.Decoder(list[int]).decode


class Condition(msgspec.Struct, frozen=True):
    """Which hits: from slot `first` on and before slot `end`, and whose columns have these
    values."""

    first: int
    end: int
    equal: tuple[tuple[str, int], ...] = ()

    def also(self, *equal: tuple[str, int]) -> "Condition":
        return Condition(self.first, self.end, self.equal + equal)

    def within(self, first: int, end: int) -> "Condition":
        return Condition(first, end, self.equal)

    @property
    def times(self) -> tuple[int, int]:
        return self.first * SLOT_MS, self.end * SLOT_MS

    @property
    def said(self) -> str:
        """In SQL; the values are `values`."""
        return " AND ".join(["at >= ? AND at < ?", *(f"{name} = ?" for name, _ in self.equal)])

    @property
    def values(self) -> tuple[int, ...]:
        return (*self.times, *(value for _, value in self.equal))


def added_up(connection: sqlite.Connection) -> int:
    """The number of the last hit that is in the rollups."""
    return int(connection.execute("SELECT coalesce(max(last), 0) FROM hit_blocks").fetchone()[0])


def read(
    connection: sqlite.Connection, said: str, values: Sequence[object], columns: Sequence[str]
) -> list[list[int]]:
    """The columns of the hits that fulfil a condition, in the log's order. As JSON, so that
    SQLite works without the interpreter's lock: 0.1 µs a value, a third of what rows take."""
    chosen = ", ".join(f"json_group_array({name})" for name in columns)
    row = connection.execute(f"SELECT {chosen} FROM hits NOT INDEXED WHERE {said}", values)
    return [_ints(text) for text in row.fetchone()]


def scan(
    connection: sqlite.Connection,
    condition: Condition,
    columns: Sequence[str],
    after: int = 0,
    upto: int = LAST,
) -> Iterator[list[list[int]]]:
    """The same, piece by piece, of hits with `after` < number <= `upto`."""
    found_in = by_column.pieces(connection, after, upto, *condition.times)
    for i, piece in enumerate(found_in):
        tell(connection, i / len(found_in))
        yield from _rows(connection, condition, columns, after, piece.first - 1)
        if found := _picked(connection, condition, columns, piece):
            yield found
        after = piece.last
    yield from _rows(connection, condition, columns, after, upto)


def _picked(
    connection: sqlite.Connection, condition: Condition, columns: Sequence[str], piece: Piece
) -> list[list[int]] | None:
    """Of a piece, by its columns; None where nothing is chosen."""
    known = _chosen(connection, condition, piece)
    if known is None:
        return None
    chosen, contents = known
    missing = [name for name in columns if COLUMNS.index(name) not in contents]
    contents |= by_column.contents(connection, piece.first, list(map(COLUMNS.index, missing)))
    found: list[list[int]] = []
    for name in columns:
        content = contents[COLUMNS.index(name)]
        if name in DIMENSIONS or name in _FEW:
            found.append(Narrow(content).pick(chosen, piece.hits))
        else:
            found.append(list(by_column.unpack(content, piece.hits, chosen)))
    return found


def fulfilling(
    connection: sqlite.Connection, condition: Condition, piece: Piece, seqs: list[int]
) -> Iterable[int]:
    """Which of a piece's hits, given by their numbers, are chosen."""
    known = _chosen(connection, condition, piece)
    if known is None:
        return ()
    chosen, _ = known
    if chosen is None:
        return seqs
    if piece.last - piece.first + 1 == piece.hits:  # no number is missing
        return [seq for seq in seqs if chosen[seq - piece.first]]
    numbers = by_column.contents(connection, piece.first, [COLUMNS.index("seq")]).values()
    return set(seqs).intersection(*(by_column.unpack(n, piece.hits, chosen) for n in numbers))


def _chosen(
    connection: sqlite.Connection, condition: Condition, piece: Piece
) -> tuple[bytes | None, dict[int, bytes]] | None:
    """A byte for each hit, 1 where it is chosen (None: all are), and the columns that were read
    for it; None where none is."""
    start, end = condition.times
    names = [COLUMNS.index(name) for name, _ in condition.equal]
    partly = piece.earliest < start or piece.latest >= end
    if partly:
        names.append(COLUMNS.index("at"))
    contents = by_column.contents(connection, piece.first, names) if names else {}
    masks = [Narrow(contents[COLUMNS.index(name)]).equal(v) for name, v in condition.equal]
    if partly:
        at = by_column.unpack(contents[COLUMNS.index("at")], piece.hits)
        masks.append(int.from_bytes([start <= moment < end for moment in at], "little"))
    said = [mask for mask in masks if mask is not None]
    if not said:
        return None, contents
    mask = reduce(and_, said)
    return (mask.to_bytes(piece.hits, "little"), contents) if mask else None


def _rows(
    connection: sqlite.Connection,
    condition: Condition,
    columns: Sequence[str],
    after: int,
    upto: int,
) -> Iterator[list[list[int]]]:
    said = f"seq BETWEEN ? AND ? AND {condition.said}"
    for first, last in runs(connection, condition.times, after, upto):
        yield read(connection, said, (first, last, *condition.values), columns)


def runs(
    connection: sqlite.Connection, bounds: tuple[int, int], after: int, upto: int
) -> Iterator[tuple[int, int]]:
    """Ranges of numbers where hits of these times may be."""
    if upto <= after:
        return
    known = added_up(connection)
    run: tuple[int, int] | None = None
    for first, last in connection.execute(
        "SELECT max(first, ?1 + 1), min(last, ?2) FROM hit_blocks WHERE last > ?1 AND first <= ?2 "
        "AND latest >= ?3 AND earliest < ?4 ORDER BY first",
        (after, upto, *bounds),
    ).fetchall():
        if run and last - run[0] < _AT_ONCE:
            run = run[0], last
            continue
        if run:
            yield run
        run = first, last
    if run:
        yield run
    if upto > known:
        yield max(after, known) + 1, upto
