"""Memberships follow events, time, rules and who turns out to be whom."""

import pytest

from collector.store import cursors, people
from tests.workers.room import DAY, HOUR, NOW, event, opened, page

PRICING = {"page": "/pricing*", "within": "7d"}
NOT_BOUGHT = {"not": {"event": "purchase", "within": "7d"}}
RULE = {"all": [PRICING, NOT_BOUGHT]}


@pytest.fixture
async def room(tmp_path, monkeypatch):
    async with opened(tmp_path, monkeypatch) as made:
        yield made


async def test_an_event_lets_in_and_another_one_out(room) -> None:
    await room.open({"name": "a", "rule": RULE})
    await room.happen(page("/pricing/pro", user_id="ada"))
    assert await room.members() == {"ada"}
    await room.happen(event(name="Order Completed", user_id="ada", properties={"total": 5}))
    assert await room.members() == set()
    assert await room.outbox() == [("entered", "ada"), ("exited", "ada")]


async def test_a_window_runs_out_without_any_event(room) -> None:
    await room.open({"name": "a", "rule": RULE})
    await room.happen(page("/pricing", user_id="ada"))
    room.now = NOW + 7 * DAY - 1
    await room.settle()
    assert await room.members() == {"ada"}
    room.now += 1
    await room.settle()
    assert await room.members() == set()
    assert await room.sql("SELECT * FROM audience_states") == []


async def test_a_later_view_keeps_a_member_in(room) -> None:
    await room.open({"name": "a", "rule": RULE})
    await room.happen(page("/pricing", user_id="ada"))
    room.now = NOW + 3 * DAY
    await room.happen(page("/pricing", at=room.now, user_id="ada"))
    room.now = NOW + 8 * DAY
    await room.settle()
    assert await room.members() == {"ada"}
    room.now = NOW + 10 * DAY
    await room.settle()
    assert await room.members() == set()
    assert await room.outbox() == [("entered", "ada"), ("exited", "ada")]


async def test_a_funnel_is_finished_by_time(room) -> None:
    steps = [{"page": "/pricing"}, {"event": "Signed Up"}, {"not": {"event": "purchase"}}]
    await room.open({"name": "a", "rule": {"sequence": steps, "within": "7d"}})
    await room.happen(
        page("/pricing", user_id="ada"), event(name="Signed Up", at=NOW + 1, user_id="ada"),
        page("/pricing", user_id="bob"), event(name="Signed Up", at=NOW + 1, user_id="bob"),
    )  # fmt: skip
    room.now = NOW + DAY
    await room.happen(event(name="Purchase", at=room.now, user_id="bob"))
    assert await room.members() == set()
    room.now = NOW + 7 * DAY + 2
    await room.settle()
    assert await room.members() == {"ada"}


async def test_a_new_audience_is_evaluated_over_all_of_history(room) -> None:
    await room.open()
    await room.happen(*(page("/pricing", user_id=f"u{i}") for i in range(30)))
    await room.happen(event(name="Purchase", user_id="u1"))
    await room.open({"name": "a", "rule": RULE}, **{"evaluation.step_people": 7})
    assert await room.members() == {f"u{i}" for i in range(30)} - {"u1"}
    assert await room.outbox() == []  # who is in from the start has not entered
    assert await room.sql("SELECT next_person FROM audiences WHERE evaluated_at > 0") == [(None,)]


async def test_a_changed_rule_is_evaluated_anew_and_one_that_is_gone_leaves_nothing(room) -> None:
    await room.open({"name": "a", "rule": {"page": "/a"}}, {"name": "b", "rule": {"page": "/b"}})
    await room.happen(page("/a", user_id="ada"), page("/b", user_id="bob"))
    await room.open({"name": "a", "rule": {"page": "/b"}})
    assert await room.members("a") == {"bob"}
    assert await room.members("b") == set()
    assert await room.sql("SELECT name FROM audiences") == [("a",)]


