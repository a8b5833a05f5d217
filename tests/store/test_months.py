"""What is read by months says what its days say; late events, erasing, retention keep to it."""

import msgspec
import pytest

from collector.admin import ranges
from collector.store import funnels, hits, marks, months, reports, retention, seals
from collector.store.hits import DIMENSIONS, SLOT_MS
from collector.store.question import Question
from collector.store.sums import DAY, MONTH, Marks
from collector.workers.courtesy import Courtesy
from collector.workers.months import Months
from tests.store.conftest import counted_all

NOW = 1_795_500_000_000  # as in `seasons`
STEPS = funnels.parse(["path:/pricing", "event:Plan Viewed"])
ZONES = ["Europe/Vienna", "Asia/Kathmandu"]


async def ask(collector, work, *args):
    return await collector.app.dashboard.counts.run(work, *args)


async def write(collector, work, *args):
    return await collector.app._database.run(work, *args)


def season(zone="Europe/Vienna", first="2026-08-02"):
    span = ranges.parse(first, "2026-11-24", zone, NOW)
    return Question(span.start, span.end), span.bounds()


def ready(collector):
    return [row["start"] for row in collector.rows("SELECT start FROM months WHERE ready")]


async def by_days(collector):
    await write(collector, lambda c: c.execute("DELETE FROM months").rowcount)


async def add_up(collector):
    """All months that are due, at once."""
    step = Months(collector.app.dashboard.counts, collector.app._database, Courtesy(lambda: False))

    async def no_rest(seconds):
        pass

    step.rest = no_rest
    while not await step(0, 1):
        pass


def values(connection, name):
    """Some of a dimension's values."""
    found = connection.execute(
        f"SELECT DISTINCT coalesce(text, '') FROM hits LEFT JOIN rollup_names "
        f"ON number = {name} ORDER BY 1 LIMIT 4"
    )
    return [text for (text,) in found]


def questions(connection, question):
    """With one filter, or none."""
    of = [{name: text} for name in DIMENSIONS for text in values(connection, name)]
    return [msgspec.structs.replace(question, **filters) for filters in [{}, {"bots": True}, *of]]


def all_answers(connection, asked, bounds):
    found = {}
    for one in asked:
        found[one, "totals"] = reports.totals(connection, one)
        found[one, "chart"] = reports.chart(connection, one, bounds)
        for by in DIMENSIONS:
            found[one, by] = reports.top(connection, one, by, 500)
    return found


def through_all(monkeypatch):
    """Every hit is looked at."""

    def looked_through(connection, question, kind, number, who, most):
        where = reports.condition(connection, question).also(*marks._HIT[kind], (kind, number))
        upto = hits.added_up(connection)
        for columns in hits.scan(connection, where, ("visitor", "at", "seq"), 0, upto):
            yield Marks(), Marks.of(*columns)

    monkeypatch.setattr(reports, "_asked", lambda connection, question: None)
    monkeypatch.setattr(marks, "_added_up", looked_through)


async def answers(collector, zone="Europe/Vienna", first="2026-08-02"):
    question, bounds = season(zone, first)
    asked = await ask(collector, questions, question)
    told = await ask(collector, all_answers, asked, bounds)
    for one in asked:
        told[one, "funnel"] = await ask(collector, funnels.funnel, one, STEPS)
    return told


