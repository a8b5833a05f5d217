"""What was tracked is text everywhere, no policy is broken, and every page can be used by all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.dashboard.conftest import show

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.dashboard.conftest import Dashboard

pytestmark = pytest.mark.asyncio(loop_scope="package")
AXE = Path(__file__).parents[3] / "pixel_js/node_modules/axe-core/axe.min.js"
HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
WORD = "w" * 20_000
PAGES = (
    "overview", "live", "people", "events", "sales", "audiences", "audiences?name=by-settings",
    "audiences?new=1", "audiences?edit=by-settings", "funnels", "system",
    "funnels?step=path:/pricing&step=event:Plan Viewed",
)  # fmt: skip


@pytest.fixture
def hostile(track):
    page = {"title": HOSTILE, "path": "/" + HOSTILE, "url": f"https://x.example/{HOSTILE}"}
    traits = {"email": "evil@example.com", "name": HOSTILE + "\u202e", HOSTILE: HOSTILE}
    long = {HOSTILE: HOSTILE, "word": WORD}
    return [
        {"type": "page", "messageId": "h1", "userId": "evil", "properties": page},
        {"type": "identify", "messageId": "h2", "userId": "evil", "traits": traits},
        track("h3", event=HOSTILE, userId="evil", properties=long),
        track("h4", event=WORD[:9000], userId="evil"),
        track("h5", event="Purchase", userId="evil", properties={"total": HOSTILE}),
        {"type": "page", "messageId": "h6", "userId": "evil", "properties": {"path": "/pricing"}},
        {"type": "page", "messageId": "h7", "userId": HOSTILE, "properties": {"path": "/pricing"}},
    ]


async def test_hostile_text_is_text_everywhere(
    dashboard: Dashboard, tab: Page, hostile: list[dict]
) -> None:
    await dashboard.store(hostile)
    said = {"trait": HOSTILE, "op": "ne", "value": HOSTILE}
    rule = {"all": [{"page": "/pricing"}, {"not": {"event": HOSTILE}}, said]}
    headers = {"Authorization": f"Bearer {dashboard.collector.app.token}"}
    url = f"{dashboard.collector.admin_url}/api/audiences/hostile"
    body = {"rule": rule, "record": False}
    async with dashboard.collector.session.put(url, json=body, headers=headers) as answer:
        assert answer.status == 200
    await dashboard.settled()
    person = dashboard.rows("SELECT id FROM people WHERE user_id = 'evil'")[0]["id"]
    of_person = f"people?id={person}"
    of_audience = ("audiences?name=hostile", "audiences?edit=hostile")
    for name in (*PAGES, of_person, "people?q=evil", f"people?q={HOSTILE}", *of_audience):
        await show(tab, name)
        if "edit=" in name:
            await tab.click("text=See who")
            await tab.wait_for_selector(".found:has-text('people belong')")
        assert "broken" not in await tab.title()
        assert await tab.locator("main img, main script").count() == 0, name
        wide = await tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, name
        assert "\u202e" not in await tab.inner_text("main")
    for name in (of_person, "audiences?name=hostile"):
        await show(tab, name)
        assert "<img src=x onerror=" in await tab.inner_text("main")


@pytest.mark.skipif(not AXE.exists(), reason="npm packages not installed")
async def test_axe_finds_nothing_serious_on_any_page(dashboard: Dashboard, tab: Page) -> None:
    person = dashboard.rows("SELECT id FROM people WHERE email IS NOT NULL LIMIT 1")[0]["id"]
    session = await tab.context.new_cdp_session(tab)
    for scheme in ("light", "dark"):
        await tab.emulate_media(color_scheme=scheme)
        for name in (*PAGES, f"people?id={person}", "dialog"):
            if name == "dialog":
                await tab.click("text=Forget…")
            else:
                await show(tab, name)
            await session.send("Runtime.evaluate", {"expression": AXE.read_text("utf-8")})
            found = await tab.evaluate(
                "async () => (await axe.run()).violations.filter(v => "
                "['serious', 'critical'].includes(v.impact)).map(v => v.id + ' ' "
                "+ v.nodes.map(n => n.target + ' ' + n.failureSummary).join('; '))"
            )
            assert found == [], (scheme, name)


async def test_the_keyboard_goes_to_the_content_and_through_a_form(dashboard: Dashboard) -> None:
    tab = await dashboard.enter("audiences?new=1")
    await tab.keyboard.press("Tab")
    await tab.keyboard.press("Enter")
    assert await tab.evaluate("document.activeElement.id") == "main"
    await tab.keyboard.press("Tab")
    await tab.keyboard.type("typed")
    assert await tab.input_value("[name=name]") == "typed"
    await tab.context.close()
