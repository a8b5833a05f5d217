"""What the disk takes for a sync, and how much of the file the system keeps in memory."""

import os
import time
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite


class PageCache:
    """Has the system's page cache give up what was written long ago, as the file grows.

    A log is hardly read again, and takes all memory that the site beside it does not hold on to.
    It also costs: where a hypervisor hands memory out as it is touched, pages that were never
    used cost more than all of an event's own writing (2.3 of 5 µs). Each part of the file is given
    up once; what is read again stays like any other."""

    def __init__(self, path: Path, keep_bytes: int) -> None:
        self._path = path
        self._keep = keep_bytes
        self._given_up = path.stat().st_size

    def give_up(self, connection: sqlite.Connection) -> None:
        """On the writing thread, between transactions.

        By the descriptor that SQLite has of the file: with one of our own, closing it would take
        SQLite's locks away (https://sqlite.org/howtocorrupt.html, 2.2)."""
        del connection
        end = self._path.stat().st_size - self._keep
        if not self._keep or end <= self._given_up:
            return
        if (fd := self._descriptor()) is not None:
            os.posix_fadvise(fd, self._given_up, end - self._given_up, os.POSIX_FADV_DONTNEED)
            self._given_up = end

    def _descriptor(self) -> int | None:
        file = self._path.stat()
        opened = Path("/proc/self/fd")
        for link in opened.iterdir() if opened.exists() else ():
            try:
                other = os.fstat(int(link.name))
            except OSError:  # closed meanwhile
                continue
            if (other.st_dev, other.st_ino) == (file.st_dev, file.st_ino):
                return int(link.name)
        return None


def measure_sync(folder: Path, rounds: int = 8) -> float:
    """Seconds that the disk takes for one sync: the median of a few, at start."""
    probe = folder / ".sync-probe"
    taken = []
    fd = os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        for _ in range(rounds):
            os.write(fd, b"\0" * 4096)
            started = time.perf_counter()
            os.fdatasync(fd)
            taken.append(time.perf_counter() - started)
    finally:
        os.close(fd)
        probe.unlink()
    return sorted(taken)[rounds // 2]
