"""The whole way over HTTP: how much it takes, and how fast it answers at half of that."""

import contextlib
from collections.abc import Iterator

import click

from bench import full_window, limit
from bench.cli import Plan, bench
from bench.load import offered, peak
from bench.process import Collector, Target
from bench.result import Run, median
from bench.traffic import SHAPES


@bench(
    click.option(
        "--shape",
        "shapes",
        multiple=True,
        type=click.Choice(list(SHAPES)),
        help="Several at will [default: all].",
    ),
    click.option("--seconds", type=float, help="Length of each measurement [default: 10]."),
    click.option("--rounds", type=int, help="How often [default: 3]."),
    click.option("--connections", default=256, show_default=True),
    click.option("--rate", type=float, help="Requests a second in the open loop."),
    click.option(
        "--share",
        default=0.5,
        show_default=True,
        help="Without --rate: share of the peak just measured.",
    ),
    click.option(
        "--headers",
        type=click.Choice(["browser", "few"]),
        default="browser",
        show_default=True,
        help="As a browser sends them, or as few as there can be.",
    ),
    click.option(
        "--full-window",
        is_flag=True,
        help="Start with a full deduplication window, for the memory at the peak.",
    ),
    click.option("--open/--no-open", "open_loop", default=True, show_default=True),
)
def ingest(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """Single events, batches of 20 and pixel GETs: the peak, then an open loop."""
    runs: list[Run] = []
    shapes = plan.own["shapes"] or list(SHAPES)
    for number in range(int(plan.own["rounds"] or plan.pick(1, 3))):
        found: list[Run] = []
        for shape in shapes:
            with target_of(plan) as target:
                found += _measure(plan, target, shape)
        if "batch20" in shapes and not plan.url:
            found.append(limit.measure("batch20", plan.pick(0.2, 3)))
        for run in found:
            run.round = number
        runs += found
    return runs, _over_limit(runs)


def _over_limit(runs: list[Run]) -> dict[str, float]:
    """Batches of 20 over HTTP beside what SQLite takes of the same rows, round by round."""
    bare = {run.round: run.events_per_s for run in runs if run.subject == "limit"}
    shares = [
        run.events_per_s / bare[run.round]
        for run in runs
        if run.shape == "batch20" and run.load == "peak" and bare.get(run.round)
    ]
    share = median(shares)
    return {} if share is None else {"collector.batch20.peak.over_limit": round(share, 3)}


@contextlib.contextmanager
def target_of(plan: Plan) -> Iterator[Target]:
    remote = plan.remote()
    if remote:
        yield remote
        return
    with Collector(folder=full_window.make() if plan.own.get("full_window") else None) as target:
        yield target


def _measure(plan: Plan, target: Target, shape: str) -> list[Run]:
    own = plan.own
    seconds = own["seconds"] or plan.pick(1, 10, 30)
    connections = own["connections"] if not plan.quick else 32
    pool = target.pool(shape, own["headers"])
    most = peak(target, shape, pool, seconds, connections, warm_up_s=plan.pick(0, 2))
    if not own["open_loop"]:
        return [most]
    rate = own["rate"] or max(20.0, own["share"] * (most.requests_per_s or 0))
    if plan.quick and not own["rate"]:
        rate = 50.0
    return [most, offered(target, shape, pool, rate, plan.pick(0.5, seconds), connections)]
