"""Bytes of the database and its write-ahead log are spoilt, a thousand times: it starts and takes
events, or says exactly why not, and what is missing is said or found by `collector verify`."""

import asyncio
import random
import signal
from pathlib import Path

import pytest

from collector.errors import CollectorError
from collector.store.backup import verify
from tests.faults.damage import PAGE, Filled, fill, works
from tests.faults.harness import Collector
from tests.faults.opened import Opened, opened, scratch_folder
from tests.faults.results import record, rounds_of, seed_of

SEED = seed_of()
COPIES = rounds_of(30, 1000)
PROCESS_EVERY = 40  # copies; the others are opened in this process
EVENTS = 600


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Filled]:
    """All in the database, all in the write-ahead log, and some in each."""
    made = tmp_path_factory.mktemp

    async def filled() -> list[Filled]:
        return [
            await fill(made("stopped"), signal.SIGTERM, EVENTS),
            await fill(made("killed"), signal.SIGKILL, EVENTS),
            await fill(made("both"), signal.SIGKILL, EVENTS, store__checkpoint_pages=100),
        ]

    return asyncio.run(filled())


def spoil(path: Path, roll: random.Random) -> str:
    """Flipped bits all over it or close together, or a page of zeros or garbage. Where the header
    stays, its marks of whose file it is, how new, and of which format do as well: with others it
    is another program's, or a newer version's, and is left alone (test_damage.py)."""
    content = bytearray(path.read_bytes())
    version, marks = content[18], content[60:72]
    how = roll.choice(("bits", "bits", "bits", "burst", "zeros", "garbage"))
    if how == "bits":
        for _ in range(int(2 ** roll.uniform(0, 8))):
            content[roll.randrange(len(content))] ^= 1 << roll.randrange(8)
    elif how == "burst":
        start = roll.randrange(len(content))
        for at in range(start, min(len(content), start + roll.randint(2, 64))):
            content[at] = roll.randrange(256)
    else:
        start = roll.randrange(len(content)) // PAGE * PAGE
        length = min(PAGE, len(content) - start)
        filler = bytes(length) if how == "zeros" else roll.randbytes(length)
        content[start : start + length] = filler
    if path.suffix == ".db" and how in ("bits", "burst"):
        content[18], content[60:72] = version, marks
    path.write_bytes(content)
    return f"{how} in {path.name}"


def spoilt(filled: Filled, folder: Path, roll: random.Random) -> str:
    data = filled.copied(folder)
    present = [data / name for name in ("collector.db", "collector.db-wal")]
    return spoil(roll.choice([path for path in present if path.exists()]), roll)


def verified(path: Path) -> list[str]:
    try:
        return verify(path).wrong
    except CollectorError as error:
        return [str(error)]


def judge(filled: Filled, found: Opened, wrong: list[str]) -> dict[str, float]:
    """`wrong`: what `collector verify` said of the file before the start. An event counts as
    missing when no row with its number can be read."""
    missing = set(range(1, filled.highest + 1)) - {row["seq"] for row in found.rows}
    said = bool(found.said or found.refused)
    return {
        "copies_with_events_missing": int(bool(missing)),
        "of_them_said_at_the_start": int(bool(missing and said)),
        "of_them_found_by_verify": int(bool(missing and not said and wrong)),
        "silent": int(bool(missing and not said and not wrong)),
        "set_aside": int("set aside" in found.said),
        "refused_to_start": int(bool(found.refused)),
        "duplicated": int(found.stored_again > 0 and not found.unsound),
    }


@pytest.mark.timeout(300 + 2 * COPIES)
async def test_spoilt_bytes_stop_no_start_and_lose_nothing_in_silence(
    tmp_path: Path, folders: list[Filled]
) -> None:
    roll = random.Random(SEED)
    for number in range(1, COPIES + 1):
        filled = roll.choice(folders)
        with scratch_folder() as folder:
            how = spoilt(filled, folder, roll)
            where = f"seed {SEED}, copy {number}, {how}"
            if number % PROCESS_EVERY == 0:
                await process_works(folder, where)
                continue
            wrong = verified(folder / "data" / "collector.db")
            found = await opened(folder / "data", again=5)
            sums = judge(filled, found, wrong)
            again = await opened(folder / "data")
            sums["crash_loops"] = int(not again.takes_more)
            record("corruption", rounds=1, seed=SEED, sums=sums)
            assert not sums["crash_loops"], f"{where}: {again.refused} {again.unsound}"
            assert not sums["silent"], where
            assert not sums["duplicated"], where
        if number % 100 == 0:
            print(f"seed {SEED}: {number} of {COPIES} copies")


async def process_works(folder: Path, where: str) -> None:
    """The whole program on the spoilt copy: it takes events, also after one more start."""
    async with Collector(folder) as collector:
        print(where)
        await works(collector)
    record("corruption", rounds=1, seed=SEED, sums={"by_the_real_process": 1})
