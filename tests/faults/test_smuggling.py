"""What nginx takes for one request the collector takes for one: nobody hides a second one in it,
neither through nginx nor for those who speak to the collector directly."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.harness import Collector
from tests.faults.proxied import nginx
from tests.faults.results import record, recording
from tests.faults.smuggled import CASES, KEY

SETTINGS = {"site__0__name": "shop", "site__0__key": KEY, "http__body_timeout_s": 2}
AT_ONCE = 12
WAYS = [True, False] if recording() else [True]
# nginx refuses them; but a tab before a value is as good as a space (RFC 9110, 5.6.3).
LAWFUL = {"length-tab", "chunked-tab"}


async def said(address: tuple[str, int], request: bytes) -> bytes:
    """All that comes back until the server closes or has nothing more to say."""
    reader, writer = await asyncio.open_connection(*address)
    heard = b""
    try:
        writer.write(request)
        while chunk := await asyncio.wait_for(reader.read(65536), 0.3 if heard else 1.5):
            heard += chunk
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return heard


def numbered(request: bytes, number: int) -> bytes:
    """With ids of its own, as long as the others."""
    return request.replace(b"=outer", b"=o%04d" % number).replace(b"=inner", b"=i%04d" % number)


def stored(collector: Collector) -> set[str]:
    return {row["message_id"] for row in collector.rows()}


@pytest.mark.parametrize("buffering", WAYS, ids=["nginx buffers", "nginx streams"][: len(WAYS)])
async def test_no_request_is_understood_as_two(tmp_path: Path, buffering: bool) -> None:
    half = len(CASES)
    async with (
        Collector(tmp_path, **SETTINGS) as collector,
        nginx(tmp_path / "nginx", collector, buffering) as proxy,
    ):
        cases = list(enumerate(CASES.values()))
        for first in range(0, half, AT_ONCE):
            some = cases[first : first + AT_ONCE]
            await asyncio.gather(
                *(said(proxy.address, numbered(request, number)) for number, request in some),
                *(said(collector.address, numbered(r, half + number)) for number, r in some),
            )
            # On the connections that nginx keeps to the collector nothing is left over.
            for number, _ in some:
                own = await said(proxy.address, canary(number))
                assert own.startswith(b"HTTP/1.1 200 OK\r\n"), (list(CASES)[number], own)
                assert own.count(b"GIF89a") == 1, (list(CASES)[number], own)
        logged, there = proxy.ids(), stored(collector)
        assert "Traceback" not in collector.said(), collector.said()
    hidden = [
        name
        for number, name in enumerate(CASES)
        for way in (number, half + number)
        if f"i{way:04d}" in there and f"i{number:04d}" not in logged
    ]
    wrong = set(hidden) - LAWFUL
    record("smuggling", rounds=2 * half, seed=0, sums={"failed": len(wrong)})
    assert not wrong
    assert {f"c{number:04d}" for number in range(half)} <= there
    assert f"i{list(CASES).index('pipelined'):04d}" in there


def canary(number: int) -> bytes:
    line = f"GET /c.gif?id=c{number:04d}&k={KEY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    return line.encode()
