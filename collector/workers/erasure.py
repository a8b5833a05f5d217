"""Erasing a person, and handing out what is stored of one.

In order: the names go on the list of the forgotten, so that nothing new comes in; the log and
all tables lose their rows; the write-ahead log is emptied; every file of the database is
searched for the names, and written anew where one is left. A kill at any point leaves a state
from which the same command goes on.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from collector.errors import CollectorError
from collector.people.project import Changes, Projection
from collector.store import erase, erasures, people
from collector.store.database import Database
from collector.store.reader import Reader
from collector.store.suppressed import Name, Suppressed
from collector.workers.projector import Projector
from collector.workers.retention import SNAPSHOT, Snapshot

_SCAN = 50_000  # numbers looked through in one read
_DELETE = 500  # events taken out in one transaction


class Report(msgspec.Struct):
    """What was erased: rows by table; files that still hold a name; who else was told of them."""

    people: int
    names: int
    removed: dict[str, int]
    searched_for: int
    found_in: list[str]


class Finder:
    """Looks for a person in everything that is stored."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def find(self, kind: str, value: str, sites: list[str]) -> erase.Target:
        """The person that a name leads to; the name itself where nothing is known of it."""
        site = sites[0] if len(sites) == 1 else None
        target = await self._reader.run(erase.find, kind, value, site)
        known = {name[0] for name in target.names} or set(sites)
        target.names = sorted({*target.names, *((site, kind, value) for site in known)})
        return target

    async def find_in_log(self, target: erase.Target) -> None:
        """Where no people are kept: adds the users and visitors that identify calls tie to the
        names. A visitor that was several users is none of them."""
        named = await self._ties(target.names)
        visitors = [(site, "anonymous", visitor) for site, _, visitor in named if visitor]
        users: dict[tuple[str, str], set[str]] = {}
        for site, user, visitor in await self._ties(visitors):
            if visitor:
                users.setdefault((site, visitor), set()).add(user)
        names = set(target.names)
        for site, user, visitor in named:
            alone = not visitor or len(users[site, visitor]) == 1
            if alone and visitor:
                names.add((site, "anonymous", visitor))
            if alone or (site, "anonymous", visitor) not in target.names:
                names.add((site, "user", user))
        target.names = sorted(names)

    async def _ties(self, names: list[Name]) -> list[tuple[str, str, str | None]]:
        last = await self._reader.run(erase.last_seq)
        found: set[tuple[str, str, str | None]] = set()
        for after in range(0, last if names else 0, _SCAN):
            found.update(await self._reader.run(erase.ties, names, after, after + _SCAN))
        return list(found)

    async def access(self, target: erase.Target) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """All rows of a person: table and row."""
        for table, some in (await self._reader.run(erase.gather, target)).items():
            for row in some:
                yield table, row
        last = await self._reader.run(erase.last_seq)
        async for own, _ in self._look(target, 0, last):
            for row in await self._reader.run(erase.events, own):
                yield "events", row

    async def _look(
        self, target: erase.Target, start: int, last: int
    ) -> AsyncIterator[tuple[list[int], list[int]]]:
        """Piece by piece: the person's events, and others that mention a name."""
        for after in range(start, last, _SCAN):
            upto = min(last, after + _SCAN)
            own = await self._reader.run(erase.own_events, target, after, upto)
            named = await self._reader.run(erase.mentions, target, after, upto)
            yield own, sorted(set(named) - set(own))


