"""The clock on the wall is set ahead and back, by hours and by ten years, while events come in and
retention looks for old ones: all of them stay, and the process answers all the time."""

import asyncio
import random
import signal
from pathlib import Path

import pytest

from tests.faults.disk_layer import DiskLayer
from tests.faults.harness import Collector, Oracle
from tests.faults.load import Load
from tests.faults.results import record, rounds_of, seed_of

SEED = seed_of()
ROUNDS = rounds_of(3, 100)
HOUR_S = 3600
TEN_YEARS_S = 3652 * 24 * HOUR_S
STEPS = (TEN_YEARS_S, -TEN_YEARS_S, 30 * 24 * HOUR_S, -30 * 24 * HOUR_S, HOUR_S, -HOUR_S)


@pytest.mark.timeout(120 + 20 * ROUNDS)
async def test_no_step_of_the_clock_loses_an_event(tmp_path: Path) -> None:
    roll = random.Random(SEED)
    layer = DiskLayer(tmp_path, tmp_path / "disk")
    data = tmp_path / "disk" / "data"
    settings = {"store__retention": "1 day", "store__retention_every_s": 0.2}
    async with Collector(tmp_path, data, layer.env, **settings) as collector:
        load = Load(collector.url, collector.key, SEED, clients=4, pause=0.05)
        oracle, known = Oracle(load, collector), 0
        for number in range(1, ROUNDS + 1):
            load.start()
            await load.acknowledges(20)
            step = roll.choice(STEPS)
            layer.clock(step)
            await load.acknowledges(20)
            if roll.random() < 0.3:
                collector.kill(roll.choice((signal.SIGKILL, signal.SIGTERM)))
                await collector.wait()
                await collector.start()
                await load.acknowledges(20)
            await asyncio.sleep(roll.uniform(0, 0.5))
            layer.clock(0)
            await load.acknowledges(20)
            await load.pause()
            verdict = oracle.judge()
            print(f"seed {SEED}, step {number} of {ROUNDS}, {step / HOUR_S:.0f} h: {verdict}")
            sums = verdict.sums() | {"acknowledged": verdict.acknowledged - known}
            known = verdict.acknowledged
            record("clock", rounds=1, seed=SEED, sums=sums)
            assert verdict.sound, verdict
        await load.finish()
        oracle.check_all()
        assert "Traceback" not in collector.said(), collector.said()
