"""Every bench in its quick mode: it ends, what it says it stored is there, its file is valid.
Never how fast: that depends on the machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import full_window
from bench.load import offered
from bench.process import Collector
from bench.result import Result, load
from bench.traffic import SHAPES
from bench.viewer import FILTERS, PAGES, UNRANGED

ROOT = Path(__file__).parents[2]


def bench(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=cwd, capture_output=True, text=True
    )


def quick(name: str, folder: Path, *arguments: str) -> Result:
    file = folder / f"{name}.json"
    done = bench(name, "--quick", "--json", str(file), *arguments)
    assert done.returncode == 0, done.stderr
    result = load(file)
    assert (result.bench, result.quick) == (name, True)
    assert result.machine.cores > 0 and result.machine.sync_ms > 0
    assert all(run.events > 0 and run.events_per_s > 0 for run in result.runs)
    return result


@pytest.mark.parametrize("name", ["decode", "store", "writer", "growth"])
def test_a_part_alone_stores_what_it_says(name: str, tmp_path: Path) -> None:
    result = quick(name, tmp_path)
    stored = [run for run in result.runs if run.rows is not None]
    assert name == "decode" or stored
    assert all(run.rows == run.events and run.lost == 0 for run in stored)


def test_what_waited_for_an_upstream_is_all_delivered(tmp_path: Path) -> None:
    figures = quick("forward", tmp_path).figures
    assert (figures["forward.lost"], figures["forward.missing"]) == (0, 0)
    assert figures["forward.wire_bytes_per_event"] > 10


def test_every_page_of_the_dashboard_is_asked_for(tmp_path: Path) -> None:
    result = quick("dashboard", tmp_path, "--events", "5000")
    asked = {(run.subject, run.shape) for run in result.runs if run.load == "warm"}
    assert {page for page, _ in asked} == {*PAGES, *UNRANGED}
    assert {shape for page, shape in asked if page in PAGES} == set(FILTERS)
    assert result.figures["dashboard.beside.warm.p95_ms"] > 0
    assert result.figures["dashboard.beside.cold.p95_ms"] > 0


def test_ingest_finds_every_answered_event_in_the_table_once(tmp_path: Path) -> None:
    result = quick("ingest", tmp_path)
    ours = [run for run in result.runs if run.subject == "collector"]
    assert {(run.shape, run.load) for run in ours} == {
        (shape, load) for shape in SHAPES for load in ("peak", "open")
    }
    for run in ours:
        assert run.lost == run.repeated == run.errors == 0, run
        assert run.rows is not None and run.rows >= run.events
        assert run.cpu_s and run.rss_peak
    for run in ours:
        if run.load == "open":
            assert run.rows == run.events and set(run.answers) == {"200"}
            assert run.latency and run.latency.p50 <= run.latency.p99 <= run.latency.p999
    assert "collector.batch20.peak.over_limit" in result.figures


def test_the_added_time_of_a_sync_shows_in_every_answer(tmp_path: Path) -> None:
    result = quick("sync", tmp_path)
    slow = [run for run in result.runs if run.at["sync_added_ms"] == 5]
    assert {run.load for run in slow} == {"peak", "open"}
    for run in slow:
        assert run.lost == 0
        if run.load == "open":
            assert run.latency and run.latency.curve["0"] >= 5
        else:
            assert run.syncs


def test_overload_loses_nothing_and_names_every_refusal(tmp_path: Path) -> None:
    result = quick("overload", tmp_path)
    for run in result.runs:
        assert run.lost == run.repeated == 0
        assert set(run.answers) <= {"200", "503", "unsent", "other"}
        assert run.answers.get("other", 0) == 0
    assert result.figures["overload.batch20.2x.refused_without_retry_after"] == 0


def test_soak_reports_memory_and_latency_over_time(tmp_path: Path) -> None:
    result = quick("soak", tmp_path)
    assert [run.at["minute"] for run in result.runs] == sorted(
        run.at["minute"] for run in result.runs
    )
    assert all(run.rss_end and run.latency and run.lost == 0 for run in result.runs)


def test_peers_run_in_turn_and_are_compared(tmp_path: Path) -> None:
    result = quick("peers", tmp_path)
    assert {"baseline", "collector"} <= {run.subject for run in result.runs}
    assert "collector.single.rate_over_baseline_single" in result.figures
    assert all(run.lost == 0 for run in result.runs if run.subject == "collector")


def test_a_running_collector_can_be_named_by_url_and_key(tmp_path: Path) -> None:
    with Collector() as target:
        result = quick(
            "ingest", tmp_path, "--url", target.url, "--key", target.key, "--shape", "single"
        )
        target.wait_idle()
        stored = target.last_seq()
    assert result.target == target.url
    assert stored is not None and stored >= sum(run.events for run in result.runs)
    assert all(run.rows is None and run.cpu_s is None for run in result.runs)


def test_without_wrk_the_peak_is_found_by_generators_of_our_own() -> None:
    with Collector() as target:
        run = offered(target, "gif", target.pool("gif"), 0, 0.5, connections=8, processes=2)
    assert run.load == "peak" and run.events == run.rows
    assert run.lost == run.repeated == run.errors == 0


def test_a_full_window_is_made_and_read_back() -> None:
    with Collector(folder=full_window.make(200_000)) as target:
        before = target.last_seq()
        run = offered(target, "single", target.pool("single"), 50, 0.2, connections=4)
    assert before is not None and before >= 200_000
    assert run.lost == 0 and run.rows == run.events


def test_ingest_alone_and_beside_its_followers_are_compared(tmp_path: Path) -> None:
    result = quick("beside", tmp_path)
    assert [run.subject for run in result.runs] == ["alone", "beside"]
    assert all(run.lost == 0 for run in result.runs)
    assert result.figures["beside.batch20.of_alone"] > 0
