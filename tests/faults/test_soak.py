"""An hour of steady load on one process: memory, open files and latency stay where they were.

One round is a minute (a second in the short run). FAULT_RATE sets the requests a second
instead of half of the peak that is measured first."""

import os
import statistics
from pathlib import Path

import pytest

from bench.load import offered, peak
from bench.process import Collector
from bench.result import Run
from tests.faults.results import record, recording, rounds_of

MINUTES = rounds_of(2, 60)
STEP_S = 60.0 if recording() else 1.0
CONNECTIONS = 256  # as the peak is measured; 32 could not carry half of it
SHAPE = "single"


def rate_of(target: Collector) -> float:
    given = os.environ.get("FAULT_RATE") or ("" if recording() else "100")
    if given:
        return float(given)
    return (peak(target, SHAPE, target.pool(SHAPE), 10, CONNECTIONS).requests_per_s or 0) / 2


def open_files(target: Collector) -> int:
    return len(list(Path(f"/proc/{target.process.pid}/fd").iterdir()))


def note(run: Run, files: int, rate: float) -> None:
    assert run.latency
    assert run.rss_end
    sums = {"acknowledged": run.events, "lost": run.lost or 0, "duplicated": run.repeated or 0}
    sums["errors"] = run.errors
    highest = {
        "requests_a_second": rate,
        "rss_mb": run.rss_end / 1e6,
        "open_files": files,
        "p50_ms": run.latency.p50,
        "p99_ms": run.latency.p99,
    }
    record("soak", rounds=1, seed=0, sums=sums, highest=highest)


def tenths(runs: list[Run], files: list[int]) -> dict[str, float]:
    """Medians of the second tenth (the first holds the start) and of the last one."""
    tenth = max(1, len(runs) // 10)
    found: dict[str, float] = {}
    for name, part in (("early", slice(tenth, 2 * tenth)), ("late", slice(-tenth, None))):
        some = runs[part]
        found[f"rss_mb_{name}"] = statistics.median((r.rss_end or 0) / 1e6 for r in some)
        found[f"open_files_{name}"] = statistics.median(files[part])
        for point in ("p50", "p99"):
            values = [getattr(r.latency, point) for r in some if r.latency]
            found[f"{point}_ms_{name}"] = statistics.median(values)
    return found


@pytest.mark.timeout(120 + 3 * MINUTES * STEP_S)
def test_an_hour_of_load_leaves_memory_files_and_latency_flat() -> None:
    runs: list[Run] = []
    files: list[int] = []
    with Collector() as target:
        rate = rate_of(target)
        for _ in range(MINUTES):
            pool = target.pool(SHAPE)  # with the times of now
            runs.append(offered(target, SHAPE, pool, rate, STEP_S, CONNECTIONS))
            files.append(open_files(target))
            note(runs[-1], files[-1], rate)
            assert (runs[-1].lost, runs[-1].repeated) == (0, 0)
    found = tenths(runs, files)
    print(found)
    flat = found["open_files_late"] <= found["open_files_early"] + 8
    if MINUTES >= 30:  # before that its caches are still filling
        flat = flat and found["rss_mb_late"] < 1.25 * found["rss_mb_early"]
    record("soak", rounds=0, seed=0, sums={"failed": int(not flat)}, highest=found)
    assert flat, found
