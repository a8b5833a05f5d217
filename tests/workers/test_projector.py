"""The rules of docs/PEOPLE.md, one by one, on a real database."""

import gc
import json
import re

import pytest

from collector.people.identity import JUNK
from collector.people.project import Projection
from tests.workers.people import make_event, world


@pytest.fixture
async def log(tmp_path):
    async with world(tmp_path / "data") as made:
        yield made


def event(message_id, at, **fields):
    traits = fields.pop("traits", None)
    properties = fields.pop("properties", None)
    return make_event(
        message_id,
        timestamp=at,
        traits=json.dumps(traits) if traits else None,
        properties=json.dumps(properties) if properties else None,
        **fields,
    )


def lead(message_id, at, email, **fields):
    return event(message_id, at, event="Lead Captured", properties={"email": email}, **fields)


def bought(message_id, at, properties=None, **fields):
    return event(message_id, at, event="Purchase", properties=properties, **fields)


async def test_anonymous_views_a_lead_an_identify_and_a_purchase_are_one_person(log):
    await log.tell(event("view", 1, type="page", anonymous_id="v"))
    await log.tell(lead("lead", 2, "Ada@example.com", anonymous_id="v"))
    await log.tell(event("identify", 3, type="identify", anonymous_id="v", user_id="ada"))
    await log.tell(bought("purchase", 4, user_id="ada"), event("later", 5, anonymous_id="v"))
    ids = await log.people_of("view", "lead", "identify", "purchase", "later")
    assert len(set(ids)) == 1
    assert await log.sql("SELECT id, user_id, email FROM people") == [
        (ids[0], "ada", "ada@example.com")
    ]


async def test_a_lead_makes_a_person_of_a_visitor_on_every_device(log):
    await log.tell(event("a", 1, anonymous_id="phone"), event("b", 1, anonymous_id="laptop"))
    await log.tell(lead("c", 2, "ada@example.com", anonymous_id="phone"))
    await log.tell(lead("d", 3, "ada@example.com", anonymous_id="laptop"))
    assert len(set(await log.people_of("a", "b", "c", "d"))) == 1
    assert await log.sql("SELECT times FROM leads") == [(2,)]


async def test_two_users_of_one_device_divide_it_by_time(log):
    device = {"anonymous_id": "kitchen"}
    await log.tell(event("before", 1, **device))
    await log.tell(event("x1", 2, type="identify", user_id="ada", **device))
    await log.tell(event("of ada", 3, **device))
    await log.tell(event("x2", 4, type="identify", user_id="bob", **device))
    await log.tell(event("of bob", 5, **device))
    await log.tell(event("x3", 6, type="identify", user_id="ada", **device))
    await log.tell(event("ada again", 7, **device), event("late, bob's", 5, **device))
    ada, bob = await log.people_of("x1", "x2")
    assert ada != bob
    assert await log.people_of("before", "of ada", "ada again") == [ada] * 3
    assert await log.people_of("of bob", "late, bob's") == [bob] * 2


async def test_what_had_not_changed_is_remembered_when_something_late_comes_between(log):
    device = {"anonymous_id": "kitchen"}
    for i, at in enumerate((1, 5, 9)):
        await log.tell(event(f"a{i}", at, type="identify", user_id="ada", **device))
    await log.tell(event("b", 3, type="identify", user_id="bob", **device))
    await log.tell(event("at 4", 4, **device), event("at 6", 6, **device))
    ada, bob = await log.people_of("a0", "b")
    assert await log.people_of("at 4", "at 6") == [bob, ada]


async def test_an_address_of_two_users_makes_them_not_one(log):
    await log.tell(event("a", 1, type="identify", user_id="ada", traits={"email": "x@y.example"}))
    await log.tell(event("b", 2, type="identify", user_id="bob", traits={"email": "x@y.example"}))
    assert len(set(await log.people_of("a", "b"))) == 2


async def test_an_alias_is_followed_from_a_visitor_and_from_a_user(log):
    await log.tell(event("v", 1, anonymous_id="v-1"), event("o", 1, user_id="old"))
    await log.tell(event("n", 2, user_id="new"))
    await log.tell(event("x", 3, type="alias", user_id="new", previous_id="v-1"))
    await log.tell(event("y", 3, type="alias", user_id="new", previous_id="old"))
    assert len(set(await log.people_of("v", "o", "n", "x", "y"))) == 1
    assert await log.sql("SELECT user_id FROM people") == [("new",)]


