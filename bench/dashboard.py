"""The dashboard over ten million events: how long each page's calls take, cold and warm, and what
they take from ingest.

Cold: a process just started, and the system made to forget the database before each call. Warm:
asked again and again. Beside ingest: events arrive at half the peak, once without a viewer and
once with one who opens page after page, cold by page then.
"""

import asyncio
import shutil
import time
from array import array
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click
import uvloop

from bench import load, year
from bench.audiences import Kept
from bench.cli import Plan, bench
from bench.console import Progress
from bench.process import Collector, scratch_folder
from bench.result import Run
from bench.rooms import Stopwatch
from bench.traffic import SHAPES
from bench.viewer import (
    FILTERS,
    RANGES,
    SEARCH,
    TOKEN,
    Viewer,
    Watching,
    calls,
    run_of,
    unranged,
)
from collector.app import DATABASE
from collector.dashboard import MAKERS
from collector.people.identity import USER, number
from collector.store import cursors, rollups
from collector.store.database import Database, open_database
from collector.store.reader import Reader
from collector.wire.visit import Places
from collector.workers.courtesy import Courtesy
from collector.workers.rollups import Rollups

# The window is read from the log at each start, as the filled one has no record of it.
_SETTINGS = {"COLLECTOR__ADMIN__TOKEN": TOKEN, "COLLECTOR__STORE__DEDUPE_IDS": "100000"}
_SHAPE = "batch20"
_USUAL = 30  # days that the viewer beside ingest looks at


