"""An edge and a centre, both real, in the test's own loop."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Collector

EDGE_KEY = "ek_of_the_tests_0001"
UNANSWERED = "http://127.0.0.1:9"  # the discard port: nobody listens


class Pair:
    """`edge` forwards to `centre`; both are started by the test."""

    def __init__(self, edge: Collector, centre: Collector) -> None:
        self.edge = edge
        self.centre = centre

    async def start(self, **forward: Any) -> "Pair":
        await self.start_centre()
        return await self.start_edge(**forward)

    async def start_centre(self, **settings: Any) -> None:
        edges = [{"name": "fra-1", "key": EDGE_KEY}]
        await self.centre.start(**{"edge": edges, **settings})

    async def start_edge(self, **forward: Any) -> "Pair":
        """Settings of [[forward]]; of others by their dotted path."""
        edge = {
            name: forward.pop(name) for name in list(forward) if "." in name or name == "profile"
        }
        to = {"name": "centre", "url": self.centre.url, "key": EDGE_KEY, "linger_s": 0.0}
        await self.edge.start(**{"forward": [to | forward], **edge})
        return self

    async def delivered(self, count: int) -> None:
        await until(lambda: len(self.centre.ids()) >= count)


async def until(done: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.02)


@pytest.fixture
def pair(tmp_path: Path, make_collector: Callable[[Path], Collector]) -> Pair:
    return Pair(make_collector(tmp_path / "edge"), make_collector(tmp_path / "centre"))


@pytest.fixture
def fill() -> Callable[[Collector, int], Awaitable[list[str]]]:
    """Send so many events of a few visitors, in batches; returns their message ids."""

    async def send(collector: Collector, count: int, first: int = 0) -> list[str]:
        events = [event(number) for number in range(first, first + count)]
        for at in range(0, count, 500):
            status, said = await collector.post("/v1/batch", {"batch": events[at : at + 500]})
            assert (status, said) == (200, {"success": True})
        return [e["messageId"] for e in events]

    return send


def event(number: int) -> dict[str, Any]:
    return {
        "type": "track",
        "event": f"Event {number % 7}",
        "messageId": f"m-{number}",
        "anonymousId": f"visitor-{number % 13:03d}",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "properties": {"n": number, "text": 'Zürich "東京" \\ \n', "big": 2**62, "half": 1.50},
        "context": {"page": {"url": "https://shop.example/a?b", "title": "A"}},
    }
