"""Edge and centre killed at random moments, the link between them cut, slow, lossy and stalled."""

import asyncio
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.harness import Collector, Oracle
from tests.faults.link import MOODS, Link
from tests.faults.load import Load
from tests.faults.results import record, rounds_of, seed_of

ROUNDS = rounds_of(4, 50)
SEED = seed_of()
EDGE_KEY = "ek_of_the_fault_tests"


async def strike(collector: Collector, roll: random.Random) -> None:
    """A kill at a random moment, and a start."""
    await asyncio.sleep(roll.uniform(0, 0.8))
    collector.kill(signal.SIGKILL)
    await collector.wait()
    await asyncio.sleep(roll.choice((0, 0.3)))
    await collector.start()


async def wander(link: Link, roll: random.Random) -> None:
    while True:
        link.mood = roll.choice(MOODS)
        await asyncio.sleep(roll.uniform(0.1, 0.7))


@pytest.mark.timeout(120 + 20 * ROUNDS)
async def test_what_the_edge_answered_200_is_at_the_centre_once(tmp_path: Path) -> None:
    roll = random.Random(SEED)
    started = time.monotonic()
    for folder in ("c", "e"):
        (tmp_path / folder).mkdir()
    centre = Collector(
        tmp_path / "c", store__dedupe_ids=1000, edge__0__name="fra-1", edge__0__key=EDGE_KEY
    )
    async with centre, Link(lambda: centre.address, SEED) as link:
        to = {"name": "centre", "url": link.url, "key": EDGE_KEY, "retry_s": 1, "timeout_s": 2}
        to |= {"linger_s": 0.05, "batch_events": 200}
        settings = {f"forward__0__{name}": value for name, value in to.items()}
        async with Collector(tmp_path / "e", **settings) as edge:
            load = Load(edge.url, edge.key, SEED, clients=4, pause=0.005)
            load.start()
            wandering = asyncio.create_task(wander(link, roll))
            for _ in range(ROUNDS):
                await load.acknowledges(1)
                await asyncio.gather(strike(edge, roll), strike(centre, roll))
            wandering.cancel()
            link.mood = "sound"
            await load.finish()
            verdict = Oracle(load, edge).check_all()
            await arrived(centre, verdict.stored)
            counts = Counter(row["message_id"] for row in centre.rows())
            lost = load.acknowledged - counts.keys()
            duplicated = [i for i, count in counts.items() if count > 1]
            print(
                f"\n{ROUNDS} kills of each in {time.monotonic() - started:.0f} s, seed {SEED}: "
                f"accepted {len(load.acknowledged)}, delivered {len(counts)}, "
                f"lost {len(lost)}, duplicated {len(duplicated)}"
            )
            sums = {"acknowledged": len(load.acknowledged), "delivered": len(counts)}
            sums |= {"lost": len(lost), "duplicated": len(duplicated)}
            record("forward", rounds=ROUNDS, seed=SEED, sums=sums)
            assert not lost
            assert not duplicated
            assert same(edge, centre)


async def arrived(centre: Collector, count: int) -> None:
    async with asyncio.timeout(60 + 5 * ROUNDS):
        while centre.rows("SELECT count(*) AS n FROM events")[0]["n"] < count:
            await asyncio.sleep(0.1)


def same(edge: Collector, centre: Collector) -> bool:
    """Every row as the edge has it but for its place in the log."""
    there = sorted(centre.rows(), key=lambda row: row["node_seq"])
    return [row | {"seq": 0} for row in there] == [row | {"seq": 0} for row in edge.rows()]
