"""Whose an event is: blocks say what looking at each row says."""

import random

import pytest

from collector.store import cursors, lookup, people, retention, timelines, whose

plan = whose.plan


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(whose, "BITS", 5)
    monkeypatch.setattr(whose, "plan", lambda *_: None)  # the collector's own makes none meanwhile


async def ask(collector, work, *args):
    return await collector.app.dashboard.counts.run(work, *args)


def projected(connection):
    return cursors.position(connection, people.CURSOR) + 1 >> whose.BITS


async def made(collector):
    """Make all blocks; how many."""
    count = 0
    while block := await ask(collector, lambda c: plan(c, projected(c))):
        assert await collector.app._database.run(whose.apply, block)
        count += 1
    return count


def of_view(collector, limit=5):
    """The newest events of everybody, by the view."""
    return {
        one["number"]: [
            row["seq"]
            for row in collector.rows(
                f"SELECT seq FROM person_events WHERE person_id = '{one['id']}' "
                f"ORDER BY timestamp DESC, seq DESC LIMIT {limit}"
            )
        ]
        for one in collector.rows("SELECT number, id FROM people ORDER BY number")
    }


async def of_timelines(collector, whom, limit=5):
    def look(connection):
        return {n: [e["seq"] for e in timelines.timeline(connection, n, limit)] for n in whom}

    return await ask(collector, look)


async def test_a_timeline_is_what_the_view_says_with_and_without_blocks(counted, monkeypatch):
    wanted = of_view(counted)
    assert len(wanted) > 20
    monkeypatch.setattr(timelines, "_AT_ONCE", 3)
    assert await of_timelines(counted, wanted) == wanted
    assert await made(counted) > 20
    assert await of_timelines(counted, wanted) == wanted


async def test_where_single_blocks_are_missing_their_rows_are_looked_at(counted):
    wanted = of_view(counted)
    blocks = await made(counted)
    drawn = random.Random(1)
    gone = drawn.sample(range(blocks), blocks // 2)
    await counted.app._database.run(whose.drop, [block << whose.BITS for block in gone])
    assert await of_timelines(counted, wanted) == wanted
    assert await made(counted) == len(gone)


async def test_an_id_finds_its_own_events_and_no_others(counted):
    await made(counted)
    rows = counted.rows(
        "SELECT seq, coalesce(key, anonymous) AS key FROM event_keys "
        "WHERE coalesce(key, anonymous) IS NOT NULL"
    )
    keys = sorted({row["key"] for row in rows})[:40]
    for asked in ([keys[0]], keys[:3], keys):
        found = await ask(counted, whose.events, asked)
        assert sorted(found) == [row["seq"] for row in rows if row["key"] in asked]


async def test_who_is_erased_is_in_no_block_and_the_others_stay(counted):
    await made(counted)
    (whom,) = counted.rows("SELECT user_id FROM events WHERE user_id IS NOT NULL LIMIT 1")
    seqs = [
        row["seq"]
        for row in counted.rows(f"SELECT seq FROM events WHERE user_id = '{whom['user_id']}'")
    ]
    before = {row["place"] for row in counted.rows("SELECT place FROM whose")}
    await counted.app.persons.forget(whom["user_id"], None, None, None)
    left = {row["place"] // 64 for row in counted.rows("SELECT place FROM whose")}
    assert not left & {seq >> whose.BITS for seq in seqs}
    assert left < {place // 64 for place in before}
    wanted = of_view(counted)
    assert await of_timelines(counted, wanted) == wanted
    await made(counted)
    assert await of_timelines(counted, wanted) == wanted


async def test_what_was_planned_before_an_erasure_is_not_written(counted):
    planned = await ask(counted, lambda c: plan(c, projected(c)))
    (whom,) = counted.rows("SELECT user_id FROM events WHERE user_id IS NOT NULL LIMIT 1")
    await counted.app.persons.forget(whom["user_id"], None, None, None)
    assert await counted.app._database.run(whose.apply, planned) is False
    assert not counted.rows("SELECT * FROM whose")


async def test_what_is_expired_is_in_no_block_and_the_others_stay(counted):
    await made(counted)
    upto = 3 * (1 << whose.BITS) + 5
    await counted.app._database.run(retention.expire, upto)
    assert counted.rows("SELECT min(place) / 64 AS block FROM whose") == [{"block": 3}]
    assert await made(counted) == 0
    wanted = of_view(counted)
    assert await of_timelines(counted, wanted) == wanted


async def test_made_anew_from_the_beginning_there_is_no_block(counted):
    await made(counted)
    await counted.app._database.run(people.begin_anew)
    assert not counted.rows("SELECT * FROM whose")


async def test_a_person_is_shown_with_all_events(counted):
    await made(counted)
    number, wanted = next(iter(of_view(counted, 200).items()))
    found = await ask(counted, lookup.person, f"{number & (1 << 64) - 1:016x}")
    assert [event["seq"] for event in found["events"]] == wanted
