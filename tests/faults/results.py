"""What the long rounds found: one file a fault, to which every run adds.

`make faults` sets FAULTS_RECORD; without it nothing is written and the rounds are short.
FAULT_ROUNDS sets their number, FAULT_SEED repeats a run.
"""

import functools
import os
import platform
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.machine import describe, scratch_root

FOLDER = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent.parent


class Run(msgspec.Struct, kw_only=True):
    """One run of a test; what it recorded piece by piece is added up."""

    date: str
    machine: str
    commit: str
    command: str
    seed: int
    rounds: int = 0
    sums: dict[str, float] = msgspec.field(default_factory=dict)
    highest: dict[str, float] = msgspec.field(default_factory=dict)

    def same(self, other: "Run") -> bool:
        return (self.commit, self.command, self.seed) == (other.commit, other.command, other.seed)

    def add(self, other: "Run | Found") -> None:
        self.rounds += other.rounds
        for name, value in other.sums.items():
            self.sums[name] = round(self.sums.get(name, 0) + value, 3)
        for name, value in other.highest.items():
            self.highest[name] = round(max(self.highest.get(name, value), value), 3)


class Found(msgspec.Struct, kw_only=True):
    """All runs of one fault. `rounds` and `sums` add up, `highest` keeps the maximum."""

    rounds: int = 0
    sums: dict[str, float] = msgspec.field(default_factory=dict)
    highest: dict[str, float] = msgspec.field(default_factory=dict)
    runs: list[Run] = msgspec.field(default_factory=list)


def recording() -> bool:
    return os.environ.get("FAULTS_RECORD") == "1"


def rounds_of(short: int, long: int) -> int:
    """How many rounds: short in `make test`, long in `make faults`, else as FAULT_ROUNDS says."""
    return int(os.environ.get("FAULT_ROUNDS") or (long if recording() else short))


def seed_of() -> int:
    """FAULT_SEED, or another one each time."""
    return int(os.environ.get("FAULT_SEED") or random.randrange(10**6))


def record(
    fault: str,
    *,
    rounds: int,
    seed: int,
    sums: dict[str, float],
    highest: dict[str, float] | None = None,
    folder: Path = FOLDER,
) -> None:
    """Add to results/`fault`.json, when recording. A long run calls it again and again with what
    came since the last call, so that a run that is cut short has not been for nothing.

    A sum whose name is in report.FAILURES and that is not 0 is a failure: record it before you
    assert. `fault` is described in faults.toml."""
    if not recording():
        return
    folder.mkdir(exist_ok=True)
    path = folder / f"{fault}.json"
    found = load(path) if path.exists() else Found()
    run = Run(
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=_machine(),
        commit=_commit(),
        command=_command(),
        seed=seed,
        rounds=rounds,
        sums=sums,
        highest=highest or {},
    )
    if found.runs and found.runs[-1].same(run):
        found.runs[-1].add(run)
    else:
        found.runs.append(run)
    _add_up(found, run)
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    draft.replace(path)


def _add_up(found: Found, run: Run) -> None:
    total = Run(date="", machine="", commit="", command="", seed=0)
    total.add(found)
    total.add(run)
    found.rounds, found.sums, found.highest = total.rounds, total.sums, total.highest


def load(path: Path) -> Found:
    return msgspec.json.decode(path.read_bytes(), type=Found)


def load_all(folder: Path = FOLDER) -> dict[str, Found]:
    return {path.stem: load(path) for path in sorted(folder.glob("*.json"))}


@functools.cache
def _machine() -> str:
    """What it ran on, in one line."""
    m = describe(scratch_root())
    return (
        f"{m.cores} cores of {m.cpu}, {m.memory_bytes / 2**30:.0f} GB, {platform.system()} "
        f"{m.kernel}, {m.file_system}, Python {m.python}, SQLite {m.sqlite}, "
        f"collector {m.collector}"
    )


@functools.cache
def _commit() -> str:
    """Of the product under test; with a + when its files differ from it."""
    said = [
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        for words in (("rev-parse", "--short=10", "HEAD"), ("status", "--short", "collector"))
    ]
    return f"{said[0] or '?'}{'+' if said[1] else ''}"


def _command() -> str:
    """How to run it again (FAULT_SEED apart, which stands beside it)."""
    given = [(name, os.environ.get(name)) for name in ("FAULT_ROUNDS", "FAULT_RATE")]
    before = "".join(f"{name}={value} " for name, value in given if value)
    test = re.search(r"::(\w+)", os.environ.get("PYTEST_CURRENT_TEST", ""))
    if test:
        return f'{before}make faults ARGS="-k {test[1]}"'
    return f"{before}python -m {' '.join([Path(sys.argv[0]).stem, *sys.argv[1:]])}"
