"""segment-analytics-python from PyPI, as it is, against the real process."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from segment.analytics.client import Client
from segment.analytics.request import APIError

from tests.faults.harness import Collector, Row

TYPES = ("identify", "track", "page", "screen", "group", "alias")
WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
JSON_COLUMNS = ("properties", "traits")

Calls = dict[str, dict[str, Any]]  # by message id, as handed to the client
Failures = list[tuple[Exception, list[Any]]]


def arguments(number: int) -> dict[str, Any]:
    """The arguments of call `number`, of one type after the other."""
    kind = TYPES[number % len(TYPES)]
    own: dict[str, dict[str, Any]] = {
        "identify": {"traits": {"email": f"{number}@example.com", "plan": None}},
        "track": {"event": f"Event {number % 7}", "properties": {"total": number / 4, "n": number}},
        "page": {
            "name": f"Page {number}",
            "category": "Docs",
            "properties": {"url": f"https://shop.example/p/{number}?q=1", "title": "Zürich 東京"},
        },
        "screen": {"name": f"Screen {number}", "properties": {"depth": [1, {"two": True}]}},
        "group": {"group_id": f"g{number % 5}", "traits": {"seats": number}},
        "alias": {"previous_id": f"before-{number}"},
    }
    who = {"user_id": f"u{number}"} if kind == "alias" or number % 2 else {}
    who |= {} if who else {"anonymous_id": f"a{number}"}
    when = WHEN + timedelta(milliseconds=number)
    return {"kind": kind, "timestamp": when, "message_id": f"m-{number}", **who, **own[kind]}


def call_all(client: Client, count: int) -> Calls:
    calls = {}
    for number in range(count):
        given = arguments(number)
        calls[given["message_id"]] = given
        kind = given["kind"]
        taken, _ = getattr(client, kind)(**{k: v for k, v in given.items() if k != "kind"})
        assert taken
    return calls


def as_called(row: Row) -> dict[str, Any]:
    """The row as arguments of a call."""
    name = "event" if row["type"] == "track" else "name"
    found = {
        "kind": row["type"],
        "timestamp": datetime.fromtimestamp(row["timestamp"] / 1000, UTC),
        name: row["event"],
        **{c: json.loads(row[c]) for c in JSON_COLUMNS if row[c]},
        **{c: row[c] for c in ("message_id", "user_id", "anonymous_id", "group_id", "previous_id")},
    }
    return {name: value for name, value in found.items() if value is not None}


async def send(client: Client, count: int) -> Calls:
    calls = call_all(client, count)
    await asyncio.to_thread(client.flush)
    await asyncio.to_thread(client.join)
    return calls


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
async def test_a_thousand_calls_are_a_thousand_rows(collector: Collector, gzip: bool) -> None:
    failures: Failures = []
    client = Client(
        collector.key,
        host=collector.url,
        gzip=gzip,
        on_error=lambda error, batch: failures.append((error, batch)),
    )
    calls = await send(client, 1000)
    rows = collector.rows()
    assert failures == []
    assert len(rows) == 1000
    assert {row["message_id"] for row in rows} == calls.keys()
    for row in rows:
        called = {k: v for k, v in calls[row["message_id"]].items() if k != "category"}
        assert as_called(row) == called


async def test_the_columns_that_the_server_derives(collector: Collector) -> None:
    await send(Client(collector.key, host=collector.url), len(TYPES))
    rows = {row["type"]: row for row in collector.rows()}
    assert list(rows) == list(TYPES)
    assert rows["page"]["url"] == "https://shop.example/p/2?q=1"
    assert rows["page"]["path"] == "/p/2"
    assert rows["page"]["title"] == "Zürich 東京"
    for row in rows.values():
        assert row["site"] == "default"
        assert json.loads(row["context"])["library"]["name"] == "analytics-python"
        assert row["user_agent"].startswith("analytics-python/")
        assert row["original_timestamp"] == row["timestamp"]
        assert abs(row["received_at"] - row["sent_at"]) < 60_000


async def received_requests(collector: Collector) -> str:
    token = (collector.data / "admin-token").read_text().strip()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(f"{collector.admin_url}/metrics") as response,
    ):
        (count,) = re.findall(
            r"^collector_received_requests_total (\S+)$", await response.text(), re.MULTILINE
        )
        return str(count)


async def test_a_wrong_key_is_given_up_after_one_request_and_reported(
    collector: Collector,
) -> None:
    failures: Failures = []
    client = Client(
        "wk_of_another_site",
        host=collector.url,
        on_error=lambda error, batch: failures.append((error, batch)),
    )
    await send(client, 3)
    assert await received_requests(collector) == "1.0"
    ((error, batch),) = failures
    assert isinstance(error, APIError)
    assert (error.status, error.code, error.message) == (401, "unauthorized", "unknown write key")
    assert len(batch) == 3
    assert collector.rows() == []