async def test_rows_of_an_audience_that_is_gone_go_when_they_are_looked_at(room) -> None:
    kept = {"name": "a", "rule": {"page": "/a"}}
    await room.open(kept, {"name": "b", "rule": {"page": "/b", "within": "1d"}})
    await room.happen(page("/a", user_id="ada"), page("/b", user_id="bob"))
    await room.open(kept)
    room.now += DAY
    await room.settle()
    assert await room.sql("SELECT count(*) FROM audience_states") == [(1,)]
    assert await room.members() == {"ada"}


async def test_an_audience_that_names_another_follows_its_rule(room) -> None:
    def defined(path):
        return [
            {"name": "a", "rule": {"not": {"audience": "b"}}},
            {"name": "b", "rule": {"page": path}},
        ]

    await room.open(*defined("/b"))
    await room.happen(page("/a", user_id="ada"), page("/b", user_id="bob"))
    assert await room.members("a") == {"ada"}
    await room.open(*defined("/a"))
    assert await room.members("a") == {"bob"}


async def test_what_an_anonymous_visitor_did_counts_for_the_user(room) -> None:
    rule = {"all": [{"page": "/pricing"}, {"trait": "email", "op": "exists"}]}
    await room.open({"name": "a", "rule": rule})
    await room.happen(page("/pricing", anonymous_id="x"))
    assert await room.members() == set()
    await room.happen(
        event(name="Lead Captured", anonymous_id="x", properties={"email": "ada@example.com"})
    )
    assert await room.members() == {"ada@example.com"}
    await room.happen(
        event("identify", anonymous_id="x", user_id="ada", traits={"email": "ada@example.com"})
    )
    assert await room.members() == {"ada"}


async def test_on_a_shared_device_each_has_its_own_time(room) -> None:
    await room.open({"name": "a", "rule": {"page": "/pricing"}})
    await room.happen(
        event("identify", anonymous_id="x", user_id="ada", at=NOW - 5 * HOUR),
        event("identify", anonymous_id="x", user_id="bob", at=NOW - 3 * HOUR),
        page("/pricing", anonymous_id="x", at=NOW - HOUR),
    )
    assert await room.members() == {"bob"}
    await room.happen(page("/pricing", anonymous_id="x", at=NOW - 4 * HOUR))
    assert await room.members() == {"ada", "bob"}


async def test_conditions_sums_and_currencies(room) -> None:
    euros = [{"property": "currency", "op": "eq", "value": "EUR"}]
    spent = {"event": "purchase", "sum": {"op": "gte", "value": 100}}
    await room.open(
        {"name": "a", "rule": spent},
        {"name": "b", "rule": {**spent, "where": euros}},
        {"name": "c", "rule": {"page": "/*", "where": [
            {"property": "$param.utm_source", "op": "eq", "value": "mail"}]}},
        {"name": "d", "rule": {"event": "purchase", "where": [
            {"property": "products.category", "op": "eq", "value": "Plans"}]}},
    )  # fmt: skip

    def order(user, total, currency, **more):
        given = {"total": total, "currency": currency, "order_id": f"{user}{total}", **more}
        return event(name="Order Completed", user_id=user, properties=given)

    await room.happen(
        order("ada", 99.9, "EUR"), order("ada", "0.1", "eur"), order("bob", 60, "EUR"),
        order("bob", 61, "USD"), order("cid", 100, "USD", products=[{"category": "Plans"}]),
        page("/x", user_id="ada", url="https://shop.example/x?utm_source=mail"),
    )  # fmt: skip
    assert await room.members("a") == {"ada", "cid"}
    assert await room.members("b") == {"ada"}
    assert await room.members("c") == {"ada"}
    assert await room.members("d") == {"cid"}


async def test_an_order_sent_twice_counts_once(room) -> None:
    rule = {"event": "purchase", "count": {"op": "gte", "value": 2}}
    await room.open({"name": "a", "rule": rule})
    order = {"order_id": "1", "total": 5}
    await room.happen(event(name="Order Completed", user_id="ada", properties=order))
    await room.happen(event(name="Purchase Completed", at=NOW + 1, user_id="ada", properties=order))
    assert await room.members() == set()


