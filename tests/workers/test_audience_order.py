"""Any order, repetition and split of the same events ends with the same members, told the same."""

import random

import pytest

from tests.workers.room import HOUR, NOW, event, opened, page

WEBHOOK = {"name": "crm", "kind": "webhook", "url": "http://x/", "secret": "0123456789abcdef"}
SPENT = {"event": "purchase", "sum": {"op": "gte", "value": 10}}
STEPS = [{"page": "/a"}, {"event": "Signed Up"}, {"not": {"event": "purchase"}}]
RULES = {
    "viewed": {"page": "/a", "within": "4h"},
    "twice": {"page": "/*", "count": {"op": "gte", "value": 2}},
    "spent": SPENT,
    "not-spent": {"not": SPENT},
    "lead": {"event": "lead"},
    "known": {"trait": "email", "op": "exists"},
    "plan": {"trait": "plan", "op": "eq", "value": "pro"},
    "funnel": {"sequence": STEPS, "within": "2h"},
    "quiet": {"trait": "$last_seen", "op": "lt", "value": "3h"},
}
AUDIENCES = [{"name": name, "rule": rule, "to": ["crm"]} for name, rule in RULES.items()]


def history(chance: random.Random):
    """Three visitors on two devices, two of whom become known, and one device shared."""
    events = []
    for number in range(chance.randrange(4, 14)):
        ids = chance.choice(
            [{"anonymous_id": "x"}, {"anonymous_id": "y"}, {"anonymous_id": "x", "user_id": "ada"},
             {"anonymous_id": "x", "user_id": "bob"}, {"user_id": "ada"}]
        )  # fmt: skip
        more = {"at": NOW - chance.randrange(6 * 60) * 60_000, "message_id": f"m{number}", **ids}
        if chance.random() < 0.3:
            more["consent"] = {"ads": chance.random() < 0.5}
        kind = chance.choice(["page", "page", "identify", "signup", "order", "lead"])
        if kind == "page":
            events.append(page(chance.choice(["/a", "/b"]), **more))
        elif kind == "identify":
            traits = {
                "plan": chance.choice(["pro", "free"]),
                "email": f"{chance.choice('ab')}@x.ex",
            }
            events.append(event("identify", traits=traits, **more))
        elif kind == "signup":
            events.append(event(name="Signed Up", **more))
        elif kind == "lead":
            email = {"email": f"{chance.choice('ab')}@x.ex"}
            events.append(event(name="Lead Captured", properties=email, **more))
        else:
            order = {"total": chance.choice([4, 6, 12]), "order_id": chance.choice("pqr")}
            events.append(event(name="Order Completed", properties=order, **more))
    return events


async def outcome(folder, monkeypatch, portions):
    async with opened(folder, monkeypatch) as room:
        await room.open(*AUDIENCES, destination=[WEBHOOK])
        for portion in portions:
            await room.happen(*portion)
        room.now = NOW + HOUR  # what time alone changes is the same, too
        await room.settle()
        members = await room.sql("SELECT audience, person_id FROM audience_members ORDER BY 1, 2")
        told = await room.sql("SELECT audience, person, address FROM audience_told ORDER BY 1, 2")
        return members, told


@pytest.mark.parametrize("seed", range(12))
async def test_order_repetition_and_split_are_nothing(tmp_path, monkeypatch, seed) -> None:
    chance = random.Random(seed)
    events = history(chance)
    first = await outcome(tmp_path / "0", monkeypatch, [events])
    assert first[0]
    for turn in range(1, 4):
        again = events + chance.sample(events, len(events) // 3)
        chance.shuffle(again)
        cut = sorted(chance.sample(range(1, len(again)), 2))
        portions = [again[: cut[0]], again[cut[0] : cut[1]], again[cut[1] :]]
        assert await outcome(tmp_path / str(turn), monkeypatch, portions) == first
