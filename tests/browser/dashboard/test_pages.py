"""The numbers of the other pages are those of SQL over `events`, too."""

from __future__ import annotations

import math
import re
import threading
from typing import TYPE_CHECKING

import pytest

from collector.store import lookup
from collector.store.reader import tell
from tests.browser.dashboard.asked import SEEN, Asked
from tests.browser.dashboard.conftest import digits, loaded, show, table, until

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.dashboard.conftest import Dashboard

pytestmark = pytest.mark.asyncio(loop_scope="package")
REVENUE = {
    "Revenue by product": "name",
    "Revenue by category": "category",
    "Revenue by campaign of first touch": "first",
    "Revenue by campaign of last touch": "last",
}


def money(text: str) -> tuple[str, int]:
    """Currency and cents."""
    return {"$": "USD", "€": "EUR"}[text[0]], digits(text)


@pytest.mark.parametrize(
    "filters",
    [{}, {"site": "shop", "country": "DE"}, {"device": "Desktop"}, {"path": "/pricing"}],
    ids=str,
)
async def test_purchases_and_leads(
    dashboard: Dashboard, tab: Page, filters: dict[str, str]
) -> None:
    asked = Asked(dashboard, 30, filters)
    await show(tab, f"sales?{asked.query()}")
    bought = [(row[3], *money(row[4])) for row in await table(tab, "Purchases")]
    expected = [(p["order_id"], p["currency"], p["cents"]) for p in asked.purchases()]
    assert sorted(bought) == sorted(expected[:100])
    leads = [(row[1], row[2], digits(row[3])) for row in await table(tab, "Leads")]
    told = [(lead["email"], lead["source"], lead["times"]) for lead in asked.leads()]
    assert len(leads) == min(100, len(told))
    assert set(leads) <= set(told)
    for title, by in REVENUE.items():
        rows = await table(tab, title)
        shown = {(value, *money(sum_)[:1], digits(n), money(sum_)[1]) for value, n, sum_ in rows}
        assert shown == asked.revenue(by), title
    assert bool(bought) == ("path" not in filters)


async def test_people_and_one_of_them(dashboard: Dashboard, tab: Page) -> None:
    user = dashboard.rows(
        "SELECT user_id, site FROM events WHERE event = 'Purchase Completed' AND site = 'shop' "
        "GROUP BY user_id ORDER BY count(*) DESC, count(DISTINCT type) LIMIT 1"
    )[0]["user_id"]
    own = f"FROM events WHERE site = 'shop' AND user_id = '{user}'"
    (email,) = {
        row["email"]
        for row in dashboard.rows(
            f"SELECT traits ->> '$.email' AS email {own} AND traits IS NOT NULL"
        )
    }
    await show(tab, f"people?q={email}")
    found = await table(tab, "People")
    (row,) = [row for row in found if row[1] == "shop"]
    assert row[:3] == [email, "shop", user]
    await tab.click(f"tr:has-text('shop') a:has-text('{email}')")
    await tab.wait_for_selector(".timeline")
    events = dashboard.rows(f"SELECT type, event, path {own} ORDER BY timestamp DESC, seq DESC")
    said = await tab.eval_on_selector_all(
        ".timeline li",
        "all => all.map(one => [one.querySelector('.kind').innerText, "
        "one.querySelector('summary').innerText])",
    )
    assert said == [[e["type"], e["event"] or e["path"]] for e in events]
    orders = dashboard.rows(
        "SELECT properties ->> '$.order_id' AS id, "
        f"CAST(round(100 * (properties ->> '$.total')) AS INTEGER) AS cents {own} "
        "AND event = 'Purchase Completed'"
    )
    shown = {(order, digits(total)) for _, order, total in await table(tab, "Purchases")}
    assert shown == {(order["id"], order["cents"]) for order in orders}
    leads = dashboard.rows(f"SELECT count(*) AS n {own} AND event = 'Lead Captured'")[0]["n"]
    assert sum(digits(row[3]) for row in await table(tab, "Leads")) == leads
    traits = dashboard.rows(
        "SELECT j.key, j.value FROM json_each((SELECT traits "
        f"{own} AND traits IS NOT NULL ORDER BY timestamp DESC LIMIT 1)) AS j"
    )
    assert dict(await table(tab, "Traits")) == {row["key"]: row["value"] for row in traits}
    anonymous = dashboard.rows(f"SELECT DISTINCT anonymous_id AS id {own}")
    ids = {(kind, value) for kind, value, _ in await table(tab, "Ids")}
    assert ids == {("user", user), ("email", email), *(("anonymous", a["id"]) for a in anonymous)}


