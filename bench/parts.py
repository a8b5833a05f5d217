"""The parts alone, in this process: decoding, the store beside SQLite's limit, the writer."""

import asyncio
import time
from collections.abc import Callable, Sequence

import click
import uvloop

from bench.cli import Plan, bench
from bench.console import Progress
from bench.limit import Limit
from bench.result import Run, median
from bench.rooms import (
    Feed,
    Rooms,
    Stopwatch,
    arrival,
    events_of,
    requests,
    rooms,
    rows_of,
    unread,
)
from bench.traffic import SHAPES
from collector.compiled import COMPILED
from collector.config import Store
from collector.rows import Entry
from collector.wire.build import Arrival
from collector.wire.message import Request

_SIZES = (1, 4, 16, 64, 256, 1024, 4096)
_CALLERS = ((16, 1), (256, 1), (1024, 1), (256, 20))


@bench(click.option("--seconds", type=float, help="For each shape [default: 3]."))
def decode(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """Requests to rows of the log in compiled code, where it was built, and to events in Python:
    singles, batches of 20, GIFs; no HTTP, nothing stored."""
    seconds = plan.own["seconds"] or plan.pick(0.2, 3)
    ways: dict[str, Callable[[Request, Arrival], Sequence[Entry]]] = {"decode.python": events_of}
    if COMPILED:
        ways = {"decode": rows_of} | ways
    return [
        _decode(name, way, shape, seconds) for shape in SHAPES for name, way in ways.items()
    ], {}


def _decode(
    name: str, way: Callable[[Request, Arrival], Sequence[Entry]], shape: str, seconds: float
) -> Run:
    pool, at, watch = requests(shape, 500), arrival(), Stopwatch()
    progress = Progress(f"{name} {shape}", seconds)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        fresh = [unread(request) for request in pool]
        with watch:
            for request in fresh:
                watch.events += len(way(request, at))
        progress.tick()
    return watch.run(name, shape, None, progress)


@bench(
    click.option("--seconds", type=float, help="For each size [default: 2]."),
    click.option(
        "--durability", type=click.Choice(["full", "normal"]), default="full", show_default=True
    ),
)
def store(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """EventLog.append beside a bare multi-row INSERT of the same rows, for sizes 1 to 4096."""
    seconds = plan.own["seconds"] or plan.pick(0.1, 2)
    settings = Store(durability=plan.own["durability"])
    runs: list[Run] = []
    for size in (1, 256) if plan.quick else _SIZES:
        limit = Limit(settings)
        try:
            runs += uvloop.run(_store(size, seconds, settings, limit))
        finally:
            limit.close()
    return runs, {
        f"store.batch={ours.at['batch']:g}.over_limit": round(
            ours.events_per_s / max(1, bare.events_per_s), 3
        )
        for ours, bare in zip(runs[::2], runs[1::2], strict=True)
    }


async def _store(size: int, seconds: float, settings: Store, limit: Limit) -> list[Run]:
    """Both in turn, so that both meet the same moods of machine and disk."""
    ours, bare = Stopwatch(), Stopwatch()
    async with rooms(settings) as room:
        feed = Feed()
        progress = Progress(f"store, batches of {size}", seconds * 2)
        until = time.perf_counter() + seconds * 2
        while time.perf_counter() < until:
            for _ in range(max(1, 1024 // size)):
                await _append(room, feed, size, ours)
            for _ in range(max(1, 1024 // size)):
                limit.insert(feed.take(size), bare)
            progress.tick()
        run = ours.run("store", "batch20", {"batch": size}, progress)
        progress = Progress(f"limit, batches of {size}", seconds)
        run.rows = room.log.last_seq
        run.lost = run.events - run.rows
    return [run, bare.run("limit", "batch20", {"batch": size}, progress)]


async def _append(room: Rooms, feed: Feed, size: int, watch: Stopwatch) -> None:
    events = feed.take(size)
    with watch:
        await room.log.append(events, [])
    watch.events += size


@bench(
    click.option("--seconds", type=float, help="For each number of callers [default: 3]."),
    click.option("--rounds", type=int, help="How often [default: 1]."),
)
def writer(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """Writer.append with many callers at once, each with one event or with twenty."""
    seconds = plan.own["seconds"] or plan.pick(0.2, 3)
    callers = ((64, 1),) if plan.quick else _CALLERS
    runs = []
    for number in range(plan.own["rounds"] or 1):
        for count, each in callers:
            runs.append(uvloop.run(_writer(count, each, seconds)))
            runs[-1].round = number
    best = median(run.events_per_s for run in runs if run.at["each"] == callers[-1][1])
    return runs, {"writer.best.events_per_s": best or 0.0}


async def _writer(callers: int, each: int, seconds: float) -> Run:
    watch, feed = Stopwatch(), Feed()
    async with rooms() as room:
        progress = Progress(f"writer, {callers} callers of {each}", seconds)
        until = time.perf_counter() + seconds

        async def call() -> None:
            while time.perf_counter() < until:
                await room.writer.append(feed.take(each))
                watch.events += each

        with watch:
            await asyncio.gather(*(call() for _ in range(callers)))
        run = watch.run("writer", "batch20", {"callers": callers, "each": each}, progress)
        run.rows = room.log.last_seq
        run.lost = run.events - run.rows
    return run
