"""A damaged file under a collector that starts: it works, or it sets the file aside and says so."""

import asyncio
import random
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.damage import (
    PAGE,
    SEED,
    Damage,
    Filled,
    cut,
    fill,
    flipped,
    set_aside,
    works,
)
from tests.faults.harness import Collector, Oracle


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """All is in the file, of which the schema takes the lesser half: the tables' first pages."""
    return asyncio.run(fill(tmp_path_factory.mktemp("stopped"), signal.SIGTERM, 6000))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """The events are in the write-ahead log alone."""
    return asyncio.run(fill(tmp_path_factory.mktemp("killed"), signal.SIGKILL))


# Page 1 holds the header and the schema; the small tables lie in the next few pages.
SET_ASIDE: dict[str, tuple[Damage, bool]] = {  # and whether the write key can still be read
    "the magic is gone": (lambda c: flipped(c, 0, 16, 4), False),
    "no known page size": (lambda c: c[:16] + b"\x03\x07" + c[18:], False),
    "the header is zeros": (lambda c: bytes(100) + c[100:], False),
    "the schema is garbage": (lambda c: flipped(c, 100, PAGE, 400), False),
    "a column more": (lambda c: c.replace(b"  node_seq INTEGER", b"  node_seq,INTEGER"), True),
    "the free list is wrong": (lambda c: c[:36] + b"\1" + c[37:], True),
    "cut in half": (cut(0.5), True),
    "the last page is missing": (lambda c: c[:-PAGE], True),
    "cut in the first page": (lambda c: c[:1000], False),
    "all garbage": (lambda c: random.Random(SEED).randbytes(len(c)), False),
    "a column has another name": (lambda c: c.replace(b"user_agent", b"user_agenu"), True),
    "a column's name is no text": (lambda c: c.replace(b"user_agent", b"user_ag\xf2nt"), True),
    "a view speaks of a column that is not there": (
        lambda c: c.replace(b"o.person", b"o.perqon"),
        True,
    ),
    "a column is made by a function that is not there": (
        lambda c: c.replace(b"(iif(person", b"(hif(person"),
        True,
    ),
    "a text file": (lambda c: b"This is no database.\n" * 1000, False),
}


@pytest.mark.parametrize("damage", SET_ASIDE)
async def test_a_damaged_file_is_set_aside_as_it_is(
    tmp_path: Path, stopped: Filled, damage: str
) -> None:
    apply, key_readable = SET_ASIDE[damage]
    path = stopped.copied(tmp_path) / "collector.db"
    spoilt = bytes(apply(bytearray(path.read_bytes())))
    path.write_bytes(spoilt)
    async with Collector(tmp_path) as collector:
        assert set_aside(collector).read_bytes() == spoilt
        assert (collector.key == stopped.key) is key_readable
        assert ("the write keys could not be read" in collector.said()) is not key_readable
        await works(collector)


async def test_damage_that_only_a_later_step_of_the_start_comes_upon_is_set_aside_too(
    tmp_path: Path, stopped: Filled
) -> None:
    """The table can be read, what finds a row in it cannot."""
    path = stopped.copied(tmp_path) / "collector.db"
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_site_keys_1'"
        ).fetchone()
    content = path.read_bytes()
    spoilt = content[: (root - 1) * PAGE] + bytes(PAGE) + content[root * PAGE :]
    path.write_bytes(spoilt)
    async with Collector(tmp_path) as collector:
        assert set_aside(collector).read_bytes() == spoilt
        assert collector.key == stopped.key
        await works(collector)


async def test_an_empty_file_is_begun_anew_and_the_loss_is_said(
    tmp_path: Path, stopped: Filled
) -> None:
    (stopped.copied(tmp_path) / "collector.db").write_bytes(b"")
    async with Collector(tmp_path) as collector:
        assert f"the newest {stopped.highest} events" in collector.said()
        await works(collector)
        assert collector.rows()[0]["seq"] == stopped.highest + 1


@pytest.mark.parametrize("position", [60, 68], ids=["user_version", "application_id"])
async def test_a_file_that_seems_another_programs_is_not_touched(
    tmp_path: Path, stopped: Filled, position: int
) -> None:
    path = stopped.copied(tmp_path) / "collector.db"
    content = bytearray(path.read_bytes())
    content[position] ^= 64
    path.write_bytes(content)
    collector = Collector(tmp_path)
    await collector.spawn()
    assert await collector.wait() == 2
    assert collector.said().startswith(f"Error: {path}: ")
    assert path.read_bytes() == content


@pytest.mark.parametrize("seed", range(4))
async def test_flipped_bits_in_the_middle_do_not_stop_new_events(
    tmp_path: Path, stopped: Filled, seed: int
) -> None:
    path = stopped.copied(tmp_path) / "collector.db"
    content = bytearray(path.read_bytes())
    path.write_bytes(flipped(content, PAGE, len(content), count=200, seed=seed))
    async with Collector(tmp_path) as collector:
        await works(collector)


WAL_DAMAGE: dict[str, Damage] = {
    "flipped bits": lambda c: flipped(c, 0, len(c), 20),
    "no header": lambda c: bytes(32) + c[32:],
    "cut in half": cut(0.5),
    "empty": cut(0),
    "garbage": lambda c: random.Random(SEED).randbytes(len(c)),
}


@pytest.mark.parametrize("damage", WAL_DAMAGE)
async def test_a_damaged_write_ahead_log_loses_its_end_and_says_how_much(
    tmp_path: Path, killed: Filled, damage: str
) -> None:
    path = killed.copied(tmp_path) / "collector.db-wal"
    path.write_bytes(WAL_DAMAGE[damage](bytearray(path.read_bytes())))
    async with Collector(tmp_path) as collector:
        assert collector.key == killed.key
        rows = collector.rows()
        left, highest = rows[-1]["seq"] if rows else 0, killed.highest
        missing = f"the newest {highest - left} events (seq {left + 1} to {highest})"
        assert missing in collector.said()
        verdict = Oracle(killed.load, collector).judge()
        assert verdict.stored == left, verdict
        assert not (verdict.duplicated or verdict.invented or verdict.altered), verdict
        await works(collector)
        assert collector.rows()[left]["seq"] == highest + 1


@pytest.mark.parametrize("name", ["collector.db-shm", "collector.mark"])
async def test_a_damaged_side_file_costs_nothing(tmp_path: Path, killed: Filled, name: str) -> None:
    path = killed.copied(tmp_path) / name
    path.write_bytes(random.Random(SEED).randbytes(path.stat().st_size))
    async with Collector(tmp_path) as collector:
        Oracle(killed.load, collector).check()
        await works(collector)
