"""The collector beside others, in one run and in turn, so that the machine's moods fall on all."""

import click

from bench.adapters import PEERS, Peer
from bench.cli import Plan, bench
from bench.console import say
from bench.load import peak
from bench.result import Run, median


@bench(
    click.option("--seconds", type=float, help="Length of each measurement [default: 5]."),
    click.option("--rounds", type=int, help="How often [default: 5]."),
    click.option("--connections", default=256, show_default=True),
    click.option(
        "--headers", type=click.Choice(["browser", "few"]), default="browser", show_default=True
    ),
    click.option(
        "--peer",
        "names",
        multiple=True,
        help="Beside the collector: these only [default: all that are installed].",
    ),
)
def peers(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """nginx, the plain aiohttp and aiosqlite design, and what else is installed."""
    if plan.url:
        raise click.UsageError("peers starts all of them itself: leave --url out")
    chosen = [peer for peer in PEERS if _wanted(peer, plan)]
    runs: list[Run] = []
    for number in range(int(plan.own["rounds"] or plan.pick(1, 5))):
        for peer in chosen:
            for shape in peer.shapes[:1] if plan.quick else peer.shapes:
                runs.append(_measure(plan, peer, shape))
                runs[-1].round = number
    return runs, ratios(runs)


def _wanted(peer: Peer, plan: Plan) -> bool:
    names = plan.own["names"]
    if names and peer.name not in (*names, "collector"):
        return False
    if peer.full and not (plan.full or peer.name in names):
        return False
    missing = peer.missing()
    if missing:
        say(f"  without {peer.name}: {missing}")
    return missing is None


def _measure(plan: Plan, peer: Peer, shape: str) -> Run:
    own = plan.own
    seconds = own["seconds"] or plan.pick(1, 5, 20)
    connections = own["connections"] if not plan.quick else 32
    with peer.start() as target:
        pool = target.pool(shape, own["headers"])
        return peak(target, shape, pool, seconds, connections, warm_up_s=plan.pick(0, 2))


def ratios(runs: list[Run]) -> dict[str, float]:
    """The collector against each peer, round by round, medians: `rate` as wrk saw it, `cpu` a
    processor second. Singles also against the GIFs of those that take nothing else."""
    figures: dict[str, float] = {}
    measured = {(run.subject, run.shape) for run in runs}
    for ours in sorted(shape for subject, shape in measured if subject == "collector"):
        for name, theirs in sorted(pair for pair in measured if pair[0] != "collector"):
            if ours != theirs and (ours, theirs) != ("single", "gif"):
                continue
            a, b = _rounds(runs, "collector", ours), _rounds(runs, name, theirs)
            pairs = [(a[n], b[n]) for n in sorted(a.keys() & b.keys())]
            rate = median(x.events_per_s / max(1, y.events_per_s) for x, y in pairs)
            cpu = median(_per_cpu(x) / max(1, _per_cpu(y)) for x, y in pairs)
            if rate is not None and cpu is not None:
                figures[f"collector.{ours}.rate_over_{name}_{theirs}"] = round(rate, 3)
                figures[f"collector.{ours}.cpu_over_{name}_{theirs}"] = round(cpu, 3)
    return dict(sorted(figures.items()))


def _per_cpu(run: Run) -> float:
    """Answered, not stored: of what answers from memory much is not stored yet."""
    return run.events / max(0.01, run.cpu_s or 0)


def _rounds(runs: list[Run], subject: str, shape: str) -> dict[int, Run]:
    return {run.round: run for run in runs if run.subject == subject and run.shape == shape}
