"""docs/FAULTS.md out of results/*.json, faults.toml and findings.md.

`python -m tests.faults.report` writes it; `make faults` does so at its end."""

import tomllib
from pathlib import Path

import msgspec

from tests.faults.results import FOLDER, ROOT, Found, load_all

DOCUMENT = ROOT / "docs" / "FAULTS.md"
HERE = Path(__file__).parent
# Sums that must be 0; as long as they are, 3/N bounds the share of rounds in which they are not.
FAILURES = ("lost", "duplicated", "invented", "altered", "silent", "crash_loops", "failed")
_IN_TABLE = ("acknowledged", "lost", "duplicated")
_HEAD = """# Faults survived

Written by `make faults` out of `tests/faults/results/*.json`; not by hand but for the findings
at the end, which are `tests/faults/findings.md`.

The real process is harmed while clients send to it. They write down, outside of it, every event
that they send and every answer that they get; afterwards an oracle compares that with the
database: **acknowledged** were answered 200, **lost** are those of them that are not there,
**duplicated** those that are there twice. It also looks for events that nobody sent and for ones
that differ from what was sent. Rounds add up over all runs, each with a seed of its own. Zero
failures in N rounds do not prove that there are none: the **bound** is what the true share of
failing rounds may be at most, at 95 %, by the rule of three (3/N).

`make faults` makes the long rounds, for hours; `make faults ARGS="-k kill"` a part of them;
`FAULT_ROUNDS=20` in front sets how many, `FAULT_SEED=7` repeats a run. A short round of each is
part of `make test`.

"""


class Fault(msgspec.Struct, frozen=True):
    """As faults.toml describes it."""

    title: str
    done: str
    unit: str = "rounds"


def described() -> dict[str, Fault]:
    """By name, in the order of the document."""
    raw = tomllib.loads((HERE / "faults.toml").read_text("utf-8"))
    return msgspec.convert(raw, dict[str, Fault])


def render(results: dict[str, Found]) -> str:
    """The whole document. Raises KeyError for a result that nothing describes."""
    faults = described()
    unknown = results.keys() - faults.keys()
    if unknown:
        raise KeyError(f"not in faults.toml: {sorted(unknown)}")
    present = {name: fault for name, fault in faults.items() if name in results}
    lines = ["| fault | rounds | acknowledged | lost | duplicated | bound |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    lines += [_row(fault, results[name]) for name, fault in present.items()]
    sections = [_section(fault, results[name]) for name, fault in present.items()]
    findings = (HERE / "findings.md").read_text("utf-8")
    return _HEAD + "\n".join(lines) + "\n\n" + "\n".join(sections) + "\n" + findings


def _row(fault: Fault, found: Found) -> str:
    sums = [_number(found.sums[name]) if name in found.sums else "" for name in _IN_TABLE]
    cells = [fault.title, f"{found.rounds:,} {fault.unit}", *sums, _bound(found)]
    return f"| {' | '.join(cells)} |"


def _bound(found: Found) -> str:
    if any(found.sums.get(name) for name in FAILURES):
        return "**failed**"
    return f"{300 / found.rounds:.2g} %" if found.rounds >= 10 else ""  # of few it says nothing


def _section(fault: Fault, found: Found) -> str:
    lines = [f"## {fault.title}", "", fault.done, ""]
    figures = [f"{_words(k)} {_number(v)}" for k, v in found.sums.items()]
    if figures:
        lines.append(f"In {found.rounds:,} {fault.unit} in sum: {', '.join(figures)}.")
    highest = [f"{_words(k)} {_number(v)}" for k, v in found.highest.items()]
    if highest:
        lines.append(f"Highest seen: {', '.join(highest)}.")
    return "\n".join([*lines, "", *_origins(found), ""])


def _origins(found: Found) -> list[str]:
    """By which commands and on which machines; of runs that share them the span of dates."""
    said: dict[tuple[str, str], list[str]] = {}
    for run in found.runs:
        said.setdefault((run.command, run.machine), []).append(run.date)
    lines = []
    for (command, machine), dates in said.items():
        span = " to ".join(sorted({min(dates), max(dates)}))
        runs = f"{len(dates)} run{'s' * (len(dates) > 1)}"
        lines.append(f"- `{command}`, {runs}, {span}: {machine}")
    return lines


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


def main() -> None:
    DOCUMENT.write_text(render(load_all(FOLDER)), "utf-8")
    print(f"{DOCUMENT.relative_to(ROOT)} is written")


if __name__ == "__main__":
    main()
