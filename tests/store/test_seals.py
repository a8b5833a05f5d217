"""What is added up says what looking through every hit says; erasing and retention keep to it."""

import statistics

import msgspec
import pytest

from collector.admin import ranges
from collector.store import funnels, hits, marks, pieces, reports, retention, seals
from collector.store.hits import DIMENSIONS
from collector.store.question import Question
from collector.store.sums import Marks, finish

NOW = 1_795_500_000_000  # as in `counted`
ZONES = ["Europe/Vienna", "Asia/Kathmandu"]
PAGE = "path = '/pricing' AND type = 'page'"
VIEWED = "event = 'Plan Viewed' AND type = 'track'"


async def ask(collector, work, *args):
    return await collector.app.dashboard.counts.run(work, *args)


def month(zone="Europe/Vienna"):
    span = ranges.parse("2026-10-26", "2026-11-24", zone, NOW)
    return Question(span.start, span.end), span


def values(connection, name):
    """Some of a dimension's values."""
    found = connection.execute(
        f"SELECT DISTINCT coalesce(text, '') FROM hits LEFT JOIN rollup_names "
        f"ON number = {name} ORDER BY 1 LIMIT 6"
    )
    return [text for (text,) in found]


def all_answers(connection, question, bounds):
    """Everything that is asked with one filter, or none."""
    asked = [question]
    for name in DIMENSIONS:
        for text in values(connection, name):
            asked.append(msgspec.structs.replace(question, **{name: text}))
    found = {}
    for one in asked:
        found[one, "chart"] = reports.chart(connection, one, bounds)
        found[one, "totals"] = reports.totals(connection, one)
        for by in DIMENSIONS:
            found[one, by] = reports.top(connection, one, by, 500)
    return found


@pytest.mark.parametrize("zone", ZONES)
async def test_all_answers_are_those_of_looking_through(counted, zone, monkeypatch):
    assert len(counted.rows("SELECT * FROM hit_blocks")) > 20
    question, span = month(zone)
    quick = await ask(counted, all_answers, question, span.bounds())
    monkeypatch.setattr(reports, "_asked", lambda connection, question: None)
    assert await ask(counted, all_answers, question, span.bounds()) == quick
    assert len(quick) > 300


def walked(collector, first, second, where="true"):
    """The funnel of two steps, by hand."""
    question, _ = month()
    rows = collector.rows(
        "SELECT coalesce(anonymous_id, user_id) AS who, timestamp AS at, seq, "
        f"{first} AS one, {second} AS two FROM events WHERE bot IS NULL AND {where} AND "
        f"timestamp >= {question.start} AND timestamp < {question.end} ORDER BY timestamp, seq"
    )
    begun, done = {}, {}
    for row in rows:
        who, when = row["who"], (row["at"], row["seq"])
        if row["one"]:
            begun.setdefault(who, when)
        if row["two"] and who in begun and who not in done and when > begun[who]:
            done[who] = when
    waits = sorted((done[who][0] - begun[who][0]) / 1000 for who in done)
    return len(begun), len(done), statistics.median_high(waits) if waits else None


FILTERS = [({}, "true"), ({"browser": "Firefox"}, "user_agent LIKE '%Firefox/%'")]


@pytest.mark.parametrize(("filters", "where"), FILTERS, ids=["all", "filtered"])
async def test_a_funnel_is_what_walking_through_the_events_gives(counted, filters, where):
    question, _ = month()
    steps = funnels.parse(["path:/pricing", "event:Plan Viewed"])
    asked = msgspec.structs.replace(question, **filters)
    first, second = await ask(counted, funnels.funnel, asked, steps)
    found = (first["visitors"], second["visitors"], second["wait_s"])
    assert found == walked(counted, PAGE, VIEWED, where)
    assert filters or found[1] > 5


async def test_a_days_marks_lie_in_parts_that_are_not_written_again_once_they_are_full(counted):
    rows = counted.rows("SELECT * FROM rollup_marks")
    parts = {}
    for row in rows:
        day = tuple(row[name] for name in ("dimension", "value", "start", "site", "bot"))
        parts.setdefault(day, []).append((row["done"], len(row["marks"])))
    assert max(map(len, parts.values())) > 2
    for of_day in parts.values():
        assert all(done == (size >= 100) for done, size in of_day)
        assert sum(not done for done, _ in of_day) == 1
    numbers = [seq for row in rows for seq in Marks(row["marks"]).seqs]
    marked = counted.rows(
        "SELECT seq FROM hits WHERE (view OR event) AND seq <= (SELECT max(last) FROM hit_blocks)"
    )
    assert sorted(numbers) == sorted(row["seq"] for row in marked)