async def test_a_circle_of_aliases_ends(log):
    for n, (old, new) in enumerate([("a", "b"), ("b", "c"), ("c", "a")]):
        await log.tell(event(f"m{n}", n, type="alias", user_id=new, previous_id=old))
    assert len(set(await log.people_of("m0", "m1", "m2"))) == 1


@pytest.mark.parametrize("junk", [*JUNK, "NaN", "0000-00", " Null ", "[object Object]", "x" * 256])
async def test_junk_ties_nobody(log, junk):
    await log.tell(event("a", 1, user_id=junk, anonymous_id="visitor-a"))
    await log.tell(event("b", 2, user_id=junk, anonymous_id="visitor-b"))
    await log.tell(event("c", 3, user_id="ada", anonymous_id=junk))
    await log.tell(event("d", 4, user_id="bob", anonymous_id=junk))
    assert len(set(await log.people_of("a", "b", "c", "d"))) == 4


async def test_what_else_is_junk_can_be_set(tmp_path):
    async with world(tmp_path / "data", junk_ids=["DEMO"]) as log:
        await log.tell(event("a", 1, user_id="demo"))
        assert await log.people_of("a") == [None]


async def test_people_of_two_sites_never_meet(log):
    await log.tell(event("a", 1, user_id="ada"), event("b", 1, user_id="ada", site="blog"))
    assert len(set(await log.people_of("a", "b"))) == 2


async def test_only_the_earliest_ids_are_tied_to_one_user(tmp_path):
    async with world(tmp_path / "data", ids_per_person=3) as log:
        for n in (5, 1, 4, 2, 3):
            await log.tell(event(f"m{n}", n, user_id="shared-login", anonymous_id=f"visitor-{n}"))
            await log.tell(event(f"v{n}", n, anonymous_id=f"visitor-{n}"))
        user, *visitors = await log.people_of("m1", "v1", "v2", "v3", "v4", "v5")
        assert visitors[:3] == [user] * 3
        assert len({*visitors[3:], user}) == 3


async def test_traits_accumulate_and_the_last_word_by_event_time_counts(log):
    say = {"type": "identify", "user_id": "ada"}
    await log.tell(event("a", 5, traits={"plan": "pro", "user_hash": "secret"}, **say))
    await log.tell(event("b", 1, traits={"plan": "free", "city": "London"}, **say))
    await log.tell(event("c", 9, traits={"name": "Ada"}, **say))
    ((traits,),) = await log.sql("SELECT traits FROM people")
    assert json.loads(traits) == {"plan": "pro", "city": "London", "name": "Ada"}


async def test_an_unchanged_identify_writes_nothing_to_a_person(log):
    say = {"type": "identify", "user_id": "ada", "anonymous_id": "v-1"}
    traits = {"email": "ada@example.com", "plan": "pro"}
    await log.tell(event("a", 1, traits=traits, **say))
    written: list[str] = []
    await log.database.run(lambda c: c.set_trace_callback(written.append))
    await log.tell(*(event(f"b{n}", 2 + n, traits=traits, **say) for n in range(50)))
    await log.database.run(lambda c: c.set_trace_callback(None))
    touched = {
        match[1] for text in written if (match := re.match(r"INSERT (?:OR \w+ )?INTO (\w+)", text))
    }
    assert touched == {"events", "event_keys", "event_blocks", "cursors"}
    assert not any(text.startswith(("UPDATE", "DELETE", "WITH")) for text in written)


async def test_where_identity_is_verified_only_what_is_trusted_ties(log):
    visitor = {"anonymous_id": "v-1"}
    forged = {"type": "identify", "user_id": "ada", "trusted": 0}
    await log.tell(event("real", 1, type="identify", user_id="ada", trusted=1))
    await log.tell(event("forged", 2, traits={"email": "evil@x.example"}, **forged, **visitor))
    await log.tell(lead("lead", 3, "evil@x.example", trusted=0, **visitor))
    await log.tell(event("alias", 4, type="alias", user_id="x", previous_id="ada", trusted=0))
    ada, stranger, captured = await log.people_of("real", "forged", "lead")
    assert ada != stranger == captured
    people = await log.sql("SELECT id, user_id, email, trusted FROM people ORDER BY trusted")
    assert people == [(stranger, None, "evil@x.example", 0), (ada, "ada", None, 1)]
    await log.tell(event("proof", 5, type="identify", user_id="ada", trusted=1, **visitor))
    assert len(set(await log.people_of("real", "forged", "lead", "proof"))) == 1
    assert await log.sql("SELECT email, trusted FROM people") == [(None, 1)]


