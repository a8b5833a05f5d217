"""The deduplication window in memory: which of the last events had this id?

Invariants: it answers with candidates, never with a verdict (the log confirms by the full id); an
entry is overwritten only when its event is older than the window, and kept beside it otherwise.
So nothing is dropped by a colliding hash, and nothing inside the window is missed.

Each entry takes 8 bytes, 4 of the hash and 4 of the seq, in one of many buckets, which are filled
in turn: a third more places than the window needs, and fewer than one bucket in a hundred has ever
more. Measured with 4,000,000 ids: 50 MB, 0.8 µs to look up and add, full as empty (a small
bytearray a bucket, trimmed: 0.75 empty and 1.2 full); a set of hashes takes 270 MB, a unique index
makes the log's rate fall as it grows.
"""

import mmap
from array import array
from collections.abc import Iterable, Sequence

import xxhash

SEGMENT = 65_536
_PER_BUCKET = 32  # at most, of the window's entries, in the mean
_PLACES = 48  # in a bucket
_TAG = 4  # bytes of the hash that an entry keeps
_ROUND = 0xFFFF_FFFF  # a seq is kept as what is left of it, plus 1: 0 is a place never filled


class Window:
    """The last `capacity` events' ids. `seed` is secret and kept with the database: ids chosen
    by an attacker spread like any others."""

    def __init__(self, capacity: int, seed: int) -> None:
        self._capacity = capacity
        self._seed = seed
        buckets = 1 << max(4, (capacity // _PER_BUCKET).bit_length())
        self._mask = buckets - 1
        self._next = bytearray(buckets)  # the place in each that is filled next
        self._tags = _memory(buckets * _PLACES * _TAG)
        self._seqs = memoryview(_memory(buckets * _PLACES * 4)).cast("I")
        self._spilled: dict[int, list[tuple[bytes, int]]] = {}  # by bucket: tag and seq

    def hash(self, site: str, message_id: str) -> int:
        identity = f"{site}\0{message_id}".encode("utf-8", "surrogatepass")
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

    def candidates(self, keys: Iterable[int], newest: int) -> list[int]:
        """The seqs up to `newest` whose hash agrees with one of `keys` in all kept bits."""
        found: list[int] = []
        for key in keys:
            bucket = key & self._mask
            tag = (key >> 32).to_bytes(_TAG, "little")
            start = bucket * _PLACES * _TAG
            at = self._tags.find(tag, start, start + _PLACES * _TAG)
            while at >= 0:
                if at % _TAG == 0:
                    found.append(_seq(self._seqs[at // _TAG], newest))
                at = self._tags.find(tag, at + 1, start + _PLACES * _TAG)
            found += [_seq(kept, newest) for own, kept in self._spilled_of(bucket) if own == tag]
        return found

    def add_unseen(self, keys: Sequence[int], first_seq: int) -> bool:
        """`add`, unless one of them has a candidate, or two are the same: then nothing is noted
        and the answer is False. One pass for the common case."""
        return self._add(keys, first_seq, True)

    def add(self, keys: Sequence[int], first_seq: int) -> None:
        """Note the events that got the seqs from `first_seq` on."""
        self._add(keys, first_seq, False)

    def _add(self, keys: Sequence[int], first_seq: int, unseen: bool) -> bool:
        tags, seqs, places, mask = self._tags, self._seqs, self._next, self._mask
        find, spilled = tags.find, self._spilled
        # What counts is the window of what is committed (by the batch under way, a rollback would
        # have pushed out what still counts) and the batch itself.
        first, last = _kept(first_seq), _kept(first_seq + len(keys) - 1)
        counts = self._capacity + len(keys)
        oldest = max(0, last - counts)  # what is kept as less does not count, nor does no entry
        for kept, key in enumerate(keys, first):
            bucket = key & mask
            tag = (key >> 32).to_bytes(4, "little")
            start = bucket * 192  # 48 places of 4 bytes; names are looked up anew at each
            if unseen and (
                find(tag, start, start + 192) >= 0
                or (bucket in spilled and any(own == tag for own, _ in spilled[bucket]))
            ):
                self.remove(keys[: kept - first], first_seq)
                return False
            place = places[bucket]
            places[bucket] = place + 1 if place < 47 else 0
            place += bucket * 48
            if seqs[place] > oldest:
                self._spill(bucket, place, last, counts)
            tags[place * 4 : place * 4 + 4] = tag
            seqs[place] = kept if kept <= _ROUND else kept - _ROUND
        return True

    def _spill(self, bucket: int, place: int, last: int, counts: int) -> None:
        """Keep an entry that is to be overwritten, if it still counts."""
        if (last - self._seqs[place]) % _ROUND < counts:
            tag = bytes(self._tags[place * _TAG : (place + 1) * _TAG])
            before = self._spilled_of(bucket)
            kept = [entry for entry in before if (last - entry[1]) % _ROUND < counts]
            self._spilled[bucket] = [*kept, (tag, self._seqs[place])]

    def _spilled_of(self, bucket: int) -> list[tuple[bytes, int]]:
        return self._spilled.get(bucket, [])

    def remove(self, keys: Sequence[int], first_seq: int) -> None:
        """Take back the last `add`: its transaction was rolled back."""
        for offset in range(len(keys) - 1, -1, -1):
            bucket = keys[offset] & self._mask
            place = (self._next[bucket] or _PLACES) - 1
            at = bucket * _PLACES + place
            if self._seqs[at] == _kept(first_seq + offset):
                self._next[bucket] = place
                self._seqs[at] = 0
                self._tags[at * _TAG : (at + 1) * _TAG] = bytes(_TAG)


def _memory(size: int) -> mmap.mmap:
    """Zeros that take memory as they are written: an idle collector is small, and the first event
    does not wait for 50 MB (a bytearray held the loop up for 46 and 124 ms). A page more, since
    CPython 3.11's mmap.find reads the byte behind what it looks through, and crashes at the end."""
    size += mmap.PAGESIZE
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _kept(seq: int) -> int:
    return seq % _ROUND + 1


def _seq(kept: int, newest: int) -> int:
    """The last one up to `newest` that is kept so."""
    return newest - (_kept(newest) - kept) % _ROUND
