"""A disk that fills up under the running process."""

import asyncio
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from tests.faults.disks import SizeLimit, SmallDisk
from tests.faults.harness import Collector, Oracle
from tests.faults.load import Load
from tests.faults.results import record, rounds_of, seed_of

SEED = seed_of()
ROUNDS = rounds_of(1, 20)
ANSWER_WITHIN_S = 1


async def post(
    collector: Collector, message_id: str = "now"
) -> tuple[int, str | None, dict[str, str]]:
    """Status, Retry-After and body of the answer to one event, which must come in time."""
    event = {"type": "track", "event": "Now", "userId": "u", "messageId": message_id}
    body = {"writeKey": collector.key, "batch": [event]}
    timeout = aiohttp.ClientTimeout(ANSWER_WITHIN_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{collector.url}/v1/batch", json=body) as response,
    ):
        return response.status, response.headers.get("Retry-After"), await response.json()


async def ready(collector: Collector) -> tuple[int, str]:
    """Status and text of /readyz."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{collector.url}/readyz") as response,
    ):
        return response.status, (await response.text()).strip()


@pytest.mark.timeout(120 + 20 * ROUNDS)
async def test_a_full_disk_is_503_at_once_and_over_when_there_is_room(
    tmp_path: Path, disk: SmallDisk | SizeLimit
) -> None:
    async with Collector(tmp_path, data=disk.folder / "data") as collector:
        load = Load(collector.url, collector.key, SEED, pause=0.05)
        oracle, known = Oracle(load, collector), 0
        load.start()
        for number in range(1, ROUNDS + 1):
            highest = await filled_and_freed(collector, load, disk)
            verdict = oracle.judge()
            print(f"seed {SEED}, full and free {number}: {verdict}")
            sums = verdict.sums() | {"acknowledged": verdict.acknowledged - known}
            known = verdict.acknowledged
            record("full", rounds=1, seed=SEED, sums=sums, highest=highest)
            assert verdict.sound, verdict
            for line in ("the store cannot write", "the store can write again"):
                assert number <= collector.said().count(line) <= 5 * number
        await load.finish()
        oracle.check_all()
        assert "Traceback" not in collector.said(), collector.said()


async def filled_and_freed(
    collector: Collector, load: Load, disk: SmallDisk | SizeLimit
) -> dict[str, float]:
    """Both ends of it, and how long the answers took to say so."""
    await load.acknowledges(200)
    disk.fill(collector)
    await load.answered("503")
    refused_s, (status, retry_after, answer) = await refused(collector, load)
    assert (status, retry_after, answer["code"]) == (503, "1", "unavailable")
    assert answer["message"].startswith("cannot store now: disk ")
    status, reason = await ready(collector)
    assert status == 503
    assert reason.startswith("disk ")
    Oracle(load, collector).check()
    disk.free(collector)
    freed = time.monotonic()
    await load.acknowledges(1)
    back_s = time.monotonic() - freed
    await load.acknowledges(200)
    assert await ready(collector) == (200, "ready")
    return {"answer_503_s": refused_s, "first_200_after_s": back_s}


async def refused(
    collector: Collector, load: Load
) -> tuple[float, tuple[int, str | None, dict[str, str]]]:
    """The first answer that is not 200, and how long it took. A write-ahead log that has just
    been folded back still takes a few small events."""
    while True:
        asked, message_id = time.monotonic(), f"now {len(load.sent)}"
        answer = await post(collector, message_id)
        if answer[0] != 200:
            return time.monotonic() - asked, answer
        load.sent[message_id] = ("Now", {})
        load.acknowledged.add(message_id)


@pytest.mark.parametrize("spare_pages", range(6))
async def test_whichever_write_is_the_first_to_fail(
    tmp_path: Path, tmpfs: SmallDisk, spare_pages: int
) -> None:
    """The log's, its index's, the mark's: each leaves a collector that goes on."""
    async with Collector(tmp_path, data=tmpfs.folder / "data") as collector:
        load = Load(collector.url, collector.key, SEED, clients=2)
        tmpfs.fill(collector, spare_pages)
        load.start()
        await load.answered("503")
        tmpfs.free(collector)
        await load.finish()
        Oracle(load, collector).check_all()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_the_end_of_the_process_on_a_full_disk_loses_nothing(
    tmp_path: Path, tmpfs: SmallDisk, number: signal.Signals
) -> None:
    async with Collector(tmp_path, data=tmpfs.folder / "data") as collector:
        load = Load(collector.url, collector.key, SEED)
        load.start()
        await load.acknowledges(500)
        tmpfs.fill(collector)
        await load.answered("503")
        collector.kill(number)
        assert await collector.wait() == (0 if number == signal.SIGTERM else -number)
        await load.pause()
        await collector.spawn()  # still full: it may say so and end, or answer 503
        await asyncio.sleep(1)
        if not collector.running:
            said = collector.said().splitlines()[-1]
            assert "No space left on device" in said or "disk is full" in said
        tmpfs.free(collector)
        if not collector.running:
            await collector.start()
        Oracle(load, collector).check()
        await load.finish()
        Oracle(load, collector).check_all()
        assert "Traceback" not in collector.said(), collector.said()
