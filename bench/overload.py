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
    runs: list[Run] = []
    for factor in (2.0,) if plan.quick else _FACTORS:
        for run in _measure(plan, shape, factor):
            run.round = number
            runs.append(run)
    return runs


def _measure(plan: Plan, shape: str, factor: float) -> list[Run]:
    """The peak, and a multiple of it on the same collector right after: a shared machine's speed
    moves by a third within minutes."""
    seconds = plan.own["seconds"] or plan.pick(1, 10, 30)
    with target_of(plan) as target:
        pool = target.pool(shape)
        most = peak(target, shape, pool, seconds, 32 if plan.quick else 256, plan.pick(0, 2))
        target.wait_idle()
        rate = factor * (most.requests_per_s or 0)
        connections = 64 if plan.quick else int(plan.own["connections"] * factor)
        seconds, processes = plan.pick(0.5, seconds), plan.own["processes"]
        more = offered(target, shape, pool, rate, seconds, connections, processes, give_up_s=1.0)
    most.at, more.at = {"before_factor": factor}, {"factor": factor}
    return [most, more]


def _figures(runs: list[Run]) -> dict[str, float]:
    """Goodput: the share of the peak right before that is still stored and answered in time."""
    figures: dict[str, float] = {}
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    for shape, factor in sorted({(more.shape, more.at["factor"]) for _, more in pairs}):
        group = [
            pair for pair in pairs if pair[1].shape == shape and pair[1].at["factor"] == factor
        ]
        answers = Counter[str]()
        for _, more in group:
            answers.update(more.answers)
        sent = max(1, answers.total() - answers["unsent"])
        name = f"overload.{shape}.{factor:g}x"
        goodput = median(more.events_per_s / max(1, most.events_per_s) for most, more in group)
        figures |= {
            f"{name}.goodput": round(goodput or 0, 3),
            f"{name}.refused_share": round(answers["503"] / sent, 3),
            f"{name}.refused_without_retry_after": answers["503 without Retry-After"],
            f"{name}.sent_share": round(sent / max(1, answers.total()), 3),
        }
    return figures
