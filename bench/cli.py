"""The commands: options that all benches share, and what surrounds each of them."""

import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from bench.console import say
from bench.machine import Watch, describe, scratch_root
from bench.process import Collector, Target
from bench.result import RESULTS, Result, Run, medians, save

_Work = Callable[["Plan"], tuple[list[Run], dict[str, float]]]


class Plan(msgspec.Struct, kw_only=True):
    """What was asked for. `own`: options of the one bench."""

    url: str | None
    key: str | None
    quick: bool
    full: bool
    own: dict[str, Any]

    def remote(self) -> Target | None:
        """The collector that was named, if one was."""
        if self.url is None:
            return None
        if not self.key:
            raise click.UsageError("--url needs --key")
        return Target(self.url, self.key)

    def pick(self, quick: float, usual: float, full: float | None = None) -> float:
        return quick if self.quick else (usual if full is None or not self.full else full)


_SHARED = (
    click.option("--url", help="A running collector [default: one of its own is started]."),
    click.option("--key", help="A write key of it."),
    click.option(
        "--json",
        "file",
        type=click.Path(path_type=Path),
        help="Where the result goes [default: bench/results/NAME.json, and nowhere with --quick].",
    ),
    click.option(
        "--quick", is_flag=True, help="Seconds, to see that it works; figures mean nothing."
    ),
    click.option("--full", is_flag=True, help="Longer, larger, with everything optional."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Measure the collector, its parts and its peers. Results: bench/results/*.json."""


def bench(*options: Callable[[Any], Any]) -> Callable[[_Work], click.Command]:
    """Make a command of a function that takes a Plan and returns runs and figures."""

    def wrap(work: _Work) -> click.Command:
        name = work.__name__.rstrip("_")

        def command(
            url: str | None, key: str | None, file: Path | None, quick: bool, full: bool, **own: Any
        ) -> None:
            plan = Plan(url=url, key=key, quick=quick, full=full, own=own)
            result = measured(name, plan, work)
            if file is None and not quick:
                file = RESULTS / f"{name}.json"
            if file:
                save(result, file)
                say(f"result in {file}")
            for figure, value in result.figures.items():
                click.echo(f"{figure} {value:g}")

        for option in reversed((*_SHARED, *options)):
            command = option(command)
        return main.command(name=name, help=work.__doc__)(command)

    return wrap


def measured(name: str, plan: Plan, work: _Work) -> Result:
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # one a connection
    machine = describe(scratch_root())
    say(
        f"{name} on {machine.cores} x {machine.cpu}, one sync {machine.sync_ms:.2f} ms, "
        f"load {machine.load_before:.2f}"
    )
    if machine.load_before > 0.3 * machine.cores and not plan.quick:
        say("  the machine is not idle: what else runs is noted in the result")
    started, at = time.monotonic(), datetime.now(UTC)
    with Watch(machine):
        runs, figures = work(plan)
    return Result(
        bench=name,
        started_at=at.isoformat(timespec="seconds"),
        took_s=round(time.monotonic() - started, 1),
        quick=plan.quick,
        target=plan.url or Collector.name,
        options={**plan.own, "full": plan.full},
        machine=machine,
        runs=runs,
        figures=medians(runs) | figures,
    )