@bench(
    click.option("--events", type=int, help="[default: 10,000,000]"),
    click.option("--people", type=int, help="[default: a tenth as many]"),
    click.option("--folder", help="Filled if it is not there, and kept: to measure in pieces."),
    click.option("--rounds", type=int, default=20, show_default=True, help="Of each warm call."),
    click.option(
        "--days",
        type=int,
        multiple=True,
        help="Ranges [default: 1, 7, 30, 90, 365; beside ingest 30].",
    ),
    click.option("--seconds", type=float, help="Of each load beside a viewer [default: 20]."),
    click.option("--part", type=click.Choice(["all", "pages", "ingest"]), default="all"),
)
def dashboard(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """A year of ten million events: every page cold and warm; ingest with and without a viewer."""
    own = plan.own
    events = int(own["events"] or plan.pick(20_000, 10_000_000))
    folder = Path(own["folder"] or scratch_folder())
    runs: list[Run] = []
    try:
        if not (folder / DATABASE).exists():
            folder.mkdir(exist_ok=True)
            runs.append(uvloop.run(_prepared(folder / DATABASE, own["people"], events)))
        figures: dict[str, float] = {}
        if own["part"] != "ingest":
            days = tuple(own["days"]) or ((_USUAL,) if plan.quick else RANGES)
            runs += _asked(folder, days, 1, "cold")
            runs += _asked(folder, days, 2 if plan.quick else own["rounds"], "warm")
            figures |= _worst(runs)
        if own["part"] != "pages":
            ranges = tuple(own["days"]) or (_USUAL,)
            seconds = own["seconds"] or plan.pick(1, 20)
            beside, more = _beside(folder, ranges, seconds, int(plan.pick(16, 256)))
            runs += beside
            figures |= more
        return runs, figures
    finally:
        if not own["folder"]:
            shutil.rmtree(folder, ignore_errors=True)


async def _prepared(path: Path, people: int | None, events: int) -> Run:
    """The log filled, and counted by the collector's own follower: its processor time."""
    await (await open_database(path, "full", 2000)).close()
    year.fill(path, people or events // 10, events)
    database = await open_database(path, "full", 2000)
    reader = await Reader.open(path, limit_s=600)
    courtesy = Courtesy(lambda: False)
    step = Rollups(reader, database, Places(""), courtesy, lambda: 0)
    step.rest = _no_rest
    progress, watch = Progress("counting", 0), Stopwatch()
    at = await database.run(cursors.position, rollups.CURSOR)
    with watch:
        while at < events:
            at = await step(at, events)
            progress.tick(f"{at:,}")
    watch.events = events
    await _arranged(reader, database, courtesy, progress)
    await reader.close()
    await database.close()
    return watch.run("rollups", "year", None, progress)


async def _arranged(
    reader: Reader, database: Database, courtesy: Courtesy, progress: Progress
) -> None:
    """What is made of what is counted, by the collector's own followers too."""
    for make in MAKERS:
        step = make(reader, database, courtesy)
        step.rest = _no_rest
        while not await step(0, 1):
            progress.tick(step.name)


async def _no_rest(seconds: float) -> None:
    await asyncio.sleep(0)


def _serving(folder: Path) -> Kept:
    return Kept(_SETTINGS, folder)


def _all(ranges: tuple[int, ...]) -> dict[tuple[str, str, int], list[str]]:
    """Addresses by page, filters and days."""
    found: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    for page, path in unranged(_person()):
        found[page, "none", 0].append(path)
    found["people", "part", 0] = [f"/api/{SEARCH}"]
    for days in ranges:
        for kind in FILTERS:
            for page, path in calls(days, kind):
                found[page, kind, days].append(path)
    return found


def _person() -> str:
    return f"{number(year.SITE, USER, 'u5') & (1 << 64) - 1:016x}"


def _opened(ranges: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """What somebody asks who opens page after page, without filter and with one."""
    for days in ranges:
        for kind in ("none", "one"):
            yield from calls(days, kind)
    yield from unranged(_person())


def _asked(folder: Path, ranges: tuple[int, ...], times: int, load: str) -> list[Run]:
    runs = []
    with _serving(folder) as collector:
        viewer, progress = Viewer(collector), Progress(f"pages, {load}", 0)
        for (page, kind, days), paths in _all(ranges).items():
            micros = array("I")
            for path in paths:
                if load == "warm":
                    viewer.ask(path)
                micros.extend(viewer.ask(path, load == "cold") for _ in range(times))
                progress.tick(f"{page}, {kind}, {days} days")
            runs.append(run_of(page, kind, load, days, micros))
        viewer.close()
        progress.end("done")
    return runs


def _worst(runs: list[Run]) -> dict[str, float]:
    """The page with the highest 95th percentile, for each number of filters and range."""
    worst: dict[str, float] = {}
    for run in runs:
        if run.latency:
            days = f".{run.at['days']:g}_days" if run.at else ""
            name = f"dashboard.{run.shape}{days}.{run.load}.p95_ms"
            worst[name] = max(worst.get(name, 0), round(run.latency.curve["95"], 1))
    return worst


def _beside(
    folder: Path, ranges: tuple[int, ...], seconds: float, connections: int
) -> tuple[list[Run], dict[str, float]]:
    with _serving(folder) as collector:
        pool = collector.pool(_SHAPE)
        peak = load.peak(collector, _SHAPE, pool, min(seconds, 20) / 2, connections)
        rate = peak.events_per_s / SHAPES[_SHAPE] / 2

        def paced() -> Run:
            return load.offered(collector, _SHAPE, pool, rate, seconds, connections)

        alone = paced()
        runs = [peak, alone]
        figures: dict[str, float] = {}
        for heat in ("warm", "cold"):
            watching = Watching(Viewer(collector), _opened(ranges), 0.1, heat == "cold")
            watching.start()
            beside = paced()
            watching.end()
            runs.append(beside)
            beside.at = {"viewers": 1, "cold": float(heat == "cold")}
            figures |= _compared(heat, alone, beside)
            pages = [
                run_of(page, "none and one", f"beside, {heat}", 0, micros)
                for page, micros in watching.micros.items()
                if micros
            ]
            slowest = max(run.latency.curve["95"] for run in pages if run.latency)
            figures[f"dashboard.beside.{heat}.p95_ms"] = round(slowest, 1)
            runs += pages
        figures["dashboard.not_yet_counted"] = _behind(collector)
    alone.at = {"viewers": 0}
    return runs, figures


def _compared(heat: str, alone: Run, beside: Run) -> dict[str, float]:
    """Ingest without and with a viewer."""
    assert alone.cpu_s and beside.cpu_s
    name = f"dashboard.ingest.{heat}"
    return {
        f"{name}.with_over_without": round(beside.events_per_s / max(1, alone.events_per_s), 3),
        f"{name}.cpu_us_an_event_without": round(alone.cpu_s / alone.events * 1e6, 1),
        f"{name}.cpu_us_an_event_with": round(beside.cpu_s / beside.events * 1e6, 1),
    }


def _behind(collector: Collector) -> float:
    """Events that the rollups have not come to."""

    async def look() -> float:
        reader = await Reader.open(collector.folder / DATABASE)
        at = await reader.run(cursors.position, rollups.CURSOR)
        await reader.close()
        return (collector.last_seq() or 0) - at

    time.sleep(0.1)
    return asyncio.run(look())