async def test_the_earliest_event_of_an_order_id_counts(log):
    await log.tell(bought("late", 9, {"order_id": "o", "total": 1}, user_id="ada"))
    await log.tell(bought("early", 3, {"order_id": "o", "total": 2}, user_id="bob"))
    await log.tell(bought("middle", 5, {"order_id": "o", "total": 3}, user_id="ada"))
    rows = await log.sql("SELECT message_id, counted FROM purchases ORDER BY timestamp")
    assert rows == [("early", 1), ("middle", 0), ("late", 0)]


async def test_the_same_cart_within_the_time_is_a_repeat(log):
    minute = 60_000
    for n, at in enumerate((0, 29, 31, 62)):
        await log.tell(bought(f"m{n}", at * minute, {"total": 5}, user_id="ada"))
    await log.tell(bought("other", 1, {"total": 6}, user_id="ada"))
    await log.tell(bought("of bob", 1, {"total": 5}, user_id="bob"))
    rows = await log.sql("SELECT message_id FROM purchases WHERE counted ORDER BY message_id")
    assert [row[0] for row in rows] == ["m0", "m2", "m3", "of bob", "other"]


async def test_purchases_of_nobody_are_no_repeats_of_each_other(log):
    await log.tell(bought("p", 1, {"total": 5}), bought("q", 1, {"total": 5}))
    await log.tell(bought("r", 1, {"total": 5}), bought("s", 1, {"total": 5}, user_id="ada"))
    assert await log.sql("SELECT sum(counted) FROM purchases") == [(4,)]


async def test_a_purchase_of_a_visitor_who_is_recognised_later_is_the_users(log):
    await log.tell(bought("p", 1, {"total": 5}, anonymous_id="v"))
    await log.tell(bought("q", 2, {"total": 5}, user_id="ada"))
    assert await log.sql("SELECT sum(counted) FROM purchases") == [(2,)]
    await log.tell(event("i", 3, type="identify", user_id="ada", anonymous_id="v"))
    assert await log.sql("SELECT sum(counted), count(DISTINCT person_id) FROM purchases") == [
        (1, 1)
    ]


async def test_an_event_with_violations_is_neither_purchase_nor_lead(log):
    await log.tell(bought("p", 1, {"total": "x"}, user_id="ada", violations='["no"]'))
    assert await log.sql("SELECT * FROM purchases") == []


async def test_hostile_text_in_the_log_stops_nobody(log):
    say = {"type": "identify", "timestamp": 1}
    await log.tell(make_event("a", user_id="ada", traits="[1]", **say))
    await log.tell(
        make_event("b", user_id="ada", traits='{"email":{"a":[1]},"":7,"x":1e999}', **say)
    )
    await log.tell(make_event("c", user_id="ada", traits='{"broken', **say))
    await log.tell(make_event("d", user_id="'); DROP TABLE people; --", event="Purchase"))
    assert len(await log.sql("SELECT * FROM people")) == 2


async def test_without_audiences_nobody_is_noted_for_them(log):
    await log.tell(event("m1", 1, anonymous_id="v"), event("m2", 2, anonymous_id="v", user_id="u"))
    assert await log.sql("SELECT * FROM person_changes") == []


async def test_a_step_leaves_nothing_to_the_garbage_collector(log):
    gc.collect()
    gc.disable()
    try:
        await log.tell(
            event("a", 1, anonymous_id="v", user_id="ada"),
            lead("b", 2, "ada@example.com", anonymous_id="v"),
            bought("c", 3, {"total": 1, "currency": "EUR"}, user_id="ada"),
        )
        left = [type(one).__name__ for one in gc.get_objects() if isinstance(one, Projection)]
    finally:
        gc.enable()
    assert left == []
