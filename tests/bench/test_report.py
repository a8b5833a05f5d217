"""The report: tables and plots from result files alone."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from bench.machine import Machine, describe
from bench.report import README, read, report
from bench.result import RESULTS, Latency, Result, Run, load, medians, save
from bench.tables import block, documented, render


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return describe(tmp_path_factory.mktemp("disk"))


def result_of(name: str, machine: Machine, runs: list[Run]) -> Result:
    return Result(
        bench=name,
        started_at="2026-01-02T03:04:05+00:00",
        took_s=1,
        quick=False,
        target="collector",
        options={},
        machine=machine,
        runs=runs,
        figures=medians(runs),
    )


def run_of(subject: str, rate: float, number: int = 0, **at: float) -> Run:
    curve = dict.fromkeys(("0", "50", "99", "99.9", "100"), 1.0)
    return Run(
        subject=subject,
        shape="single",
        load="peak",
        seconds=1,
        events=int(rate),
        events_per_s=rate,
        requests_per_s=rate,
        cpu_s=0.5,
        round=number,
        at=at,
        latency=Latency(10, 1, 2, 3, 4, curve),
        rss_end=50_000_000,
        lost=0,
    )


def test_a_result_is_read_back_as_it_was_saved(machine: Machine, tmp_path: Path) -> None:
    saved = result_of("ingest", machine, [run_of("collector", 100)])
    save(saved, tmp_path / "ingest.json")
    assert load(tmp_path / "ingest.json") == saved


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"bench": "ingest"}')
    with pytest.raises(msgspec.ValidationError):
        load(tmp_path / "other.json")


def test_figures_are_medians_over_rounds(machine: Machine) -> None:
    runs = [run_of("collector", rate, number) for number, rate in enumerate((100, 900, 300))]
    assert medians(runs)["collector.single.peak.events_per_s"] == 300


def test_a_table_stands_between_its_markers(machine: Machine) -> None:
    text = block("ingest", result_of("ingest", machine, [run_of("collector", 12_345)]))
    assert text.startswith("<!-- bench:ingest -->") and text.endswith("<!-- /bench:ingest -->")
    assert "| collector single, peak | 12,345 |" in text


def test_the_report_holds_tables_and_plots(machine: Machine, tmp_path: Path) -> None:
    peers = [run_of("collector", 100), run_of("nginx", 900)]
    growth = [run_of("growth", 100, rows_before=0), run_of("growth", 99, rows_before=1_000_000)]
    soak = [run_of("collector", 100, minute=minute) for minute in range(3)]
    for name, runs in (("peers", peers), ("growth", growth), ("soak", soak)):
        save(result_of(name, machine, runs), tmp_path / f"{name}.json")
    done = CliRunner().invoke(report, ["--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "REPORT.md").read_text()
    for plot in ("peers-latency", "peers-peers", "growth-growth", "soak-memory"):
        assert f"({plot}.svg)" in text
        assert (tmp_path / f"{plot}.svg").stat().st_size > 1000
        assert (tmp_path / f"{plot}.png").stat().st_size > 1000


def test_without_results_it_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(report, ["--results", str(tmp_path)])
    assert done.exit_code == 1 and "run a bench first" in done.output


def test_report_and_readme_say_what_was_measured() -> None:
    results = read(RESULTS)
    plots = [path.stem for path in RESULTS.glob("*.svg")]
    assert render(results, plots) == (RESULTS / "REPORT.md").read_text("utf-8")
    text = README.read_text("utf-8")
    assert block("peers", results["peers"]) in text
    assert documented(text, results) == text
