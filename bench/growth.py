"""Does the rate fall as the table grows? In this process: the log and its writer with their
own settings, many callers, no HTTP, so that nothing but the store can be the cause."""

import asyncio
import shutil

import click
import uvloop

from bench.cli import Plan, bench
from bench.console import Progress
from bench.machine import scratch_root
from bench.result import Run
from bench.rooms import Feed, Rooms, Stopwatch, rooms

_CALLERS, _EACH = 128, 64
_ROW_BYTES = 1100


@bench(
    click.option("--rows", type=int, help="In millions [default: 20; 50 with --full]."),
)
def growth(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """The rate from the first to the last million of 20 million rows."""
    steps = int(plan.own["rows"] or plan.pick(3, 20, 50))
    each = 10_000 if plan.quick else 1_000_000
    free = shutil.disk_usage(scratch_root()).free
    if steps * each * _ROW_BYTES > 0.9 * free:
        raise click.ClickException(
            f"{steps} million rows take about {steps * each * _ROW_BYTES / 1e9:.0f} GB in "
            f"{scratch_root()}, {free / 1e9:.0f} GB are free"
        )
    runs = uvloop.run(_grow(steps, each))
    rates = [run.events_per_s for run in runs]
    ratio = round(rates[-1] / max(1, rates[0]), 3)
    return runs, {"growth.last_over_first": ratio}


async def _grow(steps: int, each: int) -> list[Run]:
    feed, runs = Feed(), []
    async with rooms() as room:
        for step in range(steps):
            progress = Progress(f"rows {step * each:,} to {(step + 1) * each:,}", 0)
            watch = Stopwatch()
            with watch:
                await _fill(room, feed, watch, each)
            run = watch.run("growth", "batch20", {"rows_before": step * each}, progress)
            run.rows = room.log.last_seq - step * each
            run.lost = run.events - run.rows
            runs.append(run)
    return runs


async def _fill(room: Rooms, feed: Feed, watch: Stopwatch, count: int) -> None:
    left = count

    async def call() -> None:
        nonlocal left
        while left > 0:
            size = min(_EACH, left)
            left -= size
            await room.writer.append(feed.take(size))
            watch.events += size

    await asyncio.gather(*(call() for _ in range(_CALLERS)))