class Eraser(Finder):
    """Erases; at most one at a time, and never between the projector's two halves."""

    def __init__(
        self, database: Database, reader: Reader, projector: Projector, suppressed: Suppressed
    ) -> None:
        super().__init__(reader)
        self._database = database
        self._projector = projector
        self.suppressed = suppressed
        self.snapshot: Snapshot | None = None
        self._busy = asyncio.Lock()

    async def forget(self, target: erase.Target) -> Report:
        """Raises CollectorError when the store cannot do it; what was done stays done."""
        removed: Counter[str] = Counter()
        found: list[str] = []
        schema = await self._reader.run(erase.schema)
        needles = [needle for needle in target.everywhere if needle not in schema]
        async with self._busy:
            self.suppressed.add(target.names)
            after, last = -1, await self._reader.run(erase.last_seq)
            while await self._erase_events(target, after, last, removed) or after < 0:
                await self._erase_people(target, removed)
                # Where it concerns some sites only, others may hold the names with good reason.
                found = await self._prove(needles)
                # What had been accepted before the names were on the list is in the log by now.
                after, last = last, await self._reader.run(erase.last_seq)
        counts = {table: count for table, count in removed.items() if count}
        return Report(len(target.people), len(target.names), counts, len(needles), found)

    async def _erase_events(
        self, target: erase.Target, after: int, last: int, removed: Counter[str]
    ) -> int:
        touched = 0
        async for own, mentions in self._look(target, max(0, after), last):
            removed["events"] += await self._in_pieces(
                erase.erase_events, own, self._projector.rules
            )
            struck = await self._in_pieces(erase.scrub_events, mentions, target.needles)
            removed["events of others, names struck out"] += struck
            touched += len(own) + len(mentions)
        return touched

    async def _erase_people(self, target: erase.Target, removed: Counter[str]) -> None:
        async with self._projector.lock:
            changes = await self._reader.run(self._without, target.keys)
            rules = self._projector.rules
            removed.update(await self._database.run(erase.erase_people, target, changes, rules))
        await self._forget_in_snapshot(target)

    async def _forget_in_snapshot(self, target: erase.Target) -> None:
        """Its keys have the same numbers as here."""
        if self.snapshot is None:
            return
        kept = self.snapshot
        changes = await kept.reader.run(self._without, target.keys)
        rules = self._projector.rules
        await kept.database.run(erase.erase_people, target, changes, rules)
        await kept.database.run(erase.fold, False)

    async def again(self) -> int:
        """Erase those on the list who are there nevertheless: a backup was restored. Returns
        how many names came back."""
        if not self.suppressed:
            return 0
        names = await self._reader.run(erase.known_names)
        back = [name for name in names if self.suppressed.holds([name])]
        for site, kind, value in back:
            await self.forget(await self.find(kind, value, [site]))
        return len(back)

    async def _in_pieces(self, work: Any, seqs: list[int], *args: Any) -> int:
        done = 0
        for start in range(0, len(seqs), _DELETE):
            done += await self._database.run(work, seqs[start : start + _DELETE], *args)
        return done

    def _without(self, connection: Any, keys: list[int]) -> Changes:
        return Projection(people.Stored(connection), self._projector.rules).forget(keys)

    async def _prove(self, needles: list[str]) -> list[str]:
        """Files in which a name is still to be found; the database is written anew first where
        it is one of them."""
        folder = self._database.path.parent
        own = self._database.path.name
        for rewrite in (False, True):
            await self._database.run(erase.fold, rewrite)
            if self.snapshot and rewrite:
                await self.snapshot.database.run(erase.fold, rewrite)
            found = await asyncio.to_thread(_search, folder, needles)
            if not any(
                name.startswith((own, SNAPSHOT)) and "damaged" not in name for name in found
            ):
                break
        return found


_kept: dict[tuple[int, int], int] = {}  # descriptors of files, by device and number


def _search(folder: Path, needles: list[str]) -> list[str]:
    """The file of erasures under way holds the names for as long as upstreams need them. The
    index of the write-ahead log holds numbers only."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_file()
        and path.name != erasures.FILE
        and not path.name.endswith("-shm")
        and _holds(path, needles)
    )


def _holds(path: Path, needles: list[str]) -> bool:
    """Whether the bytes of a name are in a file, in any mix of upper and lower case."""
    wanted = [needle.encode() for needle in needles]
    longest = max(map(len, wanted), default=0)
    if not longest:
        return False
    descriptor = _descriptor(path)
    step, at = 16 << 20, 0
    while piece := os.pread(descriptor, step + longest, at).lower():
        if any(needle in piece for needle in wanted):
            return True
        at += step
    return False


def _descriptor(path: Path) -> int:
    """To read a file that SQLite has open. It stays open as long as the file is there: closing
    any descriptor of a file gives up all the process's locks on it, SQLite's too, and the next
    program that reads the database would take it for one that nobody uses, and empty the index
    of the write-ahead log, which is mapped here."""
    for key, kept in list(_kept.items()):
        if not os.fstat(kept).st_nlink and _kept.pop(key, None) is not None:
            os.close(kept)
    about = path.stat()
    key = (about.st_dev, about.st_ino)
    if key not in _kept:
        _kept[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return _kept[key]


def named(user: str | None, anonymous: str | None, email: str | None) -> tuple[str, str]:
    """The kind and value of the one name that was given. Raises CollectorError."""
    given = [
        (kind, value)
        for kind, value in (("user", user), ("anonymous", anonymous), ("email", email))
        if value
    ]
    if len(given) != 1:
        raise CollectorError("name one of --user, --anonymous and --email")
    kind, value = given[0]
    return kind, value.strip().lower() if kind == "email" else value


def as_line(table: str, row: dict[str, Any]) -> bytes:
    """A row as JSON; bytes of refused requests as far as they are text."""
    shown = {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for name, value in row.items()
    }
    return msgspec.json.encode({"table": table, **shown})