async def test_funnels(dashboard: Dashboard, tab: Page) -> None:
    asked = Asked(dashboard, 30, {})
    await show(tab, f"funnels?{asked.query()}")
    for kind, value in (("path", "/pricing"), ("event", "Plan Viewed"), ("event", "Lead Captured")):
        await tab.select_option("[aria-label='Kind of step']", kind)
        await tab.fill("[aria-label='Path or event name']", value)
        await tab.click("text=Add step")
        await tab.wait_for_selector(f".steps li:has-text('{value}')")
    await show(tab, (await tab.evaluate("location.hash"))[2:])
    steps = ["view AND at_path = '/pricing'", "name = 'Plan Viewed'", "name = 'Lead Captured'"]
    reached = {None: (-1, -1)}
    first = before = 0
    for number_, (step, row) in enumerate(zip(steps, await table(tab, "Conversion"), strict=True)):
        done: dict[str, tuple[int, int]] = {}
        events = asked(
            f"SELECT visitor, timestamp, seq FROM seen WHERE {step} AND {asked.condition()} "
            "ORDER BY timestamp, seq"
        )
        for event in events:
            after = reached.get(event["visitor"] if number_ else None)
            at = (event["timestamp"], event["seq"])
            if after is not None and at > after:
                done.setdefault(event["visitor"], at)
        first = first or len(done)
        assert digits(row[1]) == len(done)
        assert row[2] == percent(len(done), first)
        if number_:
            assert row[3] == percent(len(done), before)
            waits = sorted(at - reached[visitor][0] for visitor, (at, _) in done.items())
            assert row[4] == lasting(waits[len(waits) // 2] / 1000)
        before, reached = len(done), done
    assert before > 0


def percent(part: int, whole: int) -> str:
    """As a browser rounds: 6.25 is 6.3."""
    return f"{math.floor(1000 * part / whole + 0.5) / 10:.1f} %"


def lasting(seconds: float) -> str:
    if seconds < 90:
        return f"{int(seconds + 0.5)} s"
    if seconds < 5400:
        return f"{int(seconds / 60 + 0.5)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 129600 else f"{seconds / 86400:.1f} days"


def measured(text: str) -> float:
    """The number before a unit."""
    return float(text.split()[0].replace(",", ""))


async def test_the_system(dashboard: Dashboard, tab: Page) -> None:
    await dashboard.collector.post("/v1/track", {"event": "System seen", "userId": "system"})
    await dashboard.settled()
    pages = "SELECT page_count * page_size / 1e6 AS mb FROM pragma_page_count, pragma_page_size"
    least = dashboard.rows(pages)[0]["mb"] - 0.06
    await show(tab, "system")
    log = dashboard.rows("SELECT count(*) AS n, max(seq) AS last FROM events")[0]
    state = dict(await table(tab, "State"))
    counts = dict(await table(tab, "Counted since start"))
    assert digits(state["events in the log (highest seq)"]) == log["last"]
    assert digits(state["stored since start"]) == log["n"] == digits(counts["stored events"])
    refused = dashboard.rows("SELECT count(*) AS n FROM rejected")[0]["n"]
    assert digits(counts["rejected events"]) == refused > 0
    half, slow = [await tab.inner_text(f"[data-total={name}] strong") for name in ("p50", "p99")]
    assert re.fullmatch(r"[\d,.]+ ms", half)
    assert measured(half) <= measured(slow)
    said = await tab.inner_text(".card:has(.label:text-is('Store')) strong")
    assert (
        least <= measured(said) <= dashboard.rows(pages)[0]["mb"] + 0.06
    )  # followers write meanwhile


async def test_the_newest_events_are_there_when_the_live_page_opens(
    dashboard: Dashboard, tab: Page
) -> None:
    newest = dashboard.rows(f"{SEEN} SELECT * FROM seen ORDER BY seq DESC LIMIT 50")
    await show(tab, "live")
    await until(tab, "document.querySelectorAll('.event:not(:has(.bad))').length >= 50")
    said = await tab.eval_on_selector_all(
        ".event:not(:has(.bad)) summary",
        "all => all.map(one => [one.querySelector('.kind').innerText, "
        "one.querySelector('.text').innerText])",
    )
    assert said == [[e["type"], e["event"] or e["path"] or e["type"]] for e in newest]
    refused = dashboard.rows("SELECT count(*) AS n FROM rejected")[0]["n"]
    await tab.wait_for_selector(".event .bad")
    assert await tab.locator(".event:has(.bad)").count() == min(20, refused)


async def test_how_far_a_long_search_has_come_is_shown(
    dashboard: Dashboard, tab: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = threading.Event()
    whole = lookup.people_with

    def slowly(connection, text, limit):
        tell(connection, 0.4)
        seen.wait(20)
        return whole(connection, text, limit)

    monkeypatch.setattr(lookup, "people_with", slowly)
    await tab.evaluate("location.hash = '#/people?q=example&part=1'")
    await until(tab, "document.querySelector('progress')?.value === 0.4")
    assert "Looking through" in await tab.inner_text("main [role=status]")

    seen.set()
    await loaded(tab)
    assert len(await table(tab, "People")) > 1
    assert await tab.query_selector("progress") is None
