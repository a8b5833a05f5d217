"""Segment's and RudderStack's clients for Node, as they are, against the real process."""

import json
from typing import Any

import pytest

from tests.clients.calls import Call, calls, check_rows
from tests.clients.node import run_node
from tests.clients.proxy import IN_A_ROW, Proxy
from tests.faults.harness import Collector


@pytest.fixture(params=["segment", "rudderstack"])
def sdk(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def send(
    sdk: str, proxy: Proxy, given: list[Call], flush_at: int = 20, key: str | None = None
) -> Any:
    """What the client says was delivered, and its error callback's words."""
    key = key or proxy.collector.key
    words = {"key": key, "url": proxy.url, "calls": given, "flushAt": flush_at}
    return await run_node(f"{sdk}.mjs", words)


def check_delivered(found: Any, given: list[Call]) -> None:
    """The client's callbacks report success for each call, and nothing else."""
    assert sorted(found["delivered"]) == sorted(one["messageId"] for one in given)
    assert found["failures"] == []


async def test_every_call_is_a_row_field_by_field(
    collector: Collector, proxy: Proxy, sdk: str
) -> None:
    given = calls(120)
    check_delivered(await send(sdk, proxy, given), given)
    assert set(proxy.statuses) == {200}
    check_rows(collector.rows(), given)
    for row in collector.rows():
        assert row["user_agent"].startswith(("analytics-node", "node"))
        assert "library" in json.loads(row["context"])
        assert abs(row["received_at"] - row["sent_at"]) < 60_000


async def test_through_every_fault_each_event_is_there_once(
    collector: Collector, proxy: Proxy, sdk: str
) -> None:
    proxy.order(*IN_A_ROW)
    given = calls(60)
    found = await send(sdk, proxy, given, flush_at=6)
    assert proxy.done
    check_delivered(found, given)
    check_rows(collector.rows(), given)


WHY = {
    401: {"success": False, "code": "unauthorized", "message": "unknown write key"},
    400: {
        "success": False,
        "code": "invalid_event",
        "message": "longer than 100 characters - at `$.batch[0].messageId`",
    },
}


def reported(sdk: str, status: int) -> Any:
    """RudderStack's hands on the whole body, analytics-node the reason phrase, our message too."""
    message = WHY[status]["message"]
    return f"delivery_failure: [{status}] {message}" if sdk == "segment" else WHY[status]


async def test_a_wrong_key_is_reported_after_one_request(
    collector: Collector, proxy: Proxy, sdk: str
) -> None:
    found = await send(sdk, proxy, calls(1), key="wk_of_another_site")
    assert found == {"delivered": [], "failures": [reported(sdk, 401)]}
    assert proxy.statuses == [401]
    assert collector.rows() == []


async def test_when_every_event_is_refused_the_first_reason_is_reported(
    collector: Collector, proxy: Proxy, sdk: str
) -> None:
    found = await send(sdk, proxy, [calls(1)[0] | {"messageId": "x" * 101}])
    assert found == {"delivered": [], "failures": [reported(sdk, 400)]}
    assert proxy.statuses == [400]
    assert collector.rows() == []


async def test_when_one_of_many_is_refused_the_others_are_stored_and_nothing_is_repeated(
    collector: Collector, proxy: Proxy, sdk: str
) -> None:
    first, bad, last = calls(3)
    given = [first, bad | {"messageId": "x" * 101}, last]
    check_delivered(await send(sdk, proxy, given), given)
    assert set(proxy.statuses) <= {200, 400}
    check_rows(collector.rows(), [first, last])
    (reject,) = collector.rows("SELECT * FROM rejected")
    assert reject["code"] == "invalid_event"
