"""A person is forgotten by a button, and its audiences are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.dashboard.conftest import digits, show, table

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.dashboard.conftest import Dashboard

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_forget_asks_first_then_erases_and_says_what(
    dashboard: Dashboard, tab: Page, track
) -> None:
    page = {"type": "page", "properties": {"path": "/pricing"}}
    who = {"userId": "to-be-forgotten", "anonymousId": "its-own-browser"}
    traits = {"email": "forgotten@example.com", "plan": "free"}
    await dashboard.store(
        [
            {"type": "identify", "messageId": "f1", **who, "traits": traits},
            {**page, "messageId": "f2", **who},
            {**page, "messageId": "f3", **who},
        ]
    )
    own = "SELECT * FROM events WHERE user_id = 'to-be-forgotten'"
    assert len(dashboard.rows(own)) == 3
    person = dashboard.rows("SELECT id FROM people WHERE user_id = 'to-be-forgotten'")[0]["id"]
    await show(tab, f"people?id={person}")
    assert "by-settings" in [row[0] for row in await table(tab, "Audiences")]
    await tab.click("text=Forget…")
    await tab.click("dialog >> text=Cancel")
    await tab.wait_for_selector("dialog", state="detached")
    assert len(dashboard.rows(own)) == 3

    await tab.click("text=Forget…")
    await tab.click("text=Forget for ever")
    await tab.wait_for_selector("section[aria-label=Forgotten]", timeout=60_000)
    removed = {name: digits(rows) for name, rows in await table(tab, "Forgotten")}
    assert removed["events"] == 3
    assert removed["people"] == 1
    assert "None of the names is to be found in any file" in await tab.inner_text("main")
    assert dashboard.rows(own) == []
    await show(tab, f"people?id={person}")
    assert "Could not load" in await tab.inner_text("main")
    # What comes under its names is no longer taken.
    await dashboard.collector.post("/v1/batch", {"batch": [track("f4", event="Back", **who)]})
    await dashboard.settled()
    assert dashboard.rows(own) == []


async def test_all_that_is_stored_of_one_is_handed_out(
    dashboard: Dashboard, tab: Page, track
) -> None:
    await dashboard.store([track("g1", event="Given", userId="curious-person")])
    person = dashboard.rows("SELECT id FROM people WHERE user_id = 'curious-person'")[0]["id"]
    await show(tab, f"people?id={person}")
    async with tab.expect_download() as begun:
        await tab.click("text=All that is stored")
    path = await (await begun.value).path()
    assert '"message_id":"g1"' in path.read_text("utf-8")
