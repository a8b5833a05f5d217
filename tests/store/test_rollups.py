"""Rollups and hits give what a query over `events` gives, at any range, zone and filter."""

import itertools
from datetime import date

import pytest

from collector.admin import ranges
from collector.demo import events
from collector.store import reports
from collector.store.question import Question

NOW = 1_795_500_000_000  # as in `counted`
VISITOR = "count(DISTINCT site || char(0) || coalesce(anonymous_id, user_id))"
COUNTS = f"{VISITOR} AS visitors, sum(type IN ('page', 'screen')) AS views, count(*) AS events"


async def ask(collector, work, *args):
    return await collector.app.dashboard.counts.run(work, *args)


def said(collector, start, end, where="true"):
    (row,) = collector.rows(
        f"SELECT {COUNTS} FROM events WHERE timestamp >= {start} AND timestamp < {end} "
        f"AND bot IS NULL AND {where}"
    )
    return {name: value or 0 for name, value in row.items()}


ZONES = ["UTC", "Europe/Vienna", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]
SPANS = [
    (date(2026, 11, 24), date(2026, 11, 24)),
    (date(2026, 11, 10), date(2026, 11, 16)),
    (date(2026, 10, 24), date(2026, 10, 26)),
    (date(2026, 10, 1), date(2026, 11, 30)),
    (date(2024, 1, 1), date(2026, 12, 31)),
]


@pytest.mark.parametrize("zone", ZONES)
async def test_totals_and_charts_are_those_of_the_events(counted, zone):
    for first, last in SPANS:
        span = ranges.parse(str(first), str(last), zone, NOW)
        question = Question(span.start, span.end)
        totals = await ask(counted, reports.totals, question)
        wanted = said(counted, span.start, span.end)
        assert {name: totals[name] for name in wanted} == wanted
        bounds = span.bounds()
        lines = await ask(counted, reports.chart, question, bounds)
        for i, (start, end) in enumerate(itertools.pairwise(bounds)):
            part = {name: line[i] for name, line in lines.items()}
            assert part == said(counted, start, end), (zone, start)


FILTERS = {
    "path": ("/pricing", "path = '/pricing'"),
    "event": ("Plan Viewed", "event = 'Plan Viewed' AND type = 'track'"),
    "campaign": ("newsletter-42", "url LIKE '%utm_campaign=newsletter-42'"),
    "referrer": ("google.com", "referrer LIKE 'https://www.google.com/%'"),
    "type": ("identify", "type = 'identify'"),
    "browser": ("Firefox", "user_agent LIKE '%Firefox/%'"),
    "device": ("Phone", "(user_agent LIKE '%iPhone%' OR user_agent LIKE '%Android%')"),
    "site": ("shop", "site = 'shop'"),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_a_filter_gives_what_its_condition_gives(counted, name):
    value, where = FILTERS[name]
    span = ranges.parse("2026-10-20", "2026-11-24", "Europe/Vienna", NOW)
    question = Question(span.start, span.end, **{name: value})
    totals = await ask(counted, reports.totals, question)
    wanted = said(counted, span.start, span.end, where)
    assert wanted["events"] > 0
    assert {key: totals[key] for key in wanted} == wanted


@pytest.mark.parametrize("filters", [{}, {"device": "Phone"}], ids=["rolled", "filtered"])
async def test_the_top_pages_and_events_are_those_of_the_events(counted, filters):
    span = ranges.parse("2026-11-01", "2026-11-20", "Asia/Kathmandu", NOW)
    question = Question(span.start, span.end, **filters)
    where = FILTERS["device"][1] if filters else "true"
    for by, column, of in (
        ("path", "path", "type = 'page'"),
        ("event", "event", "type = 'track'"),
    ):
        rows = await ask(counted, reports.top, question, by, 100)
        wanted = counted.rows(
            f"SELECT {column} AS value, count(*) AS count FROM events WHERE bot IS NULL "
            f"AND timestamp >= {span.start} AND timestamp < {span.end} AND {of} AND {where} "
            "GROUP BY 1"
        )
        key = lambda row: row["value"]  # noqa: E731
        assert sorted(rows, key=key) == sorted(wanted, key=key)


async def test_bots_are_left_out_unless_asked_for(counted):
    span = ranges.parse("2026-10-01", "2026-11-30", "UTC", NOW)
    plain = await ask(counted, reports.totals, Question(span.start, span.end))
    all_of_them = await ask(counted, reports.totals, Question(span.start, span.end, bots=True))
    (row,) = counted.rows(
        f"SELECT sum(bot) AS bots, count(*) AS events, {VISITOR} AS v FROM events"
    )
    assert row["bots"] > 0
    assert all_of_them["events"] - plain["events"] == row["bots"]
    assert (all_of_them["events"], all_of_them["visitors"]) == (row["events"], row["v"])


async def test_revenue_and_leads_are_those_of_the_events(counted):
    persons = counted.app.persons.follower
    while persons.lag:
        await persons.rest(0.02)
    span = ranges.parse("2026-11-01", "2026-11-20", "Europe/Vienna", NOW)
    bounds = f"timestamp >= {span.start} AND timestamp < {span.end}"
    for filters, where in (({}, "true"), ({"browser": "Firefox"}, FILTERS["browser"][1])):
        totals = await ask(counted, reports.totals, Question(span.start, span.end, **filters))
        bought = counted.rows(
            "SELECT properties ->> 'currency' AS currency, count(*) AS purchases, "
            "cast(round(sum(properties ->> 'total') * 1e6) AS INTEGER) AS micros FROM events "
            f"WHERE event = 'Purchase Completed' AND {bounds} AND {where} "
            "GROUP BY 1 ORDER BY 3 DESC"
        )
        assert totals["revenue"] == bought
        leads = counted.rows(
            "SELECT count(*) AS n FROM (SELECT min(timestamp) AS timestamp, user_agent "
            "FROM events WHERE event = 'Lead Captured' GROUP BY properties ->> 'email') "
            f"WHERE {bounds} AND {where}"
        )
        assert totals["leads"] == leads[0]["n"]
        assert bought or filters


async def test_a_restart_counts_nothing_twice(counted):
    await counted.restart()
    await counted.app.writer.append(list(events(NOW, visits=20, seed=9)))
    while counted.app.dashboard.follower.lag:
        await counted.app.dashboard.follower.rest(0.02)
    span = ranges.parse("2026-10-01", "2026-11-30", "UTC", NOW)
    totals = await ask(counted, reports.totals, Question(span.start, span.end, bots=True))
    (row,) = counted.rows("SELECT count(*) AS n FROM events")
    assert totals["events"] == row["n"]
