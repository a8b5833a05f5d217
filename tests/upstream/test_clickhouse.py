"""ClickHouse's engine is sent what the log has: once, with the same answers to the same queries."""

from collections.abc import Awaitable, Callable
from typing import Any

from collector.upstream.clickhouse import schema
from tests.conftest import Collector
from tests.upstream.conftest import ClickHouse, until

Fill = Callable[..., Awaitable[None]]


async def serve(collector: Collector, url: str, **settings: Any) -> Any:
    to = {"name": "warehouse", "kind": "clickhouse", "url": url, "linger_s": 0.0, "retry_s": 0.1}
    await collector.start(forward=[to | settings])
    return collector.app.forwarding.forwarders[0]


async def test_queries_say_what_sqlite_says(
    idle: Collector, fill: Fill, clickhouse: ClickHouse
) -> None:
    forwarder = await serve(idle, clickhouse.url)
    await fill(idle, 1500)
    await until(lambda: forwarder.status().lag_events == 0)
    for theirs, ours in (
        (
            "SELECT message_id, site, type, event, user_id, anonymous_id, properties, traits, "
            "toUnixTimestamp64Milli(timestamp) AS timestamp, node_id, node_seq, ip, user_agent, "
            "toUnixTimestamp64Milli(received_at) AS received_at, "
            "toUnixTimestamp64Milli(original_timestamp) AS original_timestamp "
            "FROM events FINAL ORDER BY node_seq",
            "SELECT message_id, site, type, event, user_id, anonymous_id, properties, traits, "
            "timestamp, node_id, node_seq, ip, user_agent, received_at, original_timestamp "
            "FROM events ORDER BY node_seq",
        ),
        (
            "SELECT event, count() AS n, uniqExact(anonymous_id) AS visitors FROM events FINAL "
            "WHERE event IS NOT NULL GROUP BY event ORDER BY event",
            "SELECT event, count(*) AS n, count(DISTINCT anonymous_id) AS visitors FROM events "
            "WHERE event IS NOT NULL GROUP BY event ORDER BY event",
        ),
        (
            "SELECT toString(toDate(timestamp)) AS day, count() AS n FROM events FINAL "
            "GROUP BY day ORDER BY day",
            "SELECT date(timestamp / 1000, 'unixepoch') AS day, count(*) AS n FROM events "
            "GROUP BY day ORDER BY day",
        ),
    ):
        assert await clickhouse.query(theirs) == idle.rows(ours)


async def test_a_batch_that_is_sent_again_counts_once(
    idle: Collector, fill: Fill, clickhouse: ClickHouse
) -> None:
    clickhouse.lose = 3
    forwarder = await serve(idle, clickhouse.url, batch_events=300)
    await fill(idle, 900)
    await until(lambda: forwarder.status().lag_events == 0)
    assert clickhouse.inserts > forwarder.status().batches
    assert await clickhouse.query("SELECT count() AS n FROM events") == [{"n": 900}]


async def test_bounds_of_a_batch_survive_a_restart(
    idle: Collector, fill: Fill, clickhouse: ClickHouse
) -> None:
    clickhouse.lose = 1_000_000
    forwarder = await serve(idle, clickhouse.url)
    await fill(idle, 40)
    await until(lambda: clickhouse.inserts > 0)
    await fill(idle, 40, first=40)
    await until(lambda: forwarder.status().retries > 1)
    await idle.stop()
    clickhouse.lose = 0
    await idle.start(**idle.settings)
    forwarder = idle.app.forwarding.forwarders[0]
    await until(lambda: forwarder.status().lag_events == 0)
    assert await clickhouse.query("SELECT count() AS n FROM events") == [{"n": 80}]


async def test_a_visitors_events_belong_to_the_user_it_was_identified_as(
    idle: Collector, fill: Fill, clickhouse: ClickHouse
) -> None:
    forwarder = await serve(idle, clickhouse.url)
    await fill(idle, 60)
    await until(lambda: forwarder.status().lag_events == 0)
    rows = await clickhouse.query(
        "SELECT DISTINCT person_id FROM person_events WHERE anonymous_id = 'visitor-000'"
    )
    assert rows == [{"person_id": "user-0"}]


def test_the_schema_takes_names_and_months() -> None:
    text = schema("shop", "log", 6)
    assert "`shop`.`log`" in text
    assert "INTERVAL 6 MONTH" in text
    assert "{" not in text
