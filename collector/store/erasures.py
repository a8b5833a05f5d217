"""Erasures under way: whom upstreams, or this collector, have still to forget.

They lie in a file of their own, with the names as they are, until the last one has been told:
then nothing of them is kept. Beside the database, as a restored backup must not undo them.

Invariant: an erasure is on disk before anything is erased, and leaves only when it is done here
(`seq` is set) and by every upstream in `left`.
"""

import asyncio
import secrets
from pathlib import Path

import msgspec

from collector.store import files
from collector.store.suppressed import Name

FILE = "collector.erasures"
_LINE = msgspec.json.Encoder().encode


class Erasure(msgspec.Struct, frozen=True):
    """`seq`: the newest event when it was done here; None before. What lies behind it speaks of
    nobody who is named. `sites`: it concerns these only, None: all. `left`: upstreams that have
    not done it yet."""

    id: str
    at: int
    names: list[Name]
    left: list[str]
    sites: list[str] | None = None
    seq: int | None = None


class Erasures:
    """The file, and who waits for what stands in it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        self._all = {e.id: e for e in (msgspec.json.decode(line, type=Erasure) for line in lines)}
        self._news = asyncio.Event()

    def add(
        self,
        names: list[Name],
        left: list[str],
        at: int,
        sites: list[str] | None = None,
        known_as: str | None = None,
    ) -> Erasure:
        """Kept and synced; once, however often an edge says it."""
        name = known_as or secrets.token_hex(8)
        erasure = self._all.get(name) or Erasure(name, at, names, left, sites)
        self._put(erasure)
        return erasure

    def done_here(self, erasure: Erasure, seq: int, names: list[Name]) -> None:
        """`names`: all that were found to be the person's."""
        self._put(msgspec.structs.replace(erasure, seq=seq, names=names))

    def done_by(self, erasure: Erasure, upstream: str) -> None:
        now = self._all[erasure.id]
        left = [name for name in now.left if name != upstream]
        self._put(msgspec.structs.replace(now, left=left))

    def drop(self, upstream: str) -> None:
        """Nobody will ever tell it."""
        for erasure in list(self._all.values()):
            self.done_by(erasure, upstream)

    def of(self, upstream: str | None) -> list[Erasure]:
        """What is left to be done by an upstream; None: here. The oldest first."""
        return [
            e
            for e in self._all.values()
            if (e.seq is None if upstream is None else upstream in e.left)
        ]

    async def next(self, upstream: str | None) -> Erasure:
        """The first that is left, once there is one; an upstream's is done here by then."""
        while True:
            for erasure in self.of(upstream):
                if upstream is None or erasure.seq is not None:
                    return erasure
            self._news.clear()
            await self._news.wait()

    def _put(self, erasure: Erasure) -> None:
        entries = self._all | {erasure.id: erasure}
        if erasure.seq is not None and not erasure.left:
            del entries[erasure.id]
        files.replace(self._path, "".join(f"{_LINE(e).decode()}\n" for e in entries.values()))
        self._all = entries
        self._news.set()
