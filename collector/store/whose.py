"""Whose an event is, the other way round: a person's events are found by 32 bits of the id that
each one counts for (event_keys), in blocks of 65,536 events, each in 64 parts by further bits of
it. So of ten million events 153 parts of 6 KB are read.

Invariants: a block is there whole or not at all, where it is not each row is looked at; what is
found may be another's (bits agree) or gone. Blocks are made of what the projector is done with, and
an id an event counts for stays as it is until somebody is erased (`drop`) or all is made anew
(`forget`).
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store import cursors, seals

BITS = 16  # of an event's number, within a block
_PARTS = 64  # as in the statement below
_ENTRY = 6  # bytes
_KEYS = """SELECT json_group_array(seq - ?1), json_group_array(coalesce(key, anonymous))
  FROM event_keys WHERE seq BETWEEN ?1 AND ?2 AND coalesce(key, anonymous) IS NOT NULL"""
_MISSING = """SELECT value FROM json_each(?) AS b
  WHERE NOT EXISTS (SELECT 1 FROM whose WHERE place = b.value * 64) LIMIT 1"""
_READ = """SELECT place, content FROM json_each(?) AS p CROSS JOIN whose ON place = p.value"""
_BY_ROW = """SELECT json_group_array(seq) FROM event_keys
  WHERE seq BETWEEN ? AND ? AND coalesce(key, anonymous) IN (SELECT value FROM json_each(?))"""
_numbers = msgspec.json.Decoder(list[int]).decode
_encode = msgspec.json.Encoder().encode


class Made(msgspec.Struct):
    """A block to be written: its 64 parts."""

    epoch: int
    block: int
    parts: list[bytes]


def plan(connection: sqlite.Connection, blocks: int) -> Made | None:
    """The first block that is missing of so many; None when all are there. Of one moment: within
    a transaction."""
    numbers = _text(range(_first_block(connection), blocks))
    row = connection.execute(_MISSING, (numbers,)).fetchone()
    if not row:
        return None
    start = row[0] << BITS
    found = connection.execute(_KEYS, (start, start + (1 << BITS) - 1)).fetchone()
    marks: dict[int, array[int]] = defaultdict(lambda: array("I"))
    offsets: dict[int, array[int]] = defaultdict(lambda: array("H"))
    for offset, key in zip(*map(_numbers, found), strict=True):
        part = _part(key)
        marks[part].append(_mark(key))
        offsets[part].append(offset)
    parts = [marks[part].tobytes() + offsets[part].tobytes() for part in range(_PARTS)]
    return Made(seals.epoch(connection), row[0], parts)


def apply(connection: sqlite.Connection, made: Made) -> bool:
    """Write it; False when it is not true any more."""
    with cursors.derived(connection):
        if seals.epoch(connection) != made.epoch:
            return False
        first = made.block * _PARTS
        seals.put_rows(connection, "whose", list(enumerate(made.parts, first)))
    return True


def events(connection: sqlite.Connection, keys: Sequence[int]) -> list[int]:
    """The numbers of the events that may count for one of these ids. Of one moment: within a
    transaction."""
    by_part: dict[int, list[bytes]] = {}
    for key in keys:
        by_part.setdefault(_part(key), []).append(array("I", [_mark(key)]).tobytes())
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM event_keys").fetchone()[0]
    blocks = range(_first_block(connection), (last >> BITS) + 1)
    places = _text(block * _PARTS + part for block in blocks for part in by_part)
    found: list[int] = []
    there: set[int] = set()
    for place, content in connection.execute(_READ, (places,)):
        block, part = divmod(place, _PARTS)
        there.add(block)
        found += ((block << BITS) + offset for offset in _found(content, by_part[part]))
    for first, end in _runs(block for block in blocks if block not in there):
        values = (first << BITS, (end << BITS) - 1, _text(keys))
        found += _numbers(connection.execute(_BY_ROW, values).fetchone()[0])
    return found


def _found(content: bytes, marks: list[bytes]) -> Iterator[int]:
    many = len(content) // _ENTRY
    offsets = memoryview(content)[4 * many :].cast("H")
    for mark in marks:
        at = content.find(mark, 0, 4 * many)
        while at >= 0:
            if at % 4 == 0:
                yield offsets[at // 4]
            at = content.find(mark, at + 1, 4 * many)


def _runs(blocks: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First block and the one after the last of those that follow each other."""
    for _, run in groupby(enumerate(blocks), lambda pair: pair[1] - pair[0]):
        numbers = [block for _, block in run]
        yield numbers[0], numbers[-1] + 1


def drop(connection: sqlite.Connection, seqs: Iterable[int]) -> None:
    """The blocks that these events are in. Within a transaction."""
    blocks = {seq >> BITS for seq in seqs}
    connection.execute(
        "DELETE FROM whose WHERE place IN (SELECT value FROM json_each(?))",
        (_text(block * _PARTS + part for block in blocks for part in range(_PARTS)),),
    )


def expire(connection: sqlite.Connection, upto: int) -> None:
    """The blocks with no number beyond this one. Within a transaction."""
    connection.execute("DELETE FROM whose WHERE place < ?", ((upto + 1 >> BITS) * _PARTS,))


def forget(connection: sqlite.Connection) -> None:
    """Who is whom is made anew. Within a transaction."""
    connection.execute("DELETE FROM whose")


def _first_block(connection: sqlite.Connection) -> int:
    row = connection.execute("SELECT coalesce(min(seq), 0) FROM event_keys").fetchone()
    return int(row[0]) >> BITS


def _part(key: int) -> int:
    return key >> 34 & _PARTS - 1


def _mark(key: int) -> int:
    return key >> 2 & 0xFFFFFFFF


def _text(value: Iterable[int]) -> str:
    return str(_encode(list(value)), "utf-8")
