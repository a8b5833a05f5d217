"""The proxy does what is ordered, and nothing else."""

import aiohttp
import pytest

from tests.clients.proxy import ALL, Fault, Proxy, cut, refuse
from tests.faults.harness import Collector


async def post(session: aiohttp.ClientSession, proxy: Proxy, number: int) -> int | None:
    """The status, None when the connection broke."""
    body = {"event": "Tried", "userId": "u", "messageId": f"m-{number}"}
    body["writeKey"] = proxy.collector.key
    try:
        async with session.post(f"{proxy.url}/v1/track", json=body) as answer:
            return answer.status
    except aiohttp.ClientError:
        return None


async def test_without_orders_all_is_passed_on_and_counted(
    session: aiohttp.ClientSession, collector: Collector, proxy: Proxy
) -> None:
    assert [await post(session, proxy, i) for i in range(3)] == [200, 200, 200]
    async with session.get(f"{proxy.url}/healthz") as answer:
        assert await answer.text() == "ok\n"
    assert proxy.statuses == [200, 200, 200]
    assert len(collector.rows()) == 3


async def test_a_refusal_reaches_the_client_and_not_the_collector(
    session: aiohttp.ClientSession, collector: Collector, proxy: Proxy
) -> None:
    proxy.order(refuse(429, retry_after=7))
    assert await post(session, proxy, 0) == 429
    assert proxy.done
    assert collector.rows() == []


async def test_a_cut_comes_after_the_events_were_stored(
    session: aiohttp.ClientSession, collector: Collector, proxy: Proxy
) -> None:
    proxy.order(cut)
    assert await post(session, proxy, 0) is None
    assert len(collector.rows()) == 1


@pytest.mark.parametrize("fault", ALL.values(), ids=ALL)
async def test_a_client_that_repeats_itself_gets_through(
    session: aiohttp.ClientSession, collector: Collector, proxy: Proxy, fault: tuple[Fault, ...]
) -> None:
    proxy.order(*fault)
    while await post(session, proxy, 0) != 200:
        pass
    assert proxy.done
    assert [row["message_id"] for row in collector.rows()] == ["m-0"]
