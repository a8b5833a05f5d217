"""Every number of the overview and of the events page is that of SQL over `events`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.dashboard.asked import Asked
from tests.browser.dashboard.conftest import digits, loaded, number, show, table, until

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.dashboard.conftest import Dashboard

pytestmark = pytest.mark.asyncio(loop_scope="package")
NAMES = {"": "None", "path": "No path", "referrer": "Direct or none"}
LISTS = ("path", "referrer", "event", "campaign", "device", "browser", "country")


def named(by: str, value: str) -> str:
    return value or {"device": "Unknown", "browser": "Unknown"}.get(by, NAMES.get(by, "None"))


async def bars(tab: Page, by: str) -> dict[str, int]:
    """What a list of the most frequent values says."""
    rows = await tab.eval_on_selector_all(
        f"[data-top={by}] li",
        "rows => rows.map(row => [row.querySelector('a').innerText, "
        "row.querySelector('.number').innerText])",
    )
    return {value: digits(count) for value, count in rows}


async def check_bars(tab: Page, by: str, asked: Asked, most: int = 10) -> None:
    expected = {named(by, value): count for value, count in asked.top(by).items()}
    if by in ("campaign", "country"):
        expected.pop("None", None)
    shown = await bars(tab, by)
    assert shown.items() <= expected.items(), by
    # One of them may be the unnamed one, which is not shown.
    assert min(most - 1, len(expected)) <= len(shown) <= most, by
    assert sorted(shown.values(), reverse=True) == list(shown.values())
    assert max(expected.values(), default=0) == max(shown.values(), default=0)


def change(now: int, before: int) -> str:
    """How the page tells it."""
    if not before:
        return "new" if now else "±0 %"
    ratio = now / before - 1
    if not ratio:
        return "±0 %"
    if ratio > 10:
        return f"×{round(ratio + 1)}"
    return f"{'+' if ratio >= 0 else '−'}{abs(round(ratio * 100))} %"


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"bots": "1"},
        {"site": "blog"},
        {"path": "/pricing"},
        {"referrer": "google.com"},
        {"campaign": "newsletter-42"},
        {"event": "Plan Viewed"},
        {"device": "Phone"},
        {"browser": "Firefox"},
        {"country": "DE"},
        {"event": "Purchase Completed", "country": "AT", "site": "shop"},
    ],
    ids=str,
)
async def test_the_overview(dashboard: Dashboard, tab: Page, filters: dict[str, str]) -> None:
    asked = Asked(dashboard, 12, filters)
    await show(tab, f"overview?{asked.query()}")
    totals = asked.totals()
    for name, value in totals.items():
        assert await number(tab, name) == value, name
    for by in LISTS:
        await check_bars(tab, by, asked)
    label = await tab.get_attribute("[role=img]", "aria-label")
    for line, what in (("Visitors", "count(DISTINCT visitor)"), ("Page views", "sum(view)")):
        assert f"{line} up to {asked.most_a_day(what):,}" in label
    asked.before()
    earlier = asked.totals()
    for name, value in totals.items():
        said = await tab.inner_text(f"[data-total='{name}'] span:last-of-type")
        exact = (value - earlier.get(name, 0)) * 200 / max(1, earlier.get(name, 0))
        if exact % 1 or not exact % 2:  # a half is rounded up there, to the even one here
            assert said.startswith(change(value, earlier.get(name, 0))), name


async def test_a_click_filters_and_a_click_takes_the_filter_away(
    dashboard: Dashboard, tab: Page
) -> None:
    await show(tab, f"overview?{Asked(dashboard, 30, {}).query()}")
    for by, value in (("path", "/pricing"), ("device", "Phone")):
        await tab.click(f"[data-top={by}] a:has-text('{value}')")
        await tab.wait_for_selector(f".chip:has-text('{by}')")
    await loaded(tab)
    assert "path=%2Fpricing&device=Phone" in tab.url
    both = Asked(dashboard, 30, {"path": "/pricing", "device": "Phone"}).totals()
    assert await number(tab, "views") == both["views"]
    await tab.click(".chip:has-text('path')")
    await until(tab, "document.querySelectorAll('.chip').length === 1")
    await loaded(tab)
    one = Asked(dashboard, 30, {"device": "Phone"}).totals()
    assert await number(tab, "views") == one["views"]
    await tab.select_option("[aria-label=Site]", "blog")
    await until(tab, "location.hash.includes('site=blog')")
    await loaded(tab)
    of_blog = Asked(dashboard, 30, {"device": "Phone", "site": "blog"}).totals()
    assert await number(tab, "views") == of_blog["views"]


@pytest.mark.parametrize("filters", [{}, {"site": "blog"}, {"country": "JP"}], ids=str)
async def test_events(dashboard: Dashboard, tab: Page, filters: dict[str, str]) -> None:
    asked = Asked(dashboard, 30, filters)
    await show(tab, f"events?{asked.query()}")
    rows = {name: digits(count) for name, count in await table(tab, "Names")}
    assert rows == asked.top("event")
    await check_bars(tab, "type", asked)
    label = await tab.get_attribute("[role=img]", "aria-label")
    assert f"Events up to {asked.most_a_day('count(*)'):,}" in label
    assert f"Visitors up to {asked.most_a_day('count(DISTINCT visitor)'):,}" in label


@pytest.mark.parametrize("event", ["Plan Viewed", "Purchase Completed"])
async def test_the_properties_of_an_event(dashboard: Dashboard, tab: Page, event: str) -> None:
    asked = Asked(dashboard, 30, {"event": event})
    await show(tab, f"events?{asked.query()}")
    rows = asked(
        "SELECT j.key, j.type, count(*) AS n FROM seen, json_each(seen.properties) AS j "
        f"WHERE {asked.condition('seen.')} GROUP BY 1, 2"
    )
    seen = {(name, kind): digits(count) for name, kind, count, _ in await table(tab, "Properties")}
    assert seen == {(row["key"], row["type"]): row["n"] for row in rows}
    assert 0 < max(seen.values()) < 500
