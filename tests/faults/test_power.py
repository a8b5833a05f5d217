"""The power is cut: at every point of a run of the real process, with all that the disk may hold
by then (power.py), the collector starts and everything acknowledged before is there.

Each sync is made to take 5 ms longer, so that an answer given before its sync has come back would
reach the client while that sync is still under way, and be missed."""

import random
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.disk_layer import DiskLayer, Op
from tests.faults.harness import Collector
from tests.faults.load import Load
from tests.faults.opened import Opened, opened, scratch_folder
from tests.faults.power import Disk
from tests.faults.results import record, recording, rounds_of, seed_of

SEED = seed_of()
STATES = rounds_of(60, 10_000)
RUN_STATES = 500  # of one run of the process
SYNC_S = 0.005


class Recorded(NamedTuple):
    ops: list[Op]
    load: Load


async def run_of_the_process(
    folder: Path, roll: random.Random, events: int, settings: dict[str, object]
) -> Recorded:
    """Twice started on one folder, with a stop or a kill in between and at the end."""
    layer = DiskLayer(folder, folder / "data", log=True)
    layer.slow(SYNC_S)
    async with Collector(folder, env=layer.env, **settings) as collector:
        load = Load(collector.url, collector.key, roll.randrange(10**6), 4, pause=0.01)
        for last in (False, True):
            load.start()
            await load.acknowledges(roll.randint(events // 8, events))
            collector.kill(roll.choice((signal.SIGKILL, signal.SIGTERM)))
            await collector.wait()
            await load.pause()
            if not last:
                await collector.start()
    return Recorded(list(layer.ops()), load)


def moments(ops: list[Op], count: int, roll: random.Random) -> Counter[int]:
    """How many states are tried after which call."""
    first = next(i for i, op in enumerate(ops) if op.name == "collector.db-wal")
    return Counter(roll.choices(range(first, len(ops) - 1), k=count))


class Judged(NamedTuple):
    """`lost_s`: how long before the cut the oldest event that is lost had been acknowledged."""

    acknowledged: int
    lost: list[str]
    lost_s: float
    wrong: str


def judge(found: Opened, load: Load, cut_ns: int) -> Judged:
    known = [(ns, i) for ns, i in load.acknowledged_ns if ns < cut_ns]
    counts = Counter(row["message_id"] for row in found.rows)
    lost = [(ns, i) for ns, i in known if i not in counts]
    wrong = {
        "does not start": found.refused,
        "damaged": found.unsound or ("set aside" in found.said and found.said),
        "duplicated": [i for i, n in counts.items() if n > 1] or found.stored_again,
        "invented": [i for i in counts if i not in load.sent],
        "altered": [r["message_id"] for r in found.rows if not load.as_sent(r)],
    }
    named = ", ".join(f"{name}: {what}" for name, what in wrong.items() if what)
    return Judged(
        len({i for _, i in known}),
        [i for _, i in lost],
        (cut_ns - min(lost)[0]) / 1e9 if lost else 0.0,
        named,
    )


async def cut_again_and_again(
    tmp_path: Path, fault: str, states: int, events: int, **settings: object
) -> float:
    """The longest time before the cut that was lost, in seconds. Nothing may be damaged."""
    roll, longest = random.Random(SEED), 0.0
    for first in range(0, states, RUN_STATES):
        folder = tmp_path / f"{fault}-{first}"
        folder.mkdir()
        recorded = await run_of_the_process(folder, roll, events, settings)
        count = min(RUN_STATES, states - first)
        longest = max(longest, await cut_one_run(fault, recorded, count, roll))
        shutil.rmtree(folder)
        print(f"seed {SEED}, {fault}: {first + count} of {states} states, {longest:.3f} s lost")
    return longest


async def cut_one_run(fault: str, recorded: Recorded, states: int, roll: random.Random) -> float:
    ops, load = recorded
    tried, disk, longest = moments(ops, states, roll), Disk(), 0.0
    for number, op in enumerate(ops[:-1]):
        disk.take(op)
        for _ in range(tried[number]):
            with scratch_folder() as state:
                disk.cut(state, roll)
                found = await opened(state, again=5)
            judged = judge(found, load, ops[number + 1].done_ns)
            note(fault, judged)
            where = f"seed {SEED}, {fault}, call {number} of {len(ops)}"
            assert not judged.wrong, f"{where}: {judged.wrong}"
            if fault == "power_full":
                assert not judged.lost, f"{where}: lost {judged.lost[:5]}; it says {found.said}"
                assert not found.said, f"{where}: {found.said}"
            longest = max(longest, judged.lost_s)
    return longest


def note(fault: str, judged: Judged) -> None:
    sums = {"acknowledged": judged.acknowledged, "failed": int(bool(judged.wrong))}
    highest: dict[str, float] = {}
    if fault == "power_full":
        sums["lost"] = len(judged.lost)
    else:
        sums["states_that_lost_something"] = int(bool(judged.lost))
        highest = {"events_lost": len(judged.lost), "seconds_lost": judged.lost_s}
    record(fault, rounds=1, seed=SEED, sums=sums, highest=highest)


@pytest.mark.timeout(120 + STATES)
async def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    # Small, so that cuts fall into checkpoints too.
    await cut_again_and_again(tmp_path, "power_full", STATES, 400, store__checkpoint_pages=100)


@pytest.mark.timeout(120 + STATES)
async def test_with_durability_normal_it_loses_the_last_moments_and_damages_nothing(
    tmp_path: Path,
) -> None:
    # Long enough for a checkpoint or two in the long round: until one nothing is synced.
    events = 4000 if recording() else 400
    lost_s = await cut_again_and_again(
        tmp_path, "power_normal", max(60, STATES // 5), events, store__durability="normal"
    )
    assert lost_s > 0  # or this test could not see a loss