async def test_what_was_worked_out_while_somebody_was_erased_is_not_written(store):
    await store.open()
    hits_of = "INSERT INTO hits VALUES " + ", ".join(
        f"({seq}, {NOW + seq}, 0, 1, 1, {seq % 5}, {seq % 7}, 0, 0, 0, 1, 1, 0, 1)"
        for seq in range(1, 200)
    )
    await store.sql(hits_of)
    database = store.database

    async def apply(erasing):
        work = await database.run(seals.plan, 150)
        for _ in range(20):
            await database.run(lambda _: next(work))
        if erasing:
            await database.run(seals.take_out, [30])
        return await database.run(lambda c: seals.apply(c, finish(work)))

    assert await apply(erasing=True) is False
    assert await store.sql("SELECT count(*) FROM rollups") == [(0,)]
    assert await apply(erasing=False) is True
    views = "SELECT events, views FROM rollups WHERE dimension = 0 AND level = 96"
    assert await store.sql(views) == [(149, 149)]


async def test_who_is_forgotten_is_in_no_count(counted, monkeypatch):
    while counted.app.persons.lag:
        await counted.app.dashboard.follower.rest(0.02)
    (whom,) = counted.rows(
        "SELECT user_id, anonymous_id FROM events WHERE event = 'Purchase Completed' LIMIT 1"
    )
    before = counted.rows("SELECT count(*) AS n FROM hits")[0]["n"]
    known = counted.rows("SELECT hash FROM rollup_visitors")
    await counted.app.persons.forget(whom["user_id"], None, None, None)
    log = counted.rows("SELECT count(*) AS n FROM events")
    assert counted.rows("SELECT count(*) AS n FROM hits") == log
    assert log[0]["n"] < before
    kept = counted.rows("SELECT hash FROM rollup_visitors")
    assert len(known) == len(kept)
    assert sum(a != b for a, b in zip(known, kept, strict=True)) == 1
    question, span = month()
    quick = await ask(counted, all_answers, question, span.bounds())
    monkeypatch.setattr(reports, "_asked", lambda connection, question: None)
    assert await ask(counted, all_answers, question, span.bounds()) == quick
    funnel = funnels.parse(["path:/pricing", "event:Plan Viewed"])
    first, second = await ask(counted, funnels.funnel, question, funnel)
    begun, done, _ = walked(counted, PAGE, VIEWED)
    assert (first["visitors"], second["visitors"]) == (begun, done)


async def test_a_name_in_a_path_of_somebody_else_is_struck_out(counted):
    await counted.post("/v1/batch", {"batch": [
        {"type": "page", "messageId": f"m{i}", "anonymousId": f"visitor-{i}",
         "properties": {"path": f"/of/{name}/{i}"}}
        for i, name in enumerate(["visitor-nobody", "visitor-nobody", "somebody-else"])
    ]})  # fmt: skip
    while counted.app.dashboard.follower.lag or counted.app.persons.lag:
        await counted.app.dashboard.follower.rest(0.02)
    await counted.app.persons.forget(None, "visitor-nobody", None, None)
    names = {row["text"] for row in counted.rows("SELECT text FROM rollup_names")}
    assert {"/of/erased/0", "/of/erased/1", "/of/somebody-else/2"} <= names
    assert not any("nobody" in name for name in names)


async def test_old_hits_go_with_their_events_and_what_they_add_up_to_stays(counted):
    question, span = month("UTC")
    before = await ask(counted, all_answers, question, span.bounds())
    last = counted.app.writer.committed.seq
    added_up = await ask(counted, hits.added_up)
    assert added_up < last
    for upto in (added_up // 2, added_up + 20, last):
        await counted.app._database.run(retention.expire, upto)
        assert counted.rows(f"SELECT * FROM hits WHERE seq <= {upto}") == []
        assert await ask(counted, all_answers_of, list(before), span.bounds()) == before
    assert counted.rows("SELECT * FROM events") == []


def all_answers_of(connection, keys, bounds):
    """The same questions, whatever hits there are to take values from."""
    found = {}
    for one, what in keys:
        if what == "chart":
            found[one, what] = reports.chart(connection, one, bounds)
        elif what == "totals":
            found[one, what] = reports.totals(connection, one)
        else:
            found[one, what] = reports.top(connection, one, what, 500)
    return found


@pytest.mark.parametrize("few", [0, 1000])
async def test_a_filtered_funnel_is_the_same_by_columns_and_one_by_one(counted, few, monkeypatch):
    monkeypatch.setattr(marks, "_FEW", few)
    (whom,) = counted.rows(
        "SELECT user_id FROM events WHERE event = 'Purchase Completed' AND seq < 300 LIMIT 1"
    )
    await counted.app.persons.forget(whom["user_id"], None, None, None)  # numbers are missing
    while made := await ask(counted, pieces.plan):
        await counted.app._database.run(pieces.apply, made)
    question, _ = month()
    filters, where = FILTERS[1]
    steps = funnels.parse(["path:/pricing", "event:Plan Viewed"])
    asked = msgspec.structs.replace(question, **filters)
    first, second = await ask(counted, funnels.funnel, asked, steps)
    found = (first["visitors"], second["visitors"], second["wait_s"])
    assert found == walked(counted, PAGE, VIEWED, where)
