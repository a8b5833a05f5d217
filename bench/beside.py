"""What ingest's peak loses to who follows the log beside it: projector, audiences, roll-ups."""

import asyncio
import contextlib
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path

import click

from bench import shop
from bench.audiences import Kept, empty, settings
from bench.cli import Plan, bench
from bench.load import peak
from bench.process import scratch_folder
from bench.result import Run
from bench.traffic import SHAPES
from collector.app import DATABASE

_SIDES = ("alone", "beside")


@bench(
    click.option("--seconds", type=float, help="Length of each measurement [default: 10]."),
    click.option("--rounds", type=int, help="How often [default: 3]."),
    click.option("--connections", default=256, show_default=True),
    click.option("--shape", default="batch20", type=click.Choice(list(SHAPES)), show_default=True),
    click.option("--folder", help="With a history, as the bench `audiences` keeps one."),
)
def beside(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """The peak of ingest alone, and beside all followers with 20 audiences, in turn."""
    own = plan.own
    shape, seconds = own["shape"], own["seconds"] or plan.pick(1, 10)
    connections = own["connections"] if not plan.quick else 32
    runs: list[Run] = []
    with _folder(own["folder"]) as folder:
        for number in range(int(own["rounds"] or plan.pick(1, 3))):
            for side in _SIDES if number % 2 == 0 else reversed(_SIDES):
                with _serving(folder, side) as target:
                    pool = target.pool(shape, "browser")
                    run = peak(target, shape, pool, seconds, connections, plan.pick(0, 2))
                run.subject, run.round = side, number
                runs.append(run)
    ratios = [
        with_all.events_per_s / alone.events_per_s
        for alone in runs
        for with_all in runs
        if (alone.subject, with_all.subject) == _SIDES and alone.round == with_all.round
    ]
    return runs, {f"beside.{shape}.of_alone": round(statistics.median(ratios), 3)}


@contextlib.contextmanager
def _folder(given: str | None) -> Iterator[Path]:
    folder = Path(given) if given else scratch_folder()
    if not (folder / DATABASE).exists():
        asyncio.run(empty(folder / DATABASE))
    yield folder
    if not given:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _serving(folder: Path, side: str) -> Iterator[Kept]:
    file = folder / "collector.toml"
    profile = 'profile = "edge"\n' if side == "alone" else settings(shop.audiences())
    file.write_text(profile)
    with Kept({"COLLECTOR_CONFIG": str(file)}, folder) as collector:
        yield collector
