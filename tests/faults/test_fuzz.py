"""Any bytes for every decoder and for the hot lane. A fuzzer led by the code's coverage searches
for hours (`make faults`, FUZZ_SECONDS for each target); what it keeps is tried again here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.fuzz import run
from tests.faults.results import recording, seed_of

ROOT = Path(__file__).parent.parent.parent
SECONDS = int(os.environ.get("FUZZ_SECONDS", "600"))
TARGETS = ("service", "lane", "inflate", "edges", "files", "junks", "texts")


def test_what_was_found_before_and_what_a_throw_of_the_dice_makes_of_it_breaks_nothing() -> None:
    seed = seed_of()
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.fuzz.replay", "2", str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"seed {seed}\n{done.stdout}{done.stderr}"
    assert all(f"{name}: " in done.stdout for name in TARGETS)


@pytest.mark.skipif(not recording(), reason="make faults fuzzes, for hours")
@pytest.mark.timeout(60 + 2 * SECONDS)
@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_break_a_target(target: str) -> None:
    pytest.importorskip("atheris", reason="pip install -e .[fuzz]")
    done = run.fuzz(target, ROOT / "build" / "fuzz", SECONDS)
    run.note(done)
    assert not done.finding, done.finding
    run.keep(target, ROOT / "build" / "fuzz")
