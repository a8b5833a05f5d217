"""Login, logout, a wrong token, a session that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.dashboard.conftest import TOKEN, show, until

if TYPE_CHECKING:
    from tests.browser.dashboard.conftest import Dashboard

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_wrong_token_is_refused_the_right_one_opens_and_logout_closes(
    dashboard: Dashboard,
) -> None:
    tab = await dashboard.tab()
    await tab.goto(dashboard.collector.admin_url)
    await tab.fill("#token", "wrong")
    await tab.keyboard.press("Enter")
    await until(tab, "document.querySelector('#said').textContent.includes('not the token')")
    assert await tab.context.cookies() == []
    await tab.fill("#token", TOKEN)
    await tab.keyboard.press("Enter")
    await tab.wait_for_selector("[data-total=visitors]")
    (cookie,) = await tab.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert await tab.evaluate("document.cookie") == ""
    await tab.click("text=Log out")
    await tab.wait_for_selector("#token")
    await tab.reload()
    await tab.wait_for_selector("#token")
    # Who kept the cookie has nothing of it.
    await tab.context.add_cookies([cookie])
    await tab.reload()
    await tab.wait_for_selector("#token")
    await tab.context.close()


async def test_the_token_of_the_address_does_not_stay_in_it(dashboard: Dashboard) -> None:
    tab = await dashboard.enter()
    assert TOKEN not in tab.url
    await tab.go_back()
    assert TOKEN not in tab.url
    await tab.context.close()


async def test_a_session_that_has_ended_asks_for_the_token(dashboard: Dashboard) -> None:
    tab = await dashboard.enter()
    await tab.context.clear_cookies()
    await tab.evaluate("location.hash = '#/people'")
    await tab.wait_for_selector("#token")
    await tab.context.close()


async def test_a_page_says_why_it_cannot_be_loaded_and_tries_again(dashboard: Dashboard) -> None:
    tab = await dashboard.enter()
    said = '{"success":false,"code":"took_too_long","message":"took longer than 30 s"}'
    await tab.route("**/api/people?*", lambda route: route.fulfill(
        status=503, body=said, content_type="application/json"))  # fmt: skip
    await show(tab, "people")
    assert "Could not load: took longer than 30 s" in await tab.inner_text("main")
    await tab.unroute("**/api/people?*")
    await tab.click("text=Try again")
    await tab.wait_for_selector("td a")
    await tab.context.close()
