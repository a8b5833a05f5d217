"""The deduplication window in memory: which of the last events had this id?

Invariants: it answers with candidates, never with a verdict (the log confirms by the full id);
entries of one bucket stand in order of `seq`; an entry leaves only when its event is older than
the window. So nothing is dropped by a colliding hash, and nothing inside the window is missed.

Each entry takes 8 bytes (4 of the hash, 4 of the seq) in one of many small buckets. Measured with
4,000,000 ids: 49 MB; a set of hashes takes 270 MB, a unique index makes the log's rate fall as
it grows.
"""

import sys
from array import array
from collections.abc import Iterable, Sequence

import xxhash
from pysqlite3 import dbapi2 as sqlite

from collector import compiled
from collector.event import identity

SEGMENT = 65_536
_PER_BUCKET = 32
_ENTRY = 8


class Window:
    """The last `capacity` events' ids. `seed` is secret and kept with the database: ids chosen
    by an attacker spread like any others."""

    def __init__(self, capacity: int, seed: int) -> None:
        self._seed = seed
        bits = max(4, (capacity // _PER_BUCKET).bit_length())
        trim_at = max(64 // _ENTRY, capacity >> bits) * 5 // 4
        self.table = (compiled.Table if compiled.COMPILED else Table)(capacity, bits, trim_at)
        self.candidates = self.table.candidates
        self.add_unseen = self.table.add_unseen
        self.add = self.table.add
        self.remove = self.table.remove

    def hash(self, identity: bytes) -> int:
        return xxhash.xxh3_64_intdigest(identity, self._seed)

    def pack(self, first_seq: int, keys: "array[int]") -> bytes:
        """A segment as it is stored: the hashes, 8 bytes each, and one of them all."""
        content = keys.tobytes()
        return content + xxhash.xxh3_64_digest(content, self._seed ^ first_seq)

    def unpack(self, first_seq: int, stored: bytes) -> "array[int]":
        """The hashes of a stored segment; none where it is damaged or of another seed."""
        content, keys = stored[:-8], array("Q")
        if xxhash.xxh3_64_digest(content, self._seed ^ first_seq) == stored[-8:]:
            keys.frombytes(content)
        return keys


class Table:
    """The entries, in 2 to the power of `bits` buckets, each looked through for what is too old
    when it has more than `trim_at`. What c/table.c is in compiled code: there it takes 0.1 µs to
    look up and add, here 0.8 in an empty one and 1.2 in a full one, which no cache holds."""

    def __init__(self, capacity: int, bits: int, trim_at: int) -> None:
        self._capacity = capacity
        self._mask = (1 << bits) - 1
        self._trim_at = _ENTRY * trim_at
        self._buckets: list[bytearray | None] = [None] * (1 << bits)

    def __sizeof__(self) -> int:
        return sys.getsizeof(self._buckets) + sum(map(sys.getsizeof, filter(None, self._buckets)))

    def candidates(self, keys: Iterable[int], newest: int) -> list[int]:
        """The seqs up to `newest` whose hash agrees with one of `keys` in all kept bits."""
        found: list[int] = []
        buckets, mask = self._buckets, self._mask
        for key in keys:
            bucket = buckets[key & mask]
            if bucket is None:
                continue
            tag = (key >> 32).to_bytes(4, "little")
            at = bucket.find(tag)
            while at >= 0:
                if at % _ENTRY == 0:
                    low = int.from_bytes(bucket[at + 4 : at + 8], "little")
                    found.append(newest - ((newest - low) & 0xFFFF_FFFF))
                at = bucket.find(tag, at + 1)
        return found

    def add_unseen(self, keys: Sequence[int], first_seq: int) -> bool:
        """`add`, unless one of them has a candidate, or two are the same: then nothing is noted
        and the answer is False. One pass for the common case."""
        buckets, mask, trim_at = self._buckets, self._mask, self._trim_at
        for seq, key in enumerate(keys, first_seq):
            entry = (key >> 32 | (seq & 0xFFFF_FFFF) << 32).to_bytes(8, "little")
            bucket = buckets[key & mask]
            if bucket is None:
                buckets[key & mask] = bytearray(entry)
            elif bucket.find(entry[:4]) >= 0:
                self.remove(keys[: seq - first_seq], first_seq)
                return False
            else:
                bucket += entry
                if len(bucket) > trim_at:
                    self._trim(bucket, first_seq - 1)
        return True

    def add(self, keys: Iterable[int], first_seq: int) -> None:
        """Note the events that got the seqs from `first_seq` on."""
        buckets, mask = self._buckets, self._mask
        for seq, key in enumerate(keys, first_seq):
            bucket = buckets[key & mask]
            if bucket is None:
                bucket = buckets[key & mask] = bytearray()
            bucket += (key >> 32 | (seq & 0xFFFF_FFFF) << 32).to_bytes(8, "little")
            if len(bucket) > self._trim_at:
                self._trim(bucket, first_seq - 1)

    def remove(self, keys: Sequence[int], first_seq: int) -> None:
        """Take back the last `add`: its transaction was rolled back."""
        for offset in range(len(keys) - 1, -1, -1):
            bucket = self._buckets[keys[offset] & self._mask]
            low = ((first_seq + offset) & 0xFFFF_FFFF).to_bytes(4, "little")
            if bucket and bucket[-4:] == low:
                del bucket[-_ENTRY:]

    def _trim(self, bucket: bytearray, newest: int) -> None:
        """Drop what is older than the window, `newest` being committed: were it a seq of the
        batch under way, a rollback would have pushed out what still counts."""
        keep = 0
        while keep < len(bucket):
            low = int.from_bytes(bucket[keep + 4 : keep + 8], "little")
            age = (newest - low) & 0xFFFF_FFFF
            if age < self._capacity or age >> 31:  # or of the batch under way
                break
            keep += _ENTRY
        del bucket[:keep]


def read_back(
    connection: sqlite.Connection, seen: Window, first_seq: int, last_seq: int
) -> "array[int]":
    """Fill the window from the stored segments, and from the events where there is none.
    Returns the hashes that no segment holds yet, 0 for an event that is gone."""
    position = first_seq
    for start, blob in connection.execute(
        "SELECT first_seq, CAST(hashes AS BLOB) FROM dedupe_segments "
        "WHERE first_seq > ? ORDER BY first_seq",
        (first_seq - SEGMENT,),
    ):
        if not (keys := seen.unpack(start, blob)):
            continue
        _scan(connection, seen, position, start - 1)
        seen.add(keys, start)
        position = start + len(keys)
    rest = _scan(connection, seen, position, last_seq)
    return rest if len(rest) < SEGMENT else array("Q")


def _scan(
    connection: sqlite.Connection, seen: Window, first_seq: int, last_seq: int
) -> "array[int]":
    keys = array("Q", bytes(8 * max(0, last_seq - first_seq + 1)))
    for seq, site, message_id in connection.execute(
        "SELECT seq, site, message_id FROM events WHERE seq BETWEEN ? AND ?",
        (first_seq, last_seq),
    ):
        keys[seq - first_seq] = key = seen.hash(identity(site, message_id))
        seen.add((key,), seq)
    return keys
