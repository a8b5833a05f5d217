"""Count and hash over numbers of events, at both ends, and what is known of those that are missing.

The hash of a set of numbers is the sum of a square each, modulo a prime: SQLite computes it in
compiled code, and sets that agree in it and in count are taken for the same.
"""

from collections.abc import Iterable, Iterator

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store.arrivals import BLOCK_BITS
from collector.store.outgoing import MATCHES, Filter

_PRIME, _WRAP = 4294967291, 2147483647
Run = tuple[int, int]


def _hashed(number: str) -> str:
    return f"({number} % {_WRAP}) * ({number} % {_WRAP}) % {_PRIME}"


_EDGE_WHERE = (
    f"FROM events WHERE seq > ?1 AND seq <= ?2 AND {MATCHES} AND node_id = ?6 "  # noqa: S608
    "AND seq NOT IN (SELECT seq FROM forward_refused WHERE upstream = ?7)"
)
_EDGE_DIGEST = f"SELECT count(*), coalesce(sum({_hashed('seq')}), 0) {_EDGE_WHERE}"
_EDGE_NUMBERS = f"SELECT seq {_EDGE_WHERE} ORDER BY seq"
_CENTRE = (
    "FROM edge_arrivals a JOIN events e ON e.seq BETWEEN a.first_seq AND a.last_seq "
    "WHERE a.node_id = ?1 AND a.block = ?2 AND e.node_id = ?1 "
    "AND e.node_seq BETWEEN max(?3, ?2 << 16) AND min(?4, (?2 << 16) + 65535)"
)
_CENTRE_DIGEST = f"SELECT count(*), coalesce(sum({_hashed('e.node_seq')}), 0) {_CENTRE}"
_CENTRE_NUMBERS = f"SELECT DISTINCT e.node_seq {_CENTRE} ORDER BY 1"
_ABSENT = (
    "SELECT max(first_number, ?2), min(last_number, ?3), why FROM absent_numbers "
    "WHERE node_id = ?1 AND first_number <= ?3 AND last_number >= ?2"
)


class Digest(msgspec.Struct, frozen=True, array_like=True):
    count: int
    hash: int


class Source(msgspec.Struct, frozen=True):
    """Which events of an edge an upstream is to have."""

    node_id: str
    upstream: str
    wanted: Filter

    def parameters(self, after: int, upto: int) -> tuple[object, ...]:
        return (after, upto, *self.wanted.parameters, self.node_id, self.upstream)


def edge_digest(connection: sqlite.Connection, of: Source, after: int, upto: int) -> Digest:
    row = connection.execute(_EDGE_DIGEST, of.parameters(after, upto)).fetchone()
    return Digest(row[0], row[1] % _PRIME)


def edge_numbers(connection: sqlite.Connection, of: Source, after: int, upto: int) -> list[int]:
    return [n for (n,) in connection.execute(_EDGE_NUMBERS, of.parameters(after, upto))]


def oldest(connection: sqlite.Connection) -> int:
    """The first number that the log still has; 0 when it is empty."""
    return int(connection.execute("SELECT coalesce(min(seq), 0) FROM events").fetchone()[0])


def centre_digest(connection: sqlite.Connection, node_id: str, first: int, last: int) -> Digest:
    """Of the numbers that are in the log, and of those that are known not to be."""
    count = total = 0
    for block in range(first >> BLOCK_BITS, (last >> BLOCK_BITS) + 1):
        found = connection.execute(_CENTRE_DIGEST, (node_id, block, first, last)).fetchone()
        count, total = count + found[0], total + found[1]
    for low, high, _ in connection.execute(_ABSENT, (node_id, first, last)):
        count += high - low + 1
        total += sum((n % _WRAP) ** 2 % _PRIME for n in range(low, high + 1))
    return Digest(count, total % _PRIME)


def centre_runs(connection: sqlite.Connection, node_id: str, first: int, last: int) -> list[Run]:
    """The numbers that are in the log."""
    numbers: list[int] = []
    for block in range(first >> BLOCK_BITS, (last >> BLOCK_BITS) + 1):
        rows = connection.execute(_CENTRE_NUMBERS, (node_id, block, first, last))
        numbers += [n for (n,) in rows]
    return list(runs(numbers))


def absent(
    connection: sqlite.Connection, node_id: str, first: int, last: int
) -> list[tuple[int, int, str]]:
    rows: list[tuple[int, int, str]] = connection.execute(
        _ABSENT, (node_id, first, last)
    ).fetchall()
    return rows


def runs(numbers: Iterable[int]) -> Iterator[Run]:
    """Rising numbers as ranges, both ends included."""
    low = high = None
    for number in numbers:
        if low is None or high is None:
            low = high = number
        elif number == high + 1:
            high = number
        else:
            yield low, high
            low = high = number
    if low is not None and high is not None:
        yield low, high


class Audited(msgspec.Struct, frozen=True):
    """How far an upstream has been compared since the installation, and what was found."""

    upto: int
    events: int
    lost: int


def audited(connection: sqlite.Connection, upstream: str) -> Audited:
    row = connection.execute(
        "SELECT audited_to, events, lost FROM audits WHERE upstream = ?", (upstream,)
    ).fetchone()
    return Audited(*row) if row else Audited(0, 0, 0)


def note(connection: sqlite.Connection, upstream: str, found: Audited, at: int) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO audits VALUES (?, ?, ?, ?, ?)",
        (upstream, found.upto, found.events, found.lost, at),
    )