async def test_who_loses_a_lead_to_an_earlier_one_that_came_late_is_looked_at_again(room) -> None:
    """The earliest capture of an address is the lead; the others are its repeats."""
    await room.open({"name": "a", "rule": {"event": "lead"}})
    lead = {"name": "Lead", "properties": {"email": "ada@example.com"}}
    await room.happen(event(anonymous_id="late", user_id="bob", at=NOW, **lead))
    assert await room.members() == {"bob"}
    await room.happen(event(anonymous_id="first", user_id="cid", at=NOW - HOUR, **lead))
    assert await room.members() == {"cid"}


async def test_first_and_last_seen_move_by_themselves(room) -> None:
    rule = {"trait": "$last_seen", "op": "lt", "value": "30d"}
    await room.open({"name": "a", "rule": rule})
    await room.happen(page("/", user_id="ada"))
    assert await room.members() == set()
    room.now = NOW + 30 * DAY + 1
    await room.settle()
    assert await room.members() == {"ada"}
    await room.happen(page("/", at=room.now, user_id="ada"))
    assert await room.members() == set()


async def test_a_restart_goes_on_where_it_was(room) -> None:
    await room.open({"name": "a", "rule": RULE})
    await room.happen(page("/pricing", user_id="ada"))
    await room.open({"name": "a", "rule": RULE})
    await room.happen(page("/pricing", user_id="bob"))
    assert await room.members() == {"ada", "bob"}
    assert await room.outbox() == [("entered", "ada"), ("entered", "bob")]


async def test_the_audiences_own_events_are_no_history(room) -> None:
    await room.open({"name": "a", "rule": {"trait": "$last_seen", "op": "lt", "value": "1d"}})
    await room.happen(page("/", at=NOW - 2 * DAY, user_id="ada"))
    await room.happen(event(name="Audience Entered", user_id="ada"))
    assert await room.members() == {"ada"}


async def test_a_rebuild_tells_nobody_anything(room) -> None:
    hook = {"name": "crm", "kind": "webhook", "url": "http://x/", "secret": "0123456789abcdef"}
    defined = {"name": "a", "rule": RULE, "to": ["crm"]}
    await room.open(defined, destination=[hook])
    await room.happen(
        page("/pricing", user_id="ada"), page("/pricing", anonymous_id="x"),
        event("identify", anonymous_id="x", user_id="bob"),
        page("/pricing", user_id="cid"), event(name="Purchase", user_id="cid"),
    )  # fmt: skip
    before = await room.sql("SELECT * FROM audience_states ORDER BY 1, 2")
    told = await room.sql("SELECT * FROM audience_told")
    outbox = await room.sql("SELECT * FROM outbox")
    assert before and told and outbox
    await room.database.run(people.begin_anew)
    while await room.database.run(people.empty_some):
        pass
    await room.database.run(cursors.move, people.CURSOR, 0)
    assert await room.members() == set()
    await room.open(defined, destination=[hook])
    assert await room.sql("SELECT person, look_at FROM audience_states ORDER BY 1, 2") == [
        (row[0], row[3]) for row in before
    ]
    assert await room.sql("SELECT * FROM audience_told") == told
    assert await room.sql("SELECT * FROM outbox") == outbox


async def test_nobody_is_judged_by_half_a_history(room) -> None:
    """While the index has not come to the log's end, there are no members of what is new."""
    await room.open()
    await room.happen(page("/", user_id="ada"))
    await room.open({"name": "a", "rule": {"not": {"event": "purchase"}}}, behind=10_000)
    assert await room.members() == set()
    await room.open({"name": "a", "rule": {"not": {"event": "purchase"}}})
    assert await room.members() == {"ada"}


async def test_a_name_that_was_erased_fits_nothing(room) -> None:
    await room.open({"name": "a", "rule": {"page": "/*"}})
    await room.happen(page("/of/ada@example.com", user_id="bob"), page("/", user_id="bob"))
    await room.sql("DELETE FROM event_names WHERE name LIKE '%ada@%'")
    await room.open({"name": "a", "rule": {"page": "/*", "count": {"op": "gte", "value": 1}}})
    await room.happen(page("/", user_id="bob"))
    assert await room.members() == {"bob"}
