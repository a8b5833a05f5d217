"""The layer between a collector and its disk: it remembers, fails, is slow, or kills; and it
turns the clock.

A small C library preloaded into the real process, so that nothing in the product knows of it.
"""

import mmap
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

WRITE, SYNC, TRUNCATE, UNLINK, RENAME, READ = range(1, 7)
_SOURCE = Path(__file__).with_name("disk_layer.c")
_CONTROL = struct.Struct("8q q q q q 64s q")
_RECORD = struct.Struct("5q")


class Op(NamedTuple):
    """A call that came back well. `done_ns`: when, by the monotonic clock. `name`: below the
    root, "" for the root itself. `data`: what was written; of a rename the new name."""

    op: int
    done_ns: int
    offset: int
    name: str
    data: bytes


class DiskLayer:
    """`env` goes into the process; everything else can be set while it runs."""

    def __init__(self, folder: Path, root: Path, log: bool = False) -> None:
        """`root`: the data folder, which exists from now on."""
        root.mkdir(exist_ok=True)
        library, control = folder / "disk_layer.so", folder / "control"
        _compile(library)
        control.write_bytes(bytes(_CONTROL.size))
        with control.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _CONTROL.size)
        self.log = folder / "disk.log"
        self.env = {
            "LD_PRELOAD": str(library),
            "DISK_ROOT": str(root),
            "DISK_CONTROL": str(control),
        } | ({"DISK_LOG": str(self.log)} if log else {})

    def fail(self, number: int, *ops: int) -> None:
        """From now on these calls fail with this errno; 0: they work again."""
        for op in ops:
            struct.pack_into("q", self._page, 8 * op, number)

    def slow(self, sync_s: float) -> None:
        """Each sync takes so much longer."""
        struct.pack_into("q", self._page, 64, round(sync_s * 1e6))

    def kill(self, op: int, name: str, nth: int, after: bool) -> None:
        """The `nth` such call on that file is the process's last, done (`after`) or not."""
        struct.pack_into("2q64s", self._page, 80, op, after, name.encode())
        struct.pack_into("q", self._page, 72, nth)

    def clock(self, ahead_s: int) -> None:
        """The clock on the wall is so much ahead of the real one (or behind, when negative)."""
        struct.pack_into("q", self._page, 160, ahead_s)

    def ops(self) -> Iterator[Op]:
        """What was logged so far, in order."""
        raw, at = memoryview(self.log.read_bytes()), 0
        while at + _RECORD.size <= len(raw):
            op, done_ns, offset, length, name_length = _RECORD.unpack_from(raw, at)
            at += _RECORD.size
            name = str(raw[at : at + name_length], "utf-8")
            at += name_length
            yield Op(op, done_ns, offset, name, bytes(raw[at : at + length]))
            at += length


def _compile(library: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc)")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
