"""A flood of what is no sound request: a 4xx or a closed connection for each, a log that stays
short, no memory, and no more work than a sound request makes."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from bench.procfs import TICKS_PER_S, rss, ticks
from tests.faults.harness import Collector
from tests.faults.results import record, rounds_of, seed_of

COUNT = rounds_of(600, 100_000)
AT_ONCE = 16
HOST = b"Host: x\r\n"
GET = b"GET /c.gif HTTP/1.1\r\n" + HOST
POST = b"POST /c HTTP/1.1\r\n" + HOST
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
CUT = POST + b"Content-Length: 90000\r\n\r\n" + b" " * 80_000
FLOOD = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 60,
    "a line without end": b"GET /" + b"a" * 100_000,
    "a header without end": GET + b"X: " + b"a" * 100_000,
    "many headers": GET + b"X: a\r\n" * 10_000 + b"\r\n",
    "a cookie of 16 KB": GET + b"Cookie: " + b"a=b; " * 3200 + b"\r\n\r\n",
    "a query of 8 KB": b"GET /c.gif?" + b"p.a=1&" * 1300 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a body too long": POST + b"Content-Length: 9999999\r\n\r\n" + b" " * 9000,
    "a body of junk": POST + b'Content-Length: 9\r\n\r\n{"batch":',
    "a body cut off": CUT,
    "brackets": POST + b"Content-Length: 50000\r\n\r\n" + b"[" * 50_000,
    "a chunk that is none": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"x" * 60_000,
    "a wrong key": POST + b'Content-Length: 27\r\n\r\n{"writeKey":"","batch":[5]}',
    "an upgrade": GET + UPGRADE + b"\x81\xfe" * 40_000,
    "an unknown path": b"GET /wp-login.php HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL": b"GET /c.gif HTTP/1.1\r\nX\0: y\r\n\r\n",
    "lengths that differ": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
}


async def answer(address: tuple[str, int], request: bytes) -> str:
    """Its status, or `closed`."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        if request is CUT:
            await writer.drain()
            return "closed"
        line = await asyncio.wait_for(reader.readline(), 30)
        return line.split()[1].decode() if line else "closed"
    except ConnectionError:
        return "closed"
    finally:
        writer.transport.abort()


@pytest.mark.timeout(120 + COUNT / 100)
async def test_a_flood_of_malformed_requests_leaves_the_log_short(tmp_path: Path) -> None:
    seed = seed_of()
    roll = random.Random(seed)
    kinds = list(FLOOD.values())
    answers: Counter[str] = Counter()
    async with Collector(tmp_path) as collector:

        async def sender(count: int) -> None:
            for _ in range(count):
                answers[await answer(collector.address, roll.choice(kinds))] += 1

        await asyncio.gather(*(sender(10) for _ in range(AT_ONCE)))  # the decoders are loaded
        answers.clear()
        lines, memory, cpu = measured(collector)
        await asyncio.gather(*(sender(COUNT // AT_ONCE) for _ in range(AT_ONCE)))
        more = [
            after - b for after, b in zip(measured(collector), (lines, memory, cpu), strict=True)
        ]
        assert "Traceback" not in collector.said(), collector.said()
    sent = answers.total()
    allowed = {"400", "401", "404", "413", "431", "closed", "200"}  # a GIF is always one
    sums = {"failed": float(sum(n for status, n in answers.items() if status not in allowed))}
    highest = {
        "log_lines_more": more[0],
        "rss_mb_more": more[1] / 1e6,
        "cpu_us_a_request": more[2] / sent * 1e6,
    }
    print(dict(answers), highest)
    record("malformed", rounds=sent, seed=seed, sums=sums, highest=highest)
    assert set(answers) <= allowed, f"seed {seed}: {answers}"
    assert more[0] <= 10, collector.said()
    assert more[1] < 30e6
    assert more[2] / sent < 0.01


def measured(collector: Collector) -> tuple[float, float, float]:
    """Lines of the log, bytes of memory, seconds of CPU."""
    said, pid = collector.said(), collector.pid
    return float(said.count("\n")), float(rss(pid)[0]), ticks(pid) / TICKS_PER_S
