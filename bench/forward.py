"""An edge whose upstream is down while events arrive, and then is there: memory, latency and rate,
and bytes on the wire and on disk. Batches of 20 in an open loop, the same without an upstream for
comparison, before and after; then the centre is started and the edge drains while new events
come in."""

import contextlib
import time
import urllib.request

import click

from bench.cli import Plan, bench
from bench.console import Progress
from bench.load import offered
from bench.process import Collector, open_database
from bench.result import Run

_KEY = "ek_bench_0123456789abcdef"
_TOKEN = "bench-admin-token-0123"
# The window on ids grows with every event, forwarded or not: kept small, it does not hide what
# forwarding itself takes.
_COMMON = {
    "COLLECTOR__PROFILE": "edge",
    "COLLECTOR__ADMIN__TOKEN": _TOKEN,
    "COLLECTOR__STORE__DEDUPE_IDS": "100000",
}
_EDGE = {"COLLECTOR__EDGE__0__NAME": "bench", "COLLECTOR__EDGE__0__KEY": _KEY}


@bench(
    click.option("--events", type=int, help="That wait [default: 200,000; 2,000,000 with --full]."),
    click.option("--rate", type=float, help="Events a second [default: 20,000]."),
    click.option("--beside", default=2000.0, show_default=True, help="The same, while it drains."),
)
def forward(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """An upstream that is down, and the way back."""
    count = int(plan.own["events"] or plan.pick(4000, 200_000, 2_000_000))
    rate = plan.own["rate"] or plan.pick(2000, 20_000)
    runs: list[Run] = []
    figures: dict[str, float] = {}
    runs.append(_alone(rate, count, "alone"))
    centre = Collector(_COMMON | _EDGE)
    with Collector(_COMMON | _forward_to(centre)) as edge:
        _load(edge, rate, rate * 2, "warm-up")  # what every process takes at its first requests
        runs.append(_load(edge, rate, count, "down"))
        with centre:
            figures |= _drain(edge, centre, runs, plan.own["beside"], plan.quick)
            figures |= _sizes(edge, centre)
    runs.append(_alone(rate, count, "alone after"))
    return runs, figures | _figures(runs)


def _alone(rate: float, count: float, phase: str) -> Run:
    """The same without an upstream, as warm."""
    with Collector(_COMMON) as alone:
        _load(alone, rate, rate * 2, "warm-up")
        return _load(alone, rate, min(count, rate * 20), phase)


def _forward_to(centre: Collector) -> dict[str, str]:
    settings = {"NAME": "centre", "URL": centre.url, "KEY": _KEY, "RETRY_S": "1"}
    return {f"COLLECTOR__FORWARD__0__{name}": value for name, value in settings.items()}


def _load(target: Collector, rate: float, events: float, phase: str) -> Run:
    pool = target.pool("batch20")
    run = offered(target, "batch20", pool, rate / 20, events / rate, 64)
    run.subject = f"edge {phase}"
    return run


def _drain(
    edge: Collector, centre: Collector, runs: list[Run], beside: float, quick: bool
) -> dict[str, float]:
    """Events a second that the centre stores, from its first to the last that had waited."""
    waited = edge.last_seq() or 0
    cpu_s = (edge.cpu_s(), centre.cpu_s())
    started = time.monotonic()
    seconds = 0.5 if quick else max(2.0, waited / 60_000)
    load = offered(edge, "batch20", edge.pool("batch20"), beside / 20, seconds, 16)
    load.subject = "edge draining"
    progress = Progress("centre takes what waited", waited / 30_000)
    while (centre.last_seq() or 0) < waited:
        progress.tick()
        time.sleep(0.02)
    taken = time.monotonic() - started
    progress.end(f"{waited / taken:,.0f} events/s")
    while (centre.last_seq() or 0) < (edge.last_seq() or 0):
        time.sleep(0.02)
    runs.append(load)
    all_of_it = edge.last_seq() or 1
    return {
        "forward.drained_per_s": round(waited / taken),
        "forward.edge_cpu_us_per_event": round((edge.cpu_s() - cpu_s[0]) / all_of_it * 1e6, 2),
        "forward.centre_cpu_us_per_event": round((centre.cpu_s() - cpu_s[1]) / all_of_it * 1e6, 2),
        "forward.missing": float(all_of_it - (centre.last_seq() or 0)),
    }


def _sizes(edge: Collector, centre: Collector) -> dict[str, float]:
    events = edge.last_seq() or 1
    wire = _metric(edge, 'collector_forward_sent_bytes_total{upstream="centre"}')
    centre.wait_idle()
    return {
        "forward.wire_bytes_per_event": round(wire / events, 1),
        "forward.edge_disk_bytes_per_event": round(_database_bytes(edge) / events, 1),
        "forward.centre_disk_bytes_per_event": round(_database_bytes(centre) / events, 1),
    }


def _database_bytes(target: Collector) -> int:
    """The write-ahead log counted in."""
    with contextlib.closing(open_database(target.folder / target.database)) as connection:
        size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        return int(connection.execute(size).fetchone()[0])


def _metric(target: Collector, name: str) -> float:
    request = urllib.request.Request(
        f"http://{target.admin}/metrics", headers={"Authorization": f"Bearer {_TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")))


def _figures(runs: list[Run]) -> dict[str, float]:
    by = {run.subject: run for run in runs}
    alone, down = by["edge alone"], by["edge down"]
    figures = {"forward.lost": float(sum(run.lost or 0 for run in runs))}
    for run in runs:
        if run.latency:
            figures[f"forward.p99_ms.{run.subject.removeprefix('edge ')}"] = run.latency.p99
    if down.rss_start and down.rss_end:
        figures["forward.rss_growth_mb"] = round((down.rss_end - down.rss_start) / 1e6, 1)
    if alone.rss_start and alone.rss_end:
        figures["forward.rss_growth_alone_mb"] = round((alone.rss_end - alone.rss_start) / 1e6, 1)
    return figures
