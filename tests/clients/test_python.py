"""segment-analytics-python and rudder-sdk-python, as they are, against the real process."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import rudderstack.analytics.client
import segment.analytics.client

from tests.clients.calls import Call, calls, check_rows
from tests.clients.proxy import IN_A_ROW, Proxy
from tests.faults.harness import Collector, Row

CLIENTS = {
    "segment": segment.analytics.client.Client,
    "rudderstack": rudderstack.analytics.client.Client,
}
Stored = Callable[[int], Any]


@pytest.fixture(params=CLIENTS.values(), ids=CLIENTS)
def client_class(request: pytest.FixtureRequest) -> Any:
    return request.param


class Sending:
    """One client, its calls, and what it reported."""

    def __init__(self, client_class: Any, key: str, url: str, **options: Any) -> None:
        self.failures: list[tuple[Any, list[Any]]] = []
        self.client = client_class(
            key,
            host=url,
            on_error=lambda error, batch: self.failures.append((error, batch)),
            **options,
        )

    async def send(self, given: list[Call]) -> None:
        for one in given:
            taken, _ = getattr(self.client, one["type"])(**arguments(one))
            assert taken
        await asyncio.to_thread(self.client.flush)
        await asyncio.to_thread(self.client.join)


def arguments(given: Call) -> dict[str, Any]:
    """A call in the words of the Python clients."""
    snake = {
        "messageId": "message_id",
        "userId": "user_id",
        "anonymousId": "anonymous_id",
        "groupId": "group_id",
        "previousId": "previous_id",
    }
    when = datetime.fromisoformat(given["timestamp"])
    given = json.loads(json.dumps({k: v for k, v in given.items() if k != "type"}))
    return {snake.get(name, name): value for name, value in given.items()} | {"timestamp": when}


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
async def test_six_hundred_calls_are_as_many_rows_field_by_field(
    collector: Collector, proxy: Proxy, client_class: Any, gzip: bool
) -> None:
    sending = Sending(client_class, collector.key, proxy.url, gzip=gzip)
    given = calls(600)
    await sending.send(given)
    assert sending.failures == []
    assert set(proxy.statuses) == {200}
    check_rows(collector.rows(), given)


async def test_the_columns_that_the_server_derives(collector: Collector, client_class: Any) -> None:
    await Sending(client_class, collector.key, collector.url).send(calls(6))
    rows = {row["type"]: row for row in collector.rows()}
    assert rows["page"]["url"] == "https://shop.example/p/2?q=1"
    assert rows["page"]["path"] == "/p/2"
    assert rows["page"]["title"] == "Zürich 東京"
    for row in rows.values():
        assert row["site"] == "default"
        assert json.loads(row["context"])["library"]["name"] == "analytics-python"
        assert row["user_agent"].startswith("analytics-python/")
        assert row["original_timestamp"] == row["timestamp"]
        assert abs(row["received_at"] - row["sent_at"]) < 60_000


async def test_through_every_fault_each_event_is_there_once(
    collector: Collector, proxy: Proxy, client_class: Any
) -> None:
    proxy.order(*IN_A_ROW)
    sending = Sending(client_class, collector.key, proxy.url, upload_size=6)
    given = calls(60)
    await sending.send(given)
    assert proxy.done
    assert sending.failures == []
    check_rows(collector.rows(), given)


async def refused(sending: Sending, given: list[Call]) -> Any:
    """The only error that the client reports."""
    await sending.send(given)
    ((error, batch),) = sending.failures
    assert len(batch) == len(given)
    return error.status, error.code, error.message


async def test_a_wrong_key_is_reported_after_one_request(
    collector: Collector, proxy: Proxy, client_class: Any
) -> None:
    sending = Sending(client_class, "wk_of_another_site", proxy.url)
    error = await refused(sending, calls(3))
    assert error == (401, "unauthorized", "unknown write key")
    assert proxy.statuses == [401]
    assert collector.rows() == []


async def test_when_every_event_is_refused_the_first_reason_is_reported(
    collector: Collector, proxy: Proxy, client_class: Any
) -> None:
    given = [one | {"messageId": "x" * 101} for one in calls(2)]
    error = await refused(Sending(client_class, collector.key, proxy.url), given)
    message = "longer than 100 characters - at `$.batch[0].messageId`"
    assert error == (400, "invalid_event", message)
    assert proxy.statuses == [400]
    assert collector.rows() == []


async def test_when_one_of_many_is_refused_the_others_are_stored_and_nothing_is_repeated(
    collector: Collector, proxy: Proxy, client_class: Any
) -> None:
    sending = Sending(client_class, collector.key, proxy.url)
    first, bad, last = calls(3)
    await sending.send([first, bad | {"messageId": "x" * 101}, last])
    assert sending.failures == []
    assert proxy.statuses == [200]
    check_rows(collector.rows(), [first, last])
    (reject,) = rejected(collector)
    assert reject["message"] == "longer than 100 characters - at `$.batch[1].messageId`"


def rejected(collector: Collector) -> list[Row]:
    return collector.rows("SELECT * FROM rejected")
