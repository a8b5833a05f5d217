"""What a slower disk costs: peak and latency with 0, 5 and 20 ms added to each sync."""

import click

from bench.cli import Plan, bench
from bench.load import offered, peak
from bench.result import Run, median
from bench.slow_sync import slow_collector

_DELAYS_MS = (0.0, 5.0, 20.0)


@bench(
    click.option("--seconds", type=float, help="Length of each measurement [default: 8]."),
    click.option("--rounds", type=int, help="How often [default: 3]."),
    click.option(
        "--connections",
        default=4096,
        show_default=True,
        help="Many: with slow syncs each waits two of them, and 2,048 are too few for a peak.",
    ),
    click.option(
        "--rate",
        type=float,
        help="Requests a second in the open loop [default: half of the peak without delay].",
    ),
)
def sync(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """Single events with 0, 5 and 20 ms added to each sync, as on consumer disks."""
    if plan.url:
        raise click.UsageError("sync slows down a collector of its own: leave --url out")
    runs: list[Run] = []
    for number in range(int(plan.own["rounds"] or plan.pick(1, 3))):
        rate = plan.own["rate"]
        for delay_ms in (0.0, 5.0) if plan.quick else _DELAYS_MS:
            found = _measure(plan, delay_ms, rate)
            rate = rate or (found[0].requests_per_s or 100) / 2
            for run in found:
                run.round = number
            runs += found
    return runs, _figures(runs)


def _measure(plan: Plan, delay_ms: float, rate: float | None) -> list[Run]:
    seconds = plan.own["seconds"] or plan.pick(1, 8, 20)
    connections = 32 if plan.quick else plan.own["connections"]
    with slow_collector(delay_ms) as (target, disk):
        pool = target.pool("single")
        before = disk.syncs()
        most = peak(target, "single", pool, seconds, connections, warm_up_s=plan.pick(0, 2))
        syncs = disk.syncs() - before
        if not syncs:
            raise click.ClickException(
                "the collector's syncs do not go through the preloaded "
                "library: nothing was slowed down"
            )
        rate = 50.0 if plan.quick else rate or (most.requests_per_s or 100) / 2
        seconds = plan.pick(0.5, seconds)
        paced = offered(target, "single", pool, rate, seconds, connections)
    most.at, most.syncs = {"sync_added_ms": delay_ms}, syncs
    paced.at = {"sync_added_ms": delay_ms}
    return [most, paced]


def _figures(runs: list[Run]) -> dict[str, float]:
    """Against the runs of the same round without delay: the peak's share that is left, and by
    how many of the slowed syncs the 99th percentile is later."""
    figures: dict[str, float] = {}
    for delay_ms in sorted({run.at["sync_added_ms"] for run in runs} - {0.0}):
        shares, later = [], []
        for run in runs:
            if run.at["sync_added_ms"] != delay_ms:
                continue
            base = next(
                other
                for other in runs
                if other.round == run.round
                and other.load == run.load
                and other.at["sync_added_ms"] == 0
            )
            if run.load == "peak":
                shares.append(run.events_per_s / max(1, base.events_per_s))
            elif run.latency and base.latency:
                later.append((run.latency.p99 - base.latency.p99) / delay_ms)
        figures[f"sync.{delay_ms:g}ms.peak_share"] = round(median(shares) or 0, 3)
        figures[f"sync.{delay_ms:g}ms.p99_later_in_syncs"] = round(median(later) or 0, 2)
    return figures
