"""Hits that are added up, by columns: a piece of the log is a few strings of bytes, one byte or two
a hit and column, compressed. A filter is a translation of such a string to zeros and ones, several
are the `and` of large numbers, and what is chosen is picked in one go: a tenth of the time that
rows take, and a third of what they read.

Invariant: a piece says what the hits from its first to its last number say. Who takes hits out
takes their pieces as well (`drop`); they are made again from what is left.
"""

import zlib
from array import array
from collections.abc import Sequence
from itertools import compress
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

_WIDE = ("seq", "at", "visitor")  # not among a few values that repeat themselves
_SMALLER = 1  # zlib's level: 6 takes three times as long for a tenth less
_encode = msgspec.msgpack.Encoder().encode
_narrow = msgspec.msgpack.Decoder(tuple[list[int], list[bytes]]).decode
_wide = msgspec.msgpack.Decoder(tuple[int, str, bytes]).decode
_EQUAL = [bytes(i == code for i in range(256)) for code in range(256)]


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """Hits `first` to `last`, which lie between two times."""

    first: int
    last: int
    earliest: int
    latest: int
    hits: int


def pack(name: str, numbers: Sequence[int]) -> bytes:
    """A column as it is stored."""
    if name not in _WIDE:
        values = sorted(set(numbers))
        if len(values) == 1:
            return _encode((values, []))
        code = {value: i for i, value in enumerate(values)}
        codes = array("H", map(code.__getitem__, numbers)).tobytes()
        planes = [codes[::2], codes[1::2]] if len(values) > 256 else [codes[::2]]
        return _encode((values, [zlib.compress(plane, _SMALLER) for plane in planes]))
    base = 0 if name == "visitor" else min(numbers)
    if name == "seq" and numbers[-1] - base == len(numbers) - 1:
        return _encode((base, "", b""))
    kind = "I" if min(numbers) - base >= 0 and max(numbers) - base < 1 << 32 else "q"
    packed = array(kind, [number - base for number in numbers]).tobytes()
    return _encode((base, kind, zlib.compress(packed, _SMALLER)))


class Narrow:
    """Values, and of each hit which of them, in one string of bytes or two; in none where it is
    the same value everywhere."""

    def __init__(self, content: bytes) -> None:
        self.values, packed = _narrow(content)
        self._planes = [zlib.decompress(plane) for plane in packed]

    def equal(self, value: int) -> int | None:
        """A large number whose bytes are 1 where the value is; None: everywhere."""
        if value not in self.values:
            return 0
        code = self.values.index(value)
        if not self._planes:
            return None
        low, *high = self._planes
        found = int.from_bytes(low.translate(_EQUAL[code & 255]), "little")
        for plane in high:
            found &= int.from_bytes(plane.translate(_EQUAL[code >> 8]), "little")
        return found

    def pick(self, chosen: bytes | None, many: int) -> list[int]:
        """The values of the chosen hits, `many` if all are."""
        if not self._planes:
            return self.values * (sum(chosen) if chosen else many)
        codes: Any = self._planes[0]
        if len(self._planes) == 2:
            both = bytearray(2 * len(codes))
            both[::2], both[1::2] = self._planes
            codes = array("H", bytes(both))
        return list(map(self.values.__getitem__, compress(codes, chosen) if chosen else codes))


def unpack(content: bytes, many: int, chosen: bytes | None = None) -> Sequence[int]:
    """A wide column's numbers, of the chosen hits or of all."""
    base, kind, packed = _wide(content)
    if not kind:
        numbers: Sequence[int] = range(base, base + many)
        return list(compress(numbers, chosen)) if chosen else numbers
    numbers = array(kind, zlib.decompress(packed))
    if chosen:
        numbers = list(compress(numbers, chosen))
    return [base + number for number in numbers] if base else numbers


_PIECES = """SELECT json_group_array(json_array(first, last, earliest, latest, hits)) FROM (
  SELECT * FROM hit_pieces WHERE first > ? AND last <= ? AND latest >= ? AND earliest < ?
  ORDER BY first)"""
_pieces = msgspec.json.Decoder(list[Piece]).decode


def pieces(
    connection: sqlite.Connection, after: int, upto: int, start: int, end: int
) -> list[Piece]:
    """Those with `after` < numbers <= `upto`, and times from `start` on before `end`."""
    return _pieces(connection.execute(_PIECES, (after, upto, start, end)).fetchone()[0])


def contents(connection: sqlite.Connection, piece: int, names: Sequence[int]) -> dict[int, bytes]:
    rows = connection.execute(
        "SELECT j.value, content FROM json_each(?) AS j "
        "CROSS JOIN hit_columns ON place = ? + j.value",
        (str(list(names)), place(piece, 0)),
    )
    return dict(rows.fetchall())


def place(piece: int, name: int) -> int:
    """Where a column lies; `name` is its place among those of hits."""
    return (piece << 4) + name + 1


def drop(connection: sqlite.Connection, seqs: Sequence[int]) -> None:
    """The pieces that these hits are in. Within a transaction."""
    text = msgspec.json.encode(list(seqs)).decode()
    found = connection.execute(
        "SELECT DISTINCT p.first FROM json_each(?) AS j CROSS JOIN hit_pieces AS p ON p.first = "
        "(SELECT max(first) FROM hit_pieces WHERE first <= j.value) WHERE p.last >= j.value",
        (text,),
    ).fetchall()
    connection.executemany(
        "DELETE FROM hit_columns WHERE place BETWEEN ?1 << 4 AND (?1 << 4) + 15", found
    )
    connection.executemany("DELETE FROM hit_pieces WHERE first = ?", found)


def expire(connection: sqlite.Connection, upto: int) -> None:
    """The pieces with hits as far as a number. Within a transaction."""
    connection.execute("DELETE FROM hit_columns WHERE place < ?", (upto + 1 << 4,))
    connection.execute("DELETE FROM hit_pieces WHERE first <= ?", (upto,))
