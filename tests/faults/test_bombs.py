"""Compression bombs: refused by their size inside, and the process does not grow."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from bench.procfs import rss
from tests.faults.bombs import BOMBS
from tests.faults.harness import Collector
from tests.faults.results import record, recording, rounds_of, seed_of

ROUNDS = rounds_of(1, 20)
SIZE = (256 if recording() else 16) << 20
AT_ONCE = 8
ALLOWED_BYTES = 30_000_000
DAMAGED = {"zstd-wide-window"}  # no content coding may have it (RFC 9659): 400, nothing inflated


def request(encoding: str, body: bytes, chunk: int) -> bytes:
    head = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Encoding: %s\r\n" % encoding.encode()
    if not chunk:
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    parts = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    framed = b"".join([b"%x\r\n%s\r\n" % (len(part), part) for part in parts])
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


async def answer_to(collector: Collector, data: bytes) -> int:
    """It comes before all is sent: a server need not take in all of what it refuses."""
    reader, writer = await asyncio.open_connection(*collector.address)
    writer.write(data)
    line = await reader.readline()
    writer.transport.abort()
    return int(line.split()[1])


def grown(collector: Collector, before: int) -> int:
    return max(0, rss(collector.pid)[1] - before)


def forget_the_peak(collector: Collector) -> int:
    Path(f"/proc/{collector.pid}/clear_refs").write_text("5")
    return rss(collector.pid)[0]


@pytest.mark.timeout(60 + 30 * ROUNDS)
async def test_a_bomb_is_413_and_takes_no_memory(tmp_path: Path) -> None:
    seed = seed_of()
    roll = random.Random(seed)
    packed = {name: (encoding, make(SIZE)) for name, (encoding, make) in BOMBS.items()}
    async with Collector(tmp_path) as collector:
        await throw(collector, packed["gzip"], 0)  # the decoders are loaded
        for _ in range(ROUNDS):
            for name, bomb in packed.items():
                before = forget_the_peak(collector)
                # A large one byte by byte would be late instead: 408.
                finest = 1 if len(bomb[1]) < 50_000 else 100
                answers = await throw(collector, bomb, roll.choice([0, finest, 65536]))
                more = grown(collector, before)
                expected = 400 if name in DAMAGED else 413
                sums = {"failed": float(sum(status != expected for status in answers))}
                highest = {f"rss_mb_more_{name}": more / 1e6, "mb_inside": SIZE / 1e6}
                record("bombs", rounds=len(answers), seed=seed, sums=sums, highest=highest)
                assert set(answers) == {expected}, f"{name}, seed {seed}: {answers}"
                assert more < ALLOWED_BYTES, f"{name}, seed {seed}: {more / 1e6:.0f} MB more"
        assert await answer_to(collector, request("identity", event(collector), 0)) == 200
        assert "Traceback" not in collector.said(), collector.said()


async def throw(collector: Collector, bomb: tuple[str, bytes], chunk: int) -> list[int]:
    data = request(*bomb, chunk)
    async with asyncio.timeout(60):
        return await asyncio.gather(*(answer_to(collector, data) for _ in range(AT_ONCE)))


def event(collector: Collector) -> bytes:
    call = {"type": "track", "event": "E", "messageId": "after"}
    return json.dumps({"writeKey": collector.key, "batch": [call]}).encode()
