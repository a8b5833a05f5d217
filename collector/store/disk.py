"""What the disk takes for a sync, and how much of the file the system keeps in memory."""

import contextlib
import os
import time
from pathlib import Path


class PageCache:
    """Has the system's page cache give up what was written long ago, as the file grows.

    A log is hardly read again, and takes all memory that the site beside it does not hold on to.
    It also costs: where a hypervisor hands memory out as it is touched, pages that were never
    used cost more than all of an event's own writing (2.3 of 5 µs). Each part of the file is given
    up once; what is read again stays like any other."""

    def __init__(self, file: int, keep_bytes: int) -> None:
        """`file`: a descriptor that stays open."""
        self._file = file
        self._keep = keep_bytes
        self._given_up = os.fstat(file).st_size

    def give_up(self) -> None:
        """Takes a few ms, in which the system waits for nothing."""
        with contextlib.suppress(OSError):
            end = os.fstat(self._file).st_size - self._keep
            start, size = self._given_up, end - self._given_up
            if self._keep and size > 0:
                os.posix_fadvise(self._file, start, size, os.POSIX_FADV_DONTNEED)
                self._given_up = end


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
