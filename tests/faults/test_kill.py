"""kill -9 at random moments, again and again on the same folder.

`FAULT_ROUNDS=25` (or more) in the environment makes the long run, `FAULT_SEED` repeats one.
"""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

from tests.faults.harness import Collector, Oracle
from tests.faults.load import Load

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "5"))
SEED = int(os.environ.get("FAULT_SEED") or random.randrange(10**6))


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


async def test_what_was_answered_200_is_there_once_after_every_kill(tmp_path: Path) -> None:
    roll = random.Random(SEED)
    started = time.monotonic()
    # Small, so that kills fall into checkpoints too.
    async with Collector(tmp_path, store__checkpoint_pages=200) as collector:
        load = Load(collector.url, collector.key, SEED)
        oracle = Oracle(load, collector)
        for number in range(1, ROUNDS + 1):
            load.start()
            await load.acknowledges(1)
            await asyncio.sleep(roll.uniform(0, 1.0))
            await kill(collector, roll)
            await load.pause()
            if roll.random() < 0.25:
                await kill_while_starting(collector, roll.uniform(0.1, 0.6))
            await collector.start()
            print(f"after kill {number}: {oracle.check()}")
        await load.finish()
        verdict = oracle.check_all()
        taken = time.monotonic() - started
        print(f"{ROUNDS} kills in {taken:.1f} s, {taken / ROUNDS:.2f} s a round: {verdict}")
        print(f"answers: {dict(load.answers)}")


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
