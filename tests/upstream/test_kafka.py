"""Kafka's protocol, spoken by librdkafka's brokers: each event once, a visitor's in order."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.conftest import Collector
from tests.upstream.conftest import Brokers, until

Fill = Callable[..., Awaitable[None]]


async def test_each_event_is_there_once_and_each_visitors_in_order(
    idle: Collector, fill: Fill, brokers: Brokers
) -> None:
    to = {"name": "bus", "kind": "kafka", "servers": brokers.servers, "topic": "events"}
    await idle.start(forward=[to | {"linger_s": 0.0, "timeout_s": 10.0}])
    forwarder = idle.app.forwarding.forwarders[0]
    await fill(idle, 2000)
    await until(lambda: forwarder.status().lag_events == 0)
    messages = await asyncio.to_thread(brokers.read, "events", 2000)
    values = [json.loads(message.value()) for message in messages]
    counts = Counter(value["message_id"] for value in values)
    assert len(counts) == 2000
    assert set(counts.values()) == {1}
    last: dict[str, int] = {}
    partition: dict[str, int] = {}
    for message, value in zip(messages, values, strict=True):
        visitor = value["anonymous_id"]
        assert message.key().decode() == visitor
        assert partition.setdefault(visitor, message.partition()) == message.partition()
        assert value["seq"] > last.get(visitor, 0)
        last[visitor] = value["seq"]
    assert len(set(partition.values())) > 1


async def test_a_bus_that_is_not_there_is_waited_for(idle: Collector, fill: Fill) -> None:
    to = {"name": "bus", "kind": "kafka", "servers": ["127.0.0.1:9"], "topic": "events"}
    await idle.start(forward=[to | {"retry_s": 0.1}])
    await fill(idle, 3)
    await until(lambda: idle.app.forwarding.status()[0].retries > 0)
    assert (await idle.get("/readyz"))[0] == 200
