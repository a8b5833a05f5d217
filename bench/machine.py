"""What a bench ran on, and what else ran beside it: without these no figure means anything."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Self

import msgspec
from pysqlite3 import dbapi2 as sqlite

from bench.procfs import TICKS_PER_S, machine_ticks, own_seconds, process_ticks
from collector import __version__ as VERSION

_LIBRARIES = ("aiohttp", "aiosqlite", "msgspec", "uvloop", "pysqlite3")
_BUSY_SHARE = 0.02


class Other(msgspec.Struct, frozen=True):
    """A process that is not the bench's: its share of one core while the bench ran."""

    name: str
    cpu_share: float


class Machine(msgspec.Struct, kw_only=True):
    """`others_share`: what was not the bench's, in cores, also of processes that have ended;
    `others`: those that still ran at the end, by share of one core."""

    cpu: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    python_build: str
    sqlite: str
    collector: str
    libraries: dict[str, str]
    tools: dict[str, str]
    file_system: str
    sync_ms: float
    load_before: float
    load_after: float = 0.0
    stolen_share: float = 0.0
    others_share: float = 0.0
    others: list[Other] = msgspec.field(default_factory=list)


def scratch_root() -> Path:
    """Where temporary data folders go: on a disk, for in memory a sync costs nothing."""
    root = Path(tempfile.gettempdir())
    if _file_system(root) == "tmpfs" and Path("/var/tmp").is_dir():
        return Path("/var/tmp")
    return root


def describe(root: Path) -> Machine:
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        python=platform.python_version(),
        python_build=_python_build(),
        sqlite=sqlite.sqlite_version,
        collector=VERSION,
        libraries={name: _version(name) or "?" for name in _LIBRARIES},
        tools=_tools(),
        file_system=_file_system(root),
        sync_ms=round(_sync_ms(root), 3),
        load_before=os.getloadavg()[0],
    )


class Watch:
    """Notes what foreign processes use of the processor while a bench runs."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __enter__(self) -> Self:
        self._before = process_ticks()
        self._busy, self._stolen = machine_ticks()
        self._own_s = own_seconds()
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        took = max(0.01, time.monotonic() - self._started) * TICKS_PER_S
        machine = self._machine
        machine.load_after = os.getloadavg()[0]
        busy, stolen = machine_ticks()
        own = (own_seconds() - self._own_s) * TICKS_PER_S
        machine.stolen_share = round((stolen - self._stolen) / took / machine.cores, 4)
        machine.others_share = round(max(0.0, busy - self._busy - own) / took, 3)
        shares: dict[str, float] = {}
        for pid, (name, spent, ancestors) in process_ticks().items():
            if os.getpid() in ancestors:
                continue
            used_before = self._before[pid][1] if pid in self._before else 0
            shares[name] = shares.get(name, 0.0) + (spent - used_before) / took
        most = sorted(shares.items(), key=lambda pair: -pair[1])[:8]
        machine.others = [Other(n, round(s, 3)) for n, s in most if s >= _BUSY_SHARE]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _python_build() -> str:
    """A plain build is a quarter to a third slower than one with profile and link-time
    optimization."""
    flags = f"{sysconfig.get_config_var('CONFIG_ARGS')} {sysconfig.get_config_var('PY_CFLAGS')}"
    found = [
        name for name, flag in (("PGO", "--enable-optimizations"), ("LTO", "lto")) if flag in flags
    ]
    return " and ".join(found) or "plain"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _tools() -> dict[str, str]:
    found = {}
    for tool, flag in (("wrk", "-v"), ("nginx", "-v")):
        path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/local/sbin")
        if path:
            said = subprocess.run([path, flag], capture_output=True, text=True, check=False)
            found[tool] = (said.stderr or said.stdout).strip().splitlines()[0][:60]
    return found


def _file_system(folder: Path) -> str:
    best, kind = "", "?"
    try:
        mounts = Path("/proc/mounts").read_text("utf-8").splitlines()
    except OSError:
        return kind
    for line in mounts:
        _, at, system, *_ = line.split()
        if str(folder.resolve()).startswith(at) and len(at) >= len(best):
            best, kind = at, system
    return kind


def _sync_ms(folder: Path, rounds: int = 32) -> float:
    """The median time of one fdatasync after 4 KB were written."""
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(rounds):
            file.write(b"\0" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started)
    return sorted(taken)[rounds // 2] * 1000
