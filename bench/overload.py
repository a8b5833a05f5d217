"""More than it can take: what is still stored, how the rest is refused, and that what was
answered 200 is there. Open loop: what finds no free connection waits, and after a second gives
up as a browser would that has left the page (`unsent`).

Single events are held back by the connections alone, for each carries one at a time and there
are fewer of them than events in the collector's buffer; batches of 20 overrun the buffer."""

from collections import Counter

import click

from bench.cli import Plan, bench
from bench.ingest import target_of
from bench.load import offered, peak
from bench.result import Run, median
from bench.traffic import SHAPES

_FACTORS = (2.0, 5.0, 10.0)


@bench(
    click.option("--seconds", type=float, help="Length of each measurement [default: 10]."),
    click.option("--rounds", type=int, help="How often [default: 3]."),
    click.option(
        "--shape",
        "shapes",
        multiple=True,
        type=click.Choice(list(SHAPES)),
        default=["single", "batch20"],
        show_default=True,
    ),
    click.option(
        "--connections", default=512, show_default=True, help="For each multiple of the peak."
    ),
    click.option("--processes", default=1, show_default=True, help="Of the load generator."),
)
def overload(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """Offered load of 2, 5 and 10 times the peak."""
    runs: list[Run] = []
    for number in range(int(plan.own["rounds"] or plan.pick(1, 3))):
        for shape in ("batch20",) if plan.quick else plan.own["shapes"]:
            runs += _round(plan, shape, number)
    return runs, _figures(runs)


def _round(plan: Plan, shape: str, number: int) -> list[Run]:
    runs = [_measure(plan, shape, 0, 1.0)]
    for factor in (2.0,) if plan.quick else _FACTORS:
        runs.append(_measure(plan, shape, factor * (runs[0].requests_per_s or 0), factor))
    for run, factor in zip(runs, (1.0, *_FACTORS), strict=False):
        run.round, run.at = number, {"factor": factor}
    return runs


def _measure(plan: Plan, shape: str, rate: float, factor: float) -> Run:
    own = plan.own
    seconds = own["seconds"] or plan.pick(1, 10, 30)
    with target_of(plan) as target:
        pool = target.pool(shape)
        few, warm_up_s = 32 if plan.quick else 256, plan.pick(0, 2)
        if not rate:
            return peak(target, shape, pool, seconds, few, warm_up_s)
        if warm_up_s:  # as the peak had it: a cold start is not what is measured
            peak(target, shape, pool, warm_up_s, few, 0)
        connections = 64 if plan.quick else int(own["connections"] * factor)
        seconds = plan.pick(0.5, seconds)
        return offered(
            target, shape, pool, rate, seconds, connections, own["processes"], give_up_s=1.0
        )


def _figures(runs: list[Run]) -> dict[str, float]:
    """Goodput: the share of the same round's peak that is still stored and answered in time."""
    figures: dict[str, float] = {}
    peaks = {(run.shape, run.round): run.events_per_s for run in runs if run.at["factor"] == 1}
    for shape, factor in sorted({(run.shape, run.at["factor"]) for run in runs}):
        group = [run for run in runs if run.shape == shape and run.at["factor"] == factor]
        answers = Counter[str]()
        for run in group:
            answers.update(run.answers)
        sent = max(1, answers.total() - answers["unsent"])
        if factor > 1:
            name = f"overload.{shape}.{factor:g}x"
            goodput = median(run.events_per_s / max(1, peaks[shape, run.round]) for run in group)
            figures |= {
                f"{name}.goodput": round(goodput or 0, 3),
                f"{name}.refused_share": round(answers["503"] / sent, 3),
                f"{name}.refused_without_retry_after": answers["503 without Retry-After"],
                f"{name}.sent_share": round(sent / max(1, answers.total()), 3),
            }
    return figures