async def test_all_months_that_are_over_are_added_up_and_no_other(seasons):
    days = seasons.rows("SELECT DISTINCT start FROM rollups WHERE dimension = 0 AND level = 96")
    newest = max(row["start"] for row in days)
    of_days = {row["start"] // MONTH * MONTH for row in days}
    assert ready(seasons) == sorted(m for m in of_days if m + MONTH <= newest - 2 * DAY)
    assert len(ready(seasons)) >= 3


@pytest.mark.parametrize("first", ["2026-08-02", "2026-01-01"])
@pytest.mark.parametrize("zone", ZONES)
async def test_by_months_all_answers_are_those_of_looking_through(
    seasons, zone, first, monkeypatch
):
    quick = await answers(seasons, zone, first)
    assert len(quick) > 200
    await by_days(seasons)
    assert await answers(seasons, zone, first) == quick
    through_all(monkeypatch)
    assert await answers(seasons, zone, first) == quick


async def test_a_month_is_read_instead_of_its_days(seasons):
    question, _ = season()
    before = await ask(seasons, reports.totals, question)
    paths = await ask(seasons, reports.top, question, "path", 500)
    whole = [m for m in ready(seasons) if m * SLOT_MS >= question.start]
    emptied = f"DELETE FROM rollups WHERE level = 96 AND start >= {whole[0]} AND start < "
    await write(seasons, lambda c: c.execute(emptied + str(whole[-1] + MONTH)).rowcount)
    await write(seasons, lambda c: c.execute(f"DELETE FROM rollup_pairs WHERE start = {whole[0]}"))
    assert await ask(seasons, reports.totals, question) == before
    assert await ask(seasons, reports.top, question, "path", 500) == paths


@pytest.mark.parametrize("zone", ZONES)
async def test_a_chart_by_day_reads_hours_of_months_instead_of_quarters(seasons, zone, monkeypatch):
    question, bounds = season(zone, "2026-09-01")
    quick = await ask(seasons, reports.chart, question, bounds)
    assert len(quick["visitors"]) == 85
    await by_days(seasons)
    assert await ask(seasons, reports.chart, question, bounds) == quick
    await add_up(seasons)
    whole = ready(seasons)[1]
    odd = "start % 96 NOT BETWEEN 72 AND 75"  # but at a day's end in Kathmandu, a quarter past
    some = f"level = 1 AND {odd} AND start BETWEEN {whole} AND {whole + MONTH - 1}"
    await write(seasons, lambda c: c.execute(f"DELETE FROM rollups WHERE {some}").rowcount)
    assert await ask(seasons, reports.chart, question, bounds) == quick
    through_all(monkeypatch)
    assert await ask(seasons, reports.chart, question, bounds) == quick


@pytest.fixture
def late(seasons, event):
    """Puts events into one day of a month that is over; they are added up."""

    async def put():
        day = ready(seasons)[1] + 10 * DAY
        fields = {"type": "page", "path": "/late", "site": "default"}
        await seasons.app.writer.append([
            event(f"late-{i}", anonymous_id=f"late-{i % 50}", timestamp=day * SLOT_MS + i, **fields)
            for i in range(120)
        ])  # fmt: skip
        await counted_all(seasons)
        return day // MONTH * MONTH

    return put


async def added_up_it_says_the_same(seasons, months_of_before, monkeypatch):
    """As by its days, and as by looking through all hits."""
    by_day = await answers(seasons)
    await add_up(seasons)
    assert ready(seasons) == months_of_before
    assert await answers(seasons) == by_day
    through_all(monkeypatch)
    assert await answers(seasons) == by_day


async def test_a_late_event_has_its_month_read_by_days_until_it_is_added_up_again(
    seasons, late, monkeypatch
):
    before = ready(seasons)
    changed = await late()
    assert ready(seasons) == [month for month in before if month != changed]
    await added_up_it_says_the_same(seasons, before, monkeypatch)


async def test_who_is_forgotten_is_in_no_month(seasons, monkeypatch):
    (whom,) = seasons.rows(
        "SELECT user_id FROM events WHERE event = 'Purchase Completed' AND seq < 500 LIMIT 1"
    )
    before = ready(seasons)
    await seasons.app.persons.forget(whom["user_id"], None, None, None)
    assert len(ready(seasons)) < len(before)
    await added_up_it_says_the_same(seasons, before, monkeypatch)


async def test_a_day_that_changes_while_its_month_is_added_up_leaves_it_not_ready(seasons):
    start = ready(seasons)[1]
    begins, ends = start * SLOT_MS, (start + MONTH) * SLOT_MS
    (hit,) = seasons.rows(f"SELECT seq FROM hits WHERE at >= {begins} AND at < {ends} LIMIT 1")
    await by_days(seasons)
    while not await write(seasons, months.begin, start):
        pass
    parts = await ask(seasons, lambda c: list(months.building(c, start)))
    assert await write(seasons, months.apply, start, parts[0])
    await write(seasons, seals.take_out, [hit["seq"]])
    assert not await write(seasons, months.apply, start, parts[1])
    assert not await write(seasons, months.apply, start, None)
    assert ready(seasons) == []
    by_day = await answers(seasons)
    await add_up(seasons)
    assert start in ready(seasons)
    assert await answers(seasons) == by_day


async def test_an_event_from_the_future_ends_no_month(seasons):
    assert await ask(seasons, months.due, NOW, ready(seasons)) is None
    later = NOW + 40 * DAY * SLOT_MS
    assert await ask(seasons, months.due, later, ready(seasons)) is None
    await write(seasons, put_future)
    assert await ask(seasons, months.due, NOW, ready(seasons)) is None
    assert await ask(seasons, months.due, later, ready(seasons)) is not None


def put_future(connection):
    slot = NOW // SLOT_MS + 300 * DAY
    connection.execute(f"INSERT INTO rollups VALUES (0, 1, {slot}, 0, 1, 0, 1, 1, x'')")


async def test_what_a_build_left_is_taken_out_before_the_next(seasons):
    start = ready(seasons)[1]
    order = "ORDER BY dimension, start, value, site, bot"
    rows = [seasons.rows(f"SELECT * FROM {table} {order}") for table in months._TABLES]
    await by_days(seasons)
    assert not await write(seasons, months.begin, start)
    await add_up(seasons)
    again = [seasons.rows(f"SELECT * FROM {table} {order}") for table in months._TABLES]
    assert all(rows)
    assert list(map(len, again)) == list(map(len, rows))


async def test_a_month_that_was_begun_just_now_waits(seasons, late):
    changed = await late()
    assert await ask(seasons, months.due, NOW, ()) == changed
    assert await ask(seasons, months.due, NOW, {changed}) is None
    assert changed not in ready(seasons)


async def test_a_filter_of_a_month_that_is_over_looks_no_hits_up(seasons, monkeypatch):
    first, last = ready(seasons)[1], ready(seasons)[-1] + MONTH
    asked = Question(first * SLOT_MS, last * SLOT_MS, browser="Firefox", device="Desktop")
    before = await ask(seasons, funnels.funnel, asked, STEPS)
    assert before[0]["visitors"] > 2
    monkeypatch.setattr(marks, "_among", None)
    assert await ask(seasons, funnels.funnel, asked, STEPS) == before


async def test_of_a_month_whose_hits_had_gone_what_is_left_is_looked_up(seasons):
    await by_days(seasons)
    last = await ask(seasons, hits.added_up)
    await write(seasons, retention.expire, last // 2)
    by_day = await answers(seasons)
    await add_up(seasons)
    rows = seasons.rows("SELECT length(seqs) AS n, length(browser) AS known FROM month_marks")
    assert {bool(row["known"]) for row in rows} == {True, False}
    assert len(ready(seasons)) > 2
    assert await answers(seasons) == by_day


async def test_a_months_marks_lie_in_rows_of_bounded_length(seasons):
    rows = seasons.rows("SELECT visitors, at, seqs FROM month_marks")
    found = [Marks.decompress(tuple(row.values())) for row in rows]
    assert max(len(one.seqs) for one in found) == 20
    start, end = ready(seasons)[0] * SLOT_MS, (ready(seasons)[-1] + MONTH) * SLOT_MS
    marked = seasons.rows(
        f"SELECT seq FROM hits WHERE (view OR event) AND at >= {start} AND at < {end}"
    )
    assert sorted(seq for one in found for seq in one.seqs) == sorted(r["seq"] for r in marked)


async def test_the_newest_events_of_a_name_are_found_in_months_too(seasons):
    end = ready(seasons)[-1]
    (found,) = seasons.rows(
        "SELECT text, count(*) AS many FROM month_marks JOIN rollup_names ON number = value "
        f"WHERE dimension = 4 AND start = {end - MONTH} GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
    )
    assert found["many"] > 1  # rows of 20
    newest = seasons.rows(
        f"SELECT seq FROM events WHERE event = '{found['text']}' AND type = 'track' AND "
        f"timestamp < {end * SLOT_MS} ORDER BY timestamp DESC, seq DESC LIMIT 10"
    )
    asked = Question(0, end * SLOT_MS, bots=True)
    some = await ask(seasons, marks.of_question, asked, "event", found["text"], None, 10)
    assert len(some.seqs) < 100
    times = sorted(zip(some.at, some.seqs, strict=True))[-10:]
    assert [seq for _, seq in times][::-1] == [row["seq"] for row in newest]


async def test_a_stop_leaves_a_month_that_is_being_added_up(seasons):
    await by_days(seasons)
    courtesy = Courtesy(lambda: False)
    step = Months(seasons.app.dashboard.counts, seasons.app._database, courtesy)
    rests = []

    async def rest(seconds):
        rests.append(seconds)
        if seasons.rows("SELECT * FROM months"):
            courtesy.stop()

    step.rest = rest
    assert await step(0, 1) == 0
    assert len(rests) > 1
    assert [row["ready"] for row in seasons.rows("SELECT ready FROM months")] == [0]


async def test_months_stay_when_their_hits_are_too_old(seasons):
    question, bounds = season("UTC")
    asked = await ask(seasons, questions, question)
    before = await ask(seasons, all_answers, asked, bounds)
    months_before = ready(seasons)
    first, end = months_before[0] * SLOT_MS, (months_before[-1] + MONTH) * SLOT_MS
    whole = Question(first, end, device="Desktop")
    funnel = await ask(seasons, funnels.funnel, whole, STEPS)
    assert funnel[1]["visitors"]
    last = seasons.app.writer.committed.seq
    added_up = await ask(seasons, hits.added_up)
    for upto in (added_up // 2, last):
        await write(seasons, retention.expire, upto)
        assert ready(seasons) == months_before
        assert await ask(seasons, all_answers, asked, bounds) == before
        assert await ask(seasons, funnels.funnel, whole, STEPS) == funnel
    await add_up(seasons)
    assert ready(seasons) == months_before
