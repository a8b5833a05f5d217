"""Hours of steady load: memory and latency minute by minute, one collector all the time."""

import click

from bench.cli import Plan, bench
from bench.ingest import target_of
from bench.load import offered, peak
from bench.result import Run
from bench.traffic import SHAPES


@bench(
    click.option("--minutes", type=float, help="[default: 60; 480 with --full]"),
    click.option("--shape", type=click.Choice(list(SHAPES)), default="single", show_default=True),
    click.option("--rate", type=float, help="Requests a second [default: half of the peak]."),
    click.option("--connections", default=256, show_default=True),
)
def soak(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """Memory and latency over time at half of the peak."""
    own = plan.own
    minutes = own["minutes"] or plan.pick(1 / 60, 60, 480)
    step_s = 0.5 if plan.quick else min(60.0, minutes * 60)
    connections = 32 if plan.quick else own["connections"]
    runs: list[Run] = []
    with target_of(plan) as target:
        rate = own["rate"] or (50.0 if plan.quick else None)
        if rate is None:
            pool = target.pool(own["shape"])
            rate = (peak(target, own["shape"], pool, 10, connections).requests_per_s or 0) / 2
        for number in range(max(1, round(minutes * 60 / step_s))):
            pool = target.pool(own["shape"])  # with the times of now
            run = offered(target, own["shape"], pool, rate, step_s, connections)
            run.at = {"minute": round(number * step_s / 60, 3)}
            runs.append(run)
    return runs, _figures(runs)


def _figures(runs: list[Run]) -> dict[str, float]:
    """The last tenth beside the second one: the first holds the start."""
    tenth = max(1, len(runs) // 10)
    early, late = runs[tenth : 2 * tenth] or runs[:1], runs[-tenth:]
    figures = {"soak.lost": float(sum(run.lost or 0 for run in runs))}
    rss = [sum(run.rss_end or 0 for run in part) / len(part) for part in (early, late)]
    p99 = [max(run.latency.p99 for run in part if run.latency) for part in (early, late)]
    if rss[0]:
        figures["soak.rss_late_over_early"] = round(rss[1] / rss[0], 3)
    figures["soak.p99_late_over_early"] = round(p99[1] / max(0.001, p99[0]), 3)
    return figures
