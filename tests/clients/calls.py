"""Calls of every type in Segment's common form, and rows read back in the same form."""

import json
from typing import Any

from tests.faults.harness import Row

TYPES = ("identify", "track", "page", "screen", "group", "alias")
Call = dict[str, Any]


def call(number: int) -> Call:
    """Call `number`, of one type after the other, with what is hard to carry in it."""
    kind = TYPES[number % len(TYPES)]
    own: dict[str, Call] = {
        "identify": {"traits": {"email": f"{number}@example.com", "plan": None}},
        "track": {
            "event": f"Event {number % 7}",
            "properties": {"total": number / 4, "n": number},
            "integrations": {"Mixpanel": False},
        },
        "page": {
            "name": f"Page {number}",
            "category": "Docs",
            "properties": {"url": f"https://shop.example/p/{number}?q=1", "title": "Zürich 東京"},
        },
        "screen": {"name": f"Screen {number}", "properties": {"depth": [1, {"two": True}]}},
        "group": {"groupId": f"g{number % 5}", "traits": {"seats": number}},
        "alias": {"previousId": f"before-{number}"},
    }
    who = {"userId": f"u{number}"} if kind == "alias" or number % 2 else {}
    return {
        "type": kind,
        "messageId": f"m-{number}",
        "timestamp": f"2026-03-01T12:00:{number % 60:02}.{number % 1000:03}Z",
        "context": {"app": {"name": "Tests"}},
        **(who or {"anonymousId": f"a{number}"}),
        **own[kind],
    }


def calls(count: int) -> list[Call]:
    return [call(number) for number in range(count)]


COLUMNS = {
    "messageId": "message_id",
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "groupId": "group_id",
    "previousId": "previous_id",
}


def as_called(row: Row) -> Call:
    """The row as the call that it came from: its context as far as calls have one."""
    context = json.loads(row["context"] or "{}")
    properties = json.loads(row["properties"] or "{}")
    found = {name: row[column] for name, column in COLUMNS.items()}
    found["type"] = row["type"]
    found["event" if row["type"] == "track" else "name"] = row["event"]
    found["category"] = properties.pop("category", None)
    found["properties"] = properties
    found["traits"] = json.loads(row["traits"] or "{}")
    found["timestamp"] = row["timestamp"]
    found["context"] = {"app": context["app"]} if "app" in context else None
    found["integrations"] = context.get("integrations")
    return {name: value for name, value in found.items() if value}


def expected(given: Call) -> Call:
    """The call in the same form: no timestamp text, nothing empty."""
    when = int(given["timestamp"][-7:-5]) * 1000 + int(given["timestamp"][-4:-1])
    return {name: value for name, value in given.items() if value} | {"timestamp": NOON + when}


NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z


def check_rows(rows: list[Row], given: list[Call]) -> None:
    """One row for each call, each field as it was called."""
    assert len(rows) == len(given)
    found = {row["message_id"]: as_called(row) for row in rows}
    for one in given:
        assert found[one["messageId"]] == expected(one)
