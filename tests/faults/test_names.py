"""Visitors, event names, property names and user agents without end, from someone who has copied
the write key: memory stays bounded, and so does what /metrics says."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from bench.procfs import rss
from tests.faults.harness import Collector
from tests.faults.results import record, rounds_of

COUNT = rounds_of(4000, 300_000)
BATCH, AT_ONCE = 400, 4
ALLOWED_BYTES = 100_000_000  # caches that fill up, and the window of ids
TOKEN = "token_of_the_flood_0123456789"


def batch(collector: Collector, first: int) -> bytes:
    events = [
        {
            "type": "track",
            "event": f"Event {n}",
            "messageId": f"m-{n}",
            "anonymousId": f"visitor-{n}",
            "properties": {f"property-{n}": n, "url": f"https://shop.example/{n}?p{n}=1"},
            "context": {"userAgent": f"Agent/{n}", "page": {"referrer": f"https://r{n}.example/"}},
        }
        for n in range(first, first + BATCH)
    ]
    return json.dumps({"writeKey": collector.key, "batch": events}).encode()


async def metric_names(session: aiohttp.ClientSession, collector: Collector) -> list[str]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with session.get(f"{collector.admin_url}/metrics", headers=headers) as answer:
        assert answer.status == 200
        return sorted(line.rpartition(" ")[0] for line in (await answer.text()).splitlines())


@pytest.mark.timeout(120 + COUNT / 200)
async def test_names_without_end_take_no_memory_and_add_no_metric(tmp_path: Path) -> None:
    numbers = iter(range(0, COUNT, BATCH))
    async with (
        Collector(tmp_path, admin__token=TOKEN) as collector,
        aiohttp.ClientSession() as session,
    ):

        async def sender() -> None:
            for first in numbers:
                body, forwarded = batch(collector, first), f"203.0.{first % 251}.{first % 249}"
                headers = {"X-Forwarded-For": forwarded, "Origin": f"https://a{first}.example"}
                async with session.post(f"{collector.url}/c", data=body, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()

        before, memory = await metric_names(session, collector), rss(collector.pid)[0]
        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
        after, more = await metric_names(session, collector), rss(collector.pid)[1] - memory
        (row,) = collector.rows("SELECT count(*) AS n FROM events")
    highest = {"rss_mb_more": more / 1e6, "metrics_more": float(len(after) - len(before))}
    print(COUNT, highest)
    record("names", rounds=COUNT, seed=0, sums={"lost": float(COUNT - row["n"])}, highest=highest)
    assert row["n"] == COUNT
    assert after == before
    assert more < ALLOWED_BYTES
