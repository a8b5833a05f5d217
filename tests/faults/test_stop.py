"""SIGTERM under load, and peers that would hold the stop."""

import asyncio
import random
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.faults.harness import Collector, Oracle
from tests.faults.load import Load
from tests.faults.results import record, rounds_of, seed_of

SEED = seed_of()
ROUNDS = rounds_of(3, 200)
FOLDER_ROUNDS = 20  # then a new folder: the oracle reads all rows after every stop
BODY_BYTES = 5000
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ASK = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ALLOWED_S = 5  # what the contract gives a stop


@asynccontextmanager
async def connection(collector: Collector) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(*collector.address)
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def half_a_body(collector: Collector) -> AsyncIterator[Connection]:
    """A client in the middle of a batch of BODY_BYTES."""
    async with connection(collector) as (reader, writer):
        head = f"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
        writer.write(head.encode() + beginning(collector))
        await asyncio.sleep(0.2)  # it has arrived
        yield reader, writer


def beginning(collector: Collector) -> bytes:
    return b'{"writeKey":"%s","batch":[' % collector.key.encode()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What the collector still says before it closes the connection."""
    said = b""
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(ALLOWED_S):
            while chunk := await reader.read(65536):
                said += chunk
    return said


async def stop(collector: Collector, roll: random.Random) -> tuple[str, float]:
    """SIGTERM, or two of them shortly after each other; which, and how long the end took."""
    twice = roll.random() < 0.25
    started = time.monotonic()
    collector.kill(signal.SIGTERM)
    if twice:
        await asyncio.sleep(roll.uniform(0, 0.05))
        if collector.running:
            collector.kill(signal.SIGTERM)
    code = await collector.wait(ALLOWED_S)
    assert code == 0 or (twice and code in (1, -signal.SIGTERM)), (code, collector.said())
    if code == 0:
        assert not (collector.data / "collector.db-wal").exists()  # folded back
    return "cut_short_by_a_second_signal" if code else "whole", time.monotonic() - started


# A small buffer and many clients: most answers are 503 at the time of the stop.
OVERLOAD = {"store__buffer_events": 100, "http__refused_rest_s": 0}


@pytest.mark.timeout(120 + 15 * ROUNDS)
@pytest.mark.parametrize("load", ["stop", "stop_overload"])
async def test_a_stop_under_load_keeps_all_that_was_answered(tmp_path: Path, load: str) -> None:
    roll = random.Random(SEED)
    rounds = ROUNDS if load == "stop" else max(2, ROUNDS // 4)
    for first in range(0, rounds, FOLDER_ROUNDS):
        folder = tmp_path / str(first)
        folder.mkdir()
        await stopped_again_and_again(folder, roll, load, min(FOLDER_ROUNDS, rounds - first))
        shutil.rmtree(folder)


async def stopped_again_and_again(
    folder: Path, roll: random.Random, name: str, rounds: int
) -> None:
    settings = OVERLOAD if name == "stop_overload" else {}
    async with Collector(folder, **settings) as collector:
        load = Load(collector.url, collector.key, roll.randrange(10**6), 16, pause=0.005)
        oracle, known = Oracle(load, collector), 0
        load.start()
        for number in range(rounds):
            await load.acknowledges(200)
            if settings:
                await load.answered("503")
            await asyncio.sleep(roll.uniform(0, 0.3))
            how, exit_s = await stop(collector, roll)
            verdict = oracle.judge()
            print(f"seed {SEED}, {name} {number + 1} {how} in {exit_s:.2f} s: {verdict}")
            new = {"acknowledged": verdict.acknowledged - known, how: 1}
            known = verdict.acknowledged
            record(name, rounds=1, seed=SEED, sums=verdict.sums() | new, highest={"exit_s": exit_s})
            assert verdict.sound, verdict
            await collector.start()
        await load.finish()
        oracle.check_all()
        assert "Traceback" not in collector.said(), collector.said()


async def test_a_second_signal_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    async with Collector(tmp_path, http__stop_body_s=60, http__body_timeout_s=60) as collector:
        load = Load(collector.url, collector.key, SEED)
        load.start()
        await load.acknowledges(1000)
        async with half_a_body(collector):  # the first signal alone would wait for it
            collector.kill(signal.SIGTERM)
            await asyncio.sleep(0.3)
            assert collector.running
            collector.kill(signal.SIGTERM)
            assert await collector.wait(ALLOWED_S) == 1
        await load.pause()
        await collector.start()
        Oracle(load, collector).check()
        await load.finish()
        Oracle(load, collector).check_all()


@pytest.mark.parametrize("settings", [{}, {"http__stop_body_s": 0.3}], ids=["default", "short"])
async def test_an_incomplete_body_does_not_hold_the_stop(
    tmp_path: Path, settings: dict[str, float]
) -> None:
    async with Collector(tmp_path, **settings) as collector, half_a_body(collector) as (reader, _):
        collector.kill(signal.SIGTERM)
        assert await collector.wait(ALLOWED_S) == 0
        assert b" 200 " not in await rest_of(reader)
        assert "Traceback" not in collector.said(), collector.said()


async def test_a_half_sent_login_on_the_admin_listener_does_not_hold_the_stop(
    tmp_path: Path,
) -> None:
    async with Collector(tmp_path) as collector:
        port = int(collector.admin_url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        try:
            await writer.drain()
            await asyncio.sleep(0.2)
            collector.kill(signal.SIGTERM)
            assert await collector.wait(ALLOWED_S) == 0
        finally:
            writer.close()


async def test_a_body_completed_during_the_stop_is_stored(tmp_path: Path) -> None:
    async with (
        Collector(tmp_path, http__stop_body_s=10) as collector,
        half_a_body(collector) as (reader, writer),
    ):
        collector.kill(signal.SIGTERM)
        await asyncio.sleep(0.3)
        event = b'{"type":"track","event":"Late","userId":"u","messageId":"late"}]}'
        writer.write(event.ljust(BODY_BYTES - len(beginning(collector))))
        assert b'{"success":true}' in await rest_of(reader)
        assert await collector.wait(ALLOWED_S) == 0
        assert [row["message_id"] for row in collector.rows()] == ["late"]


async def test_a_request_that_came_while_the_process_had_no_time_is_answered(
    tmp_path: Path,
) -> None:
    """On a busy machine: the time for further requests has passed before the loop has looked."""
    patient = Collector(tmp_path, http__stop_idle_s=2)
    async with patient as collector, connection(collector) as (reader, writer):
        async with asyncio.timeout(20):
            writer.write(ASK)
            assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200 OK")
            collector.kill(signal.SIGTERM)
            await asyncio.sleep(0.15)
            collector.kill(signal.SIGSTOP)
            writer.write(ASK)
            await asyncio.sleep(2)
            collector.kill(signal.SIGCONT)
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        assert await collector.wait(ALLOWED_S) == 0


async def test_idle_connections_do_not_hold_the_stop(tmp_path: Path) -> None:
    async with Collector(tmp_path) as collector, aiohttp.ClientSession() as session:
        for address in (f"{collector.url}/healthz", f"{collector.admin_url}/metrics"):
            async with session.get(address) as response:
                await response.read()  # both connections stay open in the session's pool
        async with connection(collector), connection(collector) as (_, writer):
            writer.write(b"POST /c HTTP/1.1\r\nHost:")
            await asyncio.sleep(0.2)
            collector.kill(signal.SIGTERM)
            assert await collector.wait(ALLOWED_S) == 0


async def test_a_client_that_reads_no_answers_does_not_hold_the_stop(tmp_path: Path) -> None:
    async with Collector(tmp_path) as collector, connection(collector) as (_, writer):
        writer.transport.pause_reading()
        writer.write(b"GET /c.js HTTP/1.1\r\nHost: x\r\n\r\n" * 3000)
        await asyncio.sleep(0.5)
        collector.kill(signal.SIGTERM)
        assert await collector.wait(ALLOWED_S) == 0
