"""`python -m tests.faults.fuzz.run WORK SECONDS [TARGET …]`: each target in turn for so many
seconds of the clock, its growing corpus under WORK, a line of JSON for each round on stdout.

`--keep`: lay what was found in tests/faults/corpus, minimised."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.faults.fuzz import corpus
from tests.faults.results import record

_CHILD = "tests.faults.fuzz.child"
_RSS_MB = 2048
_LONGEST = 4096
_KEPT_BYTES = 30_000  # of a target's corpus in the repository
_DONE = re.compile(r"^#(\d+)\tDONE|stat::number_of_executed_units:\s*(\d+)", re.M)
_LINE = re.compile(r"^#(\d+)\s", re.M)
_PEAK = re.compile(r"stat::peak_rss_mb:\s*(\d+)")


class Round(NamedTuple):
    target: str
    cpu_s: float
    executions: int
    peak_rss_mb: int
    corpus: int
    finding: str  # empty, or what broke, with the file that shows it


def fuzz(target: str, work: Path, seconds: int) -> Round:
    folder = _prepared(target, work)
    found = work / "findings"
    found.mkdir(exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST}",
        f"-rss_limit_mb={_RSS_MB}",
        f"-artifact_prefix={found}/{target}-",
        "-timeout=1200",
        "-print_final_stats=1",
        "-reload=0",
        "-len_control=0",
    ]
    return _child(target, [*options, str(folder)], folder)


def _child(target: str, arguments: list[str], folder: Path, env: Mapping[str, str] = {}) -> Round:
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", _CHILD, target, *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        errors="replace",
    )
    after = os.times()
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    counts = [int(n) for pair in _DONE.findall(done.stderr) for n in pair if n]
    counts += [int(n) for n in _LINE.findall(done.stderr)]
    peak = _PEAK.search(done.stderr)
    finding = "" if done.returncode == 0 else done.stdout[-3000:] + done.stderr[-3000:]
    return Round(
        target,
        round(cpu_s, 1),
        max(counts, default=0),
        int(peak[1]) if peak else 0,
        sum(1 for _ in folder.iterdir()),
        finding,
    )


def _prepared(target: str, work: Path) -> Path:
    folder = work / target
    if not folder.exists():
        from tests.faults.fuzz import seeds, targets

        corpus.lay_out([*seeds.of(target, targets._paths()), *corpus.read(target)], folder)
    return folder


def note(done: Round) -> None:
    """Add a round to what docs/FAULTS.md says."""
    record(
        "fuzz",
        rounds=done.executions,
        seed=0,
        sums={
            "hours": done.cpu_s / 3600,
            "findings": float(bool(done.finding)),
            f"inputs_of_{done.target}": done.executions,
        },
        highest={"rss_mb": done.peak_rss_mb},
    )


def keep(target: str, work: Path) -> int:
    """The smallest inputs that still see all that the corpus under `work` sees."""
    with tempfile.TemporaryDirectory() as made, tempfile.NamedTemporaryFile("w") as itself:
        itself.write(f'#!/bin/sh\nexec {sys.executable} -m {_CHILD} {target} "$@"\n')
        itself.flush()
        Path(itself.name).chmod(0o700)
        arguments = ["-merge=1", f"-max_len={_LONGEST}", made, str(work / target)]
        _child(target, arguments, Path(made), {"FUZZ_SELF": f"/bin/sh {itself.name}"})
        inputs = sorted((f.read_bytes() for f in Path(made).iterdir()), key=len)
    kept, size = [], 0
    for data in inputs:
        size += len(data)
        if size <= _KEPT_BYTES:
            kept.append(data)
    if kept:
        corpus.write(target, kept)
    return len(kept)


def main() -> None:
    arguments = [a for a in sys.argv[1:] if a != "--keep"]
    work, seconds, names = Path(arguments[0]), int(arguments[1]), arguments[2:]
    work.mkdir(parents=True, exist_ok=True)
    for name in names:
        if "--keep" in sys.argv:
            print(name, keep(name, work))
            continue
        began = time.time()
        done = fuzz(name, work, seconds)
        print(json.dumps({"at": round(began), **done._asdict()}), flush=True)


if __name__ == "__main__":
    main()
