"""The disk under the running process fails, may only be read, or is slow: 503 meanwhile, nothing
acknowledged is lost, and it goes on without a restart as soon as the disk does."""

import asyncio
import errno
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.disk_layer import READ, SYNC, TRUNCATE, UNLINK, WRITE, DiskLayer
from tests.faults.harness import Collector, Oracle
from tests.faults.load import Load
from tests.faults.results import record, rounds_of, seed_of

SEED = seed_of()
# Which calls fail, and how.
FAILURES = {
    "writes": (errno.EIO, (WRITE,)),
    "syncs": (errno.EIO, (SYNC,)),
    "writes and syncs": (errno.EIO, (WRITE, SYNC)),
    "everything": (errno.EIO, (WRITE, SYNC, TRUNCATE, UNLINK, READ)),
    "read-only": (errno.EROFS, (WRITE, TRUNCATE, UNLINK)),
    "over quota": (errno.EDQUOT, (WRITE,)),
}
ROUNDS = rounds_of(3, 120)


@pytest.mark.timeout(120 + 30 * ROUNDS)
async def test_a_failing_disk_is_503_and_over_when_it_works_again(tmp_path: Path) -> None:
    roll = random.Random(SEED)
    names = roll.sample(list(FAILURES), len(FAILURES))
    layer = DiskLayer(tmp_path, tmp_path / "disk")
    # Small, so that failures fall into checkpoints too.
    settings = {"store__checkpoint_pages": 50}
    async with Collector(tmp_path, tmp_path / "disk" / "data", layer.env, **settings) as collector:
        load = Load(collector.url, collector.key, SEED, clients=4, pause=0.05)
        oracle, known = Oracle(load, collector), 0
        for number in range(ROUNDS):
            name = names[number % len(names)]
            load.start()
            await load.acknowledges(20)
            back_s = await failed(load, layer, name, roll)
            if roll.random() < 0.3:
                collector.kill(roll.choice((signal.SIGKILL, signal.SIGTERM)))
                await collector.wait()
                await collector.start()
                await load.acknowledges(20)
            await load.pause()
            verdict = oracle.judge()
            print(f"seed {SEED}, failure {number + 1} of {ROUNDS}, {name}: {verdict}")
            new = {"acknowledged": verdict.acknowledged - known, name.replace(" ", "_"): 1}
            known = verdict.acknowledged
            highest = {"first_200_after_s": back_s}
            record("disk_errors", rounds=1, seed=SEED, sums=verdict.sums() | new, highest=highest)
            assert verdict.sound, verdict
        await load.finish()
        oracle.check_all()
        assert "Traceback" not in collector.said(), collector.said()


async def failed(load: Load, layer: DiskLayer, name: str, roll: random.Random) -> float:
    """How long after the end of it the first event was stored."""
    number, ops = FAILURES[name]
    layer.fail(number, *ops)
    await load.answered("503")
    await asyncio.sleep(roll.uniform(0, 0.3))
    layer.fail(0, *ops)
    works_again = time.monotonic()
    await load.acknowledges(1)
    return time.monotonic() - works_again


async def test_a_slow_disk_makes_answers_late_and_loses_nothing(tmp_path: Path) -> None:
    layer = DiskLayer(tmp_path, tmp_path / "disk")
    async with Collector(tmp_path, tmp_path / "disk" / "data", layer.env) as collector:
        load = Load(collector.url, collector.key, SEED, clients=4)
        load.start()
        await load.acknowledges(20)
        layer.slow(0.4)
        await load.acknowledges(40)
        layer.slow(0)
        await load.acknowledges(100)
        await load.finish()
        verdict = Oracle(load, collector).check_all()
        record("slow_disk", rounds=1, seed=SEED, sums=verdict.sums())
        assert set(load.answers) == {"200"}
