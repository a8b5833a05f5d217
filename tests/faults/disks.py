"""Two ways to a disk that is full for the real process."""

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.harness import Collector

PAGE = os.sysconf("SC_PAGE_SIZE")


class SmallDisk:
    """A tmpfs of its own, filled with ballast: writes fail with ENOSPC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, collector: Collector, spare_pages: int = 0) -> None:
        fd = os.open(self._ballast, os.O_WRONLY | os.O_CREAT)
        try:
            self._write_until_full(fd)
            os.ftruncate(fd, os.fstat(fd).st_size // PAGE * PAGE - spare_pages * PAGE)
        finally:
            os.close(fd)

    def _write_until_full(self, fd: int) -> None:
        try:
            while True:
                os.write(fd, bytes(PAGE))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def free(self, collector: Collector) -> None:
        self._ballast.unlink()


class SizeLimit:
    """No file of the process may grow beyond 256 KiB (EFBIG), nor beyond what the write-ahead log
    takes now: once folded back it begins anew, and has room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, collector: Collector) -> None:
        wal = (collector.data / "collector.db-wal").stat().st_size
        self._limit(collector, min(wal, 1 << 18))

    def free(self, collector: Collector) -> None:
        self._limit(collector, resource.RLIM_INFINITY)

    def _limit(self, collector: Collector, size: int) -> None:
        hard = resource.prlimit(collector.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(collector.pid, resource.RLIMIT_FSIZE, (size, hard))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Skips the test where mounting is not permitted."""
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if mount.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mount.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
