"""Audiences by clicking: tried, saved, the same members as by the same rule in the settings."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from tests.browser.dashboard.conftest import RULE, digits, loaded, number, show, table

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

    from tests.browser.dashboard.conftest import Dashboard

pytestmark = pytest.mark.asyncio(loop_scope="package")
# Who belongs by RULE, by SQL over `events`. Whose an event is: of its user, else of its visitor.
MEMBERS = """WITH said AS (
    SELECT *, site || ' ' || coalesce(user_id, anonymous_id) AS who FROM events),
  told AS (SELECT who, traits ->> '$.plan' AS plan FROM said WHERE type = 'identify')
  SELECT who, max(user_id) AS user_id FROM said GROUP BY who HAVING
    sum(type = 'page' AND path LIKE '/pricing%') >= 2
    AND NOT max(event IS 'Purchase Completed')
    AND (max(event IS 'Plan Viewed' AND properties ->> '$.plan' LIKE '%Pro%')
      OR who IN (SELECT who FROM told WHERE plan IN ('free', 'pro')))"""


def members(dashboard: Dashboard, audience: str) -> set[str]:
    rows = dashboard.rows(f"SELECT person_id FROM audience_members WHERE audience = '{audience}'")
    return {row["person_id"] for row in rows}


async def put(part: Locator, **values: str) -> None:
    """Fields of a line by their labels: choose, or type."""
    for label, value in values.items():
        name = label.replace("_", " ")
        field = part.get_by_label(name, exact=True).locator("visible=true").first
        if await field.evaluate("field => field.localName") == "select":
            await field.select_option(value)
        else:
            await field.fill(value)


async def add(group: Locator) -> Locator:
    """One more condition of a group."""
    await group.locator(":scope > .more").click()
    return group.locator(":scope > .lines > li").last


async def build(tab: Page) -> None:
    """RULE, by clicking."""
    whole = tab.locator(".group").first
    first = whole.locator(":scope > .lines > li").first
    await put(first, What="page", When="within", How_often="gte")
    await put(first, **{"Path, * for any characters": "/pricing*"})
    await put(first, **{"How many times, or how much": "2", "How many": "60", "Unit": "d"})
    bought = await add(whole)
    await put(bought, Condition="didnot", What="purchase")
    either = await add(whole)
    await put(either, Condition="group")
    inner = either.locator(".group")
    await put(inner, Which_of_them="any")
    viewed = inner.locator(".lines > li").first
    await put(viewed, **{"What": "event", "Name of the event": "Plan Viewed"})
    await viewed.locator(".more").click()
    await put(viewed.locator(".where li"), Property="plan", Comparison="contains", Value="Pro")
    trait = await add(inner)
    await put(trait, Condition="trait")
    await put(trait, Trait="plan", Comparison="in", Value="free, pro")


async def test_one_built_by_clicking_has_the_members_of_its_rule_in_the_settings(
    dashboard: Dashboard, tab: Page
) -> None:
    await show(tab, "audiences")
    await tab.click("text=New audience")
    await tab.wait_for_selector(".group")
    await build(tab)
    await tab.click("text=The rule as JSON")
    assert json.loads(await tab.inner_text("form pre")) == RULE
    expected = dashboard.rows(MEMBERS)

    await tab.click("text=See who")
    await tab.wait_for_selector(".found:has-text('people belong')")
    found, people = (await tab.inner_text(".found")).split(" of ")
    assert digits(found) == len(expected) > 3
    assert digits(people) == dashboard.rows("SELECT count(*) AS n FROM people")[0]["n"]
    shown = {user for _, user in await table(tab, "Before it is saved")}
    assert shown - {""} <= {row["user_id"] for row in expected}
    assert dashboard.rows("SELECT * FROM saved_audiences") == []

    await tab.fill("[name=name]", "by-clicks")
    await tab.uncheck("label:has-text('Audience Entered') input")
    await tab.click("text=Save")
    await tab.wait_for_selector("h1:has-text('by-clicks')")
    await dashboard.settled()
    await tab.wait_for_selector("[role=status]:has-text('up to date')")
    assert members(dashboard, "by-clicks") == members(dashboard, "by-settings")
    assert len(members(dashboard, "by-clicks")) == len(expected)
    await show(tab, "audiences?name=by-clicks")
    assert await number(tab, "members") == len(expected)
    await show(tab, "audiences")
    rows = {row[0]: row[1:4] for row in await table(tab, "Audiences")}
    size = f"{len(expected):,}"
    assert rows["by-clicks"] == [size, "any", "here"]
    assert rows["by-settings"] == [size, "any", "in the settings"]


async def test_one_is_changed_and_taken_away_by_clicking(dashboard: Dashboard, tab: Page) -> None:
    await save(dashboard, {"page": "/nowhere"})
    await show(tab, "audiences?name=saved")
    await tab.click("text=Change")
    await tab.wait_for_selector(".group")
    await put(tab.locator(".group"), **{"Path, * for any characters": "/pricing"})
    await tab.click("text=Save")
    await tab.wait_for_selector("h1:has-text('saved')")
    await dashboard.settled()
    viewed = dashboard.rows(
        "SELECT count(DISTINCT site || ' ' || coalesce(user_id, anonymous_id)) AS n "
        "FROM events WHERE path = '/pricing' AND type = 'page'"
    )
    assert len(members(dashboard, "saved")) == viewed[0]["n"]
    await show(tab, "audiences?name=saved")
    await tab.click("text=Take away")
    await tab.click("dialog >> text=Cancel")
    await tab.click("text=Take away")
    await tab.click("dialog >> text=Take it away")
    await tab.wait_for_selector("text=New audience")
    await loaded(tab)
    assert "saved" not in [row[0] for row in await table(tab, "Audiences")]
    assert members(dashboard, "saved") == set()


async def test_steps_in_an_order_are_clicked_too(dashboard: Dashboard, tab: Page) -> None:
    await show(tab, "audiences?new=1")
    whole = tab.locator(".group").first
    await put(whole, Which_of_them="sequence")
    first = whole.locator(".lines > li").first
    await put(first, **{"What": "page", "Path, * for any characters": "/pricing"})
    second = await add(whole)
    await put(second, **{"What": "event", "Name of the event": "Plan Viewed"})
    third = await add(whole)
    await put(third, Condition="didnot", What="purchase")
    await tab.click("text=The rule as JSON")
    assert json.loads(await tab.inner_text("form pre")) == {
        "sequence": [
            {"page": "/pricing"},
            {"event": "Plan Viewed"},
            {"not": {"event": "purchase"}},
        ],
        "within": "7d",
    }
    await tab.click("text=See who")
    await tab.wait_for_selector(".found:has-text('people belong')")


@pytest.mark.parametrize(
    "rule",
    [
        {"page": "/a", "from": "2026-01-01", "to": "2026-02-01"},
        {"all": [{"event": "x", "to": "60d"}, {"not": {"any": [{"page": "/a"}, {"page": "/b"}]}}]},
        {"event": "purchase", "within": "12h", "sum": {"op": "gte", "value": 100.5}},
        {"event": "x", "sum": {"property": "points", "op": "lt", "value": 3}},
        {"not": {"trait": "email", "op": "exists"}},
        {"trait": "vip", "op": "exists", "value": False},
        {"trait": "vip", "op": "eq", "value": True},
        {"trait": "code", "op": "eq", "value": "007"},
        {"trait": "$last_seen", "op": "lt", "value": "30d"},
        {"not": {"audience": "by-settings"}},
        {"event": "x", "where": [{"property": "n", "op": "in", "value": [1, "b"]}]},
    ],
    ids=str,
)
async def test_what_was_saved_is_shown_in_the_form_as_it_is(
    dashboard: Dashboard, tab: Page, rule: dict
) -> None:
    await save(dashboard, rule)
    await show(tab, "audiences?edit=saved")
    assert await tab.locator("form .group").count() >= 1
    await tab.click("text=The rule as JSON")
    assert json.loads(await tab.inner_text("form pre")) == rule


async def test_a_rule_that_says_more_than_the_form_is_shown_as_text(
    dashboard: Dashboard, tab: Page
) -> None:
    rule = {"trait": "a", "op": "in", "value": ["one, two", "three"]}
    await save(dashboard, rule)
    await show(tab, "audiences?edit=saved")
    assert json.loads(await tab.input_value("form textarea")) == rule


async def save(dashboard: Dashboard, rule: dict) -> None:
    collector = dashboard.collector
    headers = {"Authorization": f"Bearer {collector.app.token}"}
    url = f"{collector.admin_url}/api/audiences/saved"
    body = {"rule": rule, "record": False}
    async with collector.session.put(url, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


async def test_what_is_wrong_with_a_rule_is_said(dashboard: Dashboard, tab: Page) -> None:
    await show(tab, "audiences?new=1")
    await tab.fill("[name=name]", "wrong")
    await put(tab.locator(".group .lines > li").first, What="page")
    await put(tab.locator(".group"), **{"Path, * for any characters": "pricing"})
    said = "rule.page: expected a path as /pricing*, got 'pricing'"
    await tab.click("text=See who")
    await tab.wait_for_selector(f'.found.error:has-text("{said}")')
    await tab.click("text=Save")
    await tab.wait_for_selector(f'form .error:has-text("{said}")')


async def test_the_files_hold_the_members(dashboard: Dashboard, tab: Page) -> None:
    await show(tab, "audiences?name=by-settings")
    async with tab.expect_download() as begun:
        await tab.click("a[download]:has-text('plain')")
    download = await begun.value
    text = await asyncio.to_thread((await download.path()).read_text, "utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["person_id"] for row in rows} == members(dashboard, "by-settings")
    listed = await table(tab, "Members")
    assert len(listed) == min(25, len(rows))
