"""kill -9 at random moments, again and again on the same folder."""

import asyncio
import random
import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.harness import Collector, Oracle
from tests.faults.load import Load
from tests.faults.results import record, rounds_of, seed_of

ROUNDS = rounds_of(5, 1000)
FOLDER_ROUNDS = 10  # then a new folder: the oracle reads all rows after every kill
SEED = seed_of()


async def kill(collector: Collector, roll: random.Random) -> None:
    """Out of the middle of its work, or, one time in five, of its stop."""
    if roll.random() < 0.2:
        collector.kill(signal.SIGTERM)
        await asyncio.sleep(roll.uniform(0, 0.05))
    if collector.running:
        collector.kill(signal.SIGKILL)
    await collector.wait()


async def kill_while_starting(collector: Collector, moment: float) -> None:
    await collector.spawn()
    await asyncio.sleep(moment)
    collector.kill(signal.SIGKILL)
    await collector.wait()


@pytest.mark.timeout(120 + 15 * ROUNDS)
async def test_what_was_answered_200_is_there_once_after_every_kill(tmp_path: Path) -> None:
    roll = random.Random(SEED)
    for first in range(0, ROUNDS, FOLDER_ROUNDS):
        folder = tmp_path / str(first)
        folder.mkdir()
        await killed_again_and_again(folder, roll, min(FOLDER_ROUNDS, ROUNDS - first))
        shutil.rmtree(folder)
        print(f"{first + FOLDER_ROUNDS} of {ROUNDS} kills")


async def killed_again_and_again(folder: Path, roll: random.Random, rounds: int) -> None:
    # Small, so that kills fall into checkpoints too.
    async with Collector(folder, store__checkpoint_pages=200) as collector:
        load = Load(collector.url, collector.key, roll.randrange(10**6), pause=0.02)
        oracle, known = Oracle(load, collector), 0
        for _ in range(rounds):
            load.start()
            await load.acknowledges(1)
            await asyncio.sleep(roll.uniform(0, 0.5))
            await kill(collector, roll)
            await load.pause()
            if roll.random() < 0.25:
                await kill_while_starting(collector, roll.uniform(0.1, 0.6))
            await collector.start()
            verdict = oracle.judge()
            print(f"seed {SEED}: {verdict}")
            sums = verdict.sums() | {"acknowledged": verdict.acknowledged - known}
            known = verdict.acknowledged
            record("kill", rounds=1, seed=SEED, sums=sums)
            assert verdict.sound, verdict
        await load.finish()
        oracle.check_all()


async def test_numbers_are_never_used_again_after_a_kill(tmp_path: Path) -> None:
    async with Collector(tmp_path) as collector:
        load = Load(collector.url, collector.key, SEED, clients=4)
        highest = 0
        for _ in range(2):
            load.start()
            await load.acknowledges(200)
            collector.kill(signal.SIGKILL)
            await collector.wait()
            await load.pause()
            await collector.start()
            rows = collector.rows()
            assert [row["seq"] for row in rows if row["node_seq"] != row["seq"]] == []
            assert rows[-1]["seq"] > highest, f"seed {SEED}"
            highest = rows[-1]["seq"]
        assert len({row["node_id"] for row in rows}) == 1
