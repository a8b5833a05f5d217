"""A collector whose syncs take longer, by a small library preloaded into it."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from bench.process import Collector

_SOURCE = Path(__file__).with_name("slow_sync.c")


class SlowDisk:
    """The compiled library, and the count of syncs that went through it."""

    def __init__(self, folder: Path, delay_ms: float) -> None:
        self._library = folder / "slow_sync.so"
        self._counts = folder / "syncs"
        self._counts.write_bytes(bytes(8))
        self.delay_ms = delay_ms
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise click.ClickException("sync needs a C compiler (cc) to slow the disk down")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE)]
        subprocess.run([*command, "-ldl"], check=True)

    @property
    def env(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self._library),
            "SYNC_DELAY_US": str(round(self.delay_ms * 1000)),
            "SYNC_COUNT_FILE": str(self._counts),
        }

    def syncs(self) -> int:
        """How many syncs there were so far."""
        return int.from_bytes(self._counts.read_bytes(), "little")


@contextlib.contextmanager
def slow_collector(delay_ms: float) -> Iterator[tuple[Collector, SlowDisk]]:
    with tempfile.TemporaryDirectory(prefix="collector-bench-sync-") as folder:
        disk = SlowDisk(Path(folder), delay_ms)
        with Collector(env=disk.env) as target:
            yield target, disk
