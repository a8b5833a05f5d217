"""The results add up, and the document is what they say."""

from pathlib import Path

import pytest

from tests.faults.report import DOCUMENT, described, render
from tests.faults.results import Found, Run, load, load_all, record, rounds_of


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULTS_RECORD", "1")


def test_the_document_is_what_the_results_say() -> None:
    assert DOCUMENT.read_text("utf-8") == render(load_all()), "run: python -m tests.faults.report"


def test_nothing_is_recorded_by_an_ordinary_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAULTS_RECORD", raising=False)
    record("kill", rounds=1, seed=1, sums={"lost": 0}, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("recording")
def test_rounds_and_sums_add_up_and_the_highest_is_kept(tmp_path: Path) -> None:
    for rounds, seed, lost, took_s in ((2, 1, 0, 1.5), (3, 1, 1, 4.0), (5, 2, 0, 0.5)):
        sums, highest = {"acknowledged": 10, "lost": lost}, {"exit_s": took_s}
        record("kill", rounds=rounds, seed=seed, sums=sums, highest=highest, folder=tmp_path)
    found = load(tmp_path / "kill.json")
    assert found.rounds == 10
    assert found.sums == {"acknowledged": 30, "lost": 1}
    assert found.highest == {"exit_s": 4.0}
    assert [(run.seed, run.rounds) for run in found.runs] == [(1, 5), (2, 5)]


def test_a_bound_is_given_only_where_nothing_failed() -> None:
    run = Run(date="2026-01-02", machine="a machine", commit="c", command="make faults", seed=1)
    good = Found(rounds=300, sums={"acknowledged": 5, "lost": 0, "duplicated": 0}, runs=[run])
    name, fault = next(iter(described().items()))
    assert f"| {fault.title} | 300 {fault.unit} | 5 | 0 | 0 | 1 % |" in render({name: good})
    good.sums["lost"] = 1
    assert "| 1 | 0 | **failed** |" in render({name: good})


def test_a_result_that_nothing_describes_is_refused() -> None:
    with pytest.raises(KeyError, match="nobody_knows"):
        render({"nobody_knows": Found()})


def test_rounds_are_short_unless_recorded_or_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, recorded, wanted in ((None, "0", 2), (None, "1", 900), ("7", "1", 7)):
        monkeypatch.setenv("FAULTS_RECORD", recorded)
        monkeypatch.delenv("FAULT_ROUNDS", raising=False)
        if given:
            monkeypatch.setenv("FAULT_ROUNDS", given)
        assert rounds_of(2, 900) == wanted
