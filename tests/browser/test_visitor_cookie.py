"""The server's cookie in a real browser: where it goes, who sees it, what others can do to it."""

import asyncio
import time

import pytest
from playwright.async_api import async_playwright

YEAR_S = 31_536_000
SEND = """async ([url, body]) => {
  const sent = { method: "POST", credentials: "include", body: JSON.stringify(body) };
  return (await fetch(url, sent)).json();
}"""
BEACON = "([url, body]) => navigator.sendBeacon(url, JSON.stringify(body))"


class Internet:
    """Chromium for which every host is this machine, and a collector at collect.shop.example."""

    def __init__(self, browser, site, collector):
        self._browser = browser
        self._port = site.url.rpartition(":")[2]
        self.collector = collector
        self.url = f"http://collect.shop.example:{collector.port}/c"

    async def page(self, host, context=None):
        context = context or await self._browser.new_context()
        page = await context.new_page()
        await page.goto(f"http://{host}:{self._port}/elsewhere")
        return page

    def batch(self, visitor, **marks):
        event = {"type": "track", "event": "E", "anonymousId": visitor}
        return {"writeKey": self.collector.key, "batch": [event]} | marks

    async def send(self, page, visitor, **marks):
        return await page.evaluate(SEND, [self.url, self.batch(visitor, **marks)])

    def visitors(self):
        return [row["anonymous_id"] for row in self.collector.rows()]


@pytest.fixture
async def internet(site, idle, browser_setup):
    executable, flags = browser_setup
    await idle.start(**{"http.public_url": "http://collect.shop.example"})
    rules = "--host-resolver-rules=MAP *.example 127.0.0.1"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=[*flags, rules])
        yield Internet(browser, site, idle)
        await browser.close()


async def test_the_browser_keeps_it_for_a_year_and_shows_it_to_no_script(internet):
    page = await internet.page("www.shop.example")
    await internet.send(page, "visitor-1")
    (cookie,) = await page.context.cookies()
    assert (cookie["name"], cookie["domain"]) == ("_px_vid", ".shop.example")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert abs(cookie["expires"] - time.time() - YEAR_S) < 600
    assert await page.evaluate("document.cookie") == ""


async def test_who_lost_the_scripts_storage_is_known_again_on_any_host_of_the_site(internet):
    page = await internet.page("www.shop.example")
    await internet.send(page, "visitor-1")
    other = await internet.page("blog.shop.example", page.context)
    said = await internet.send(other, "made-just-now", fresh=True)
    assert said == {"success": True, "anonymousId": "visitor-1"}
    assert internet.visitors() == ["visitor-1", "visitor-1"]


async def test_a_beacon_of_a_leaving_page_carries_it(internet):
    page = await internet.page("www.shop.example")
    await internet.send(page, "visitor-1")
    assert await page.evaluate(BEACON, [internet.url, internet.batch("new", fresh=True)])
    await page.close()
    async with asyncio.timeout(20):
        while len(internet.visitors()) < 2:
            await asyncio.sleep(0.05)
    assert internet.visitors() == ["visitor-1", "visitor-1"]


async def test_a_page_of_another_site_neither_sends_nor_sets_it(internet):
    page = await internet.page("www.shop.example")
    await internet.send(page, "visitor-1")
    foreign = await internet.page("www.other.example", page.context)
    assert await internet.send(foreign, "made-just-now", fresh=True) == {"success": True}
    assert internet.visitors() == ["visitor-1", "made-just-now"]
    (cookie,) = await page.context.cookies()
    assert cookie["value"].startswith("visitor-1.")


@pytest.mark.parametrize("path", ["/", "/c"])
async def test_a_cookie_that_another_host_planted_names_nobody(internet, path):
    attacker = await internet.page("evil.shop.example")
    await internet.send(attacker, "attacker-1")
    (own,) = await attacker.context.cookies()
    page = await internet.page("www.shop.example")
    await internet.send(page, "visitor-1")
    evil = await internet.page("evil.shop.example", page.context)
    planted = f"_px_vid={own['value']}; domain=shop.example; path={path}"
    await evil.evaluate("cookie => { document.cookie = cookie }", planted)
    said = await internet.send(page, "made-just-now", fresh=True)
    assert said.get("anonymousId") in (None, "visitor-1")
    assert internet.visitors()[-1] in ("made-just-now", "visitor-1")


async def test_reset_makes_it_another_visitors_and_denied_consent_takes_it_away(internet):
    page = await internet.page("www.shop.example")
    await internet.send(page, "visitor-1")
    await internet.send(page, "visitor-2", reset=True)
    (cookie,) = await page.context.cookies()
    assert cookie["value"].startswith("visitor-2.")
    denied = internet.batch("visitor-2")
    denied["batch"][0]["context"] = {"consent": {"analytics": False}}
    await page.evaluate(SEND, [internet.url, denied])
    assert await page.context.cookies() == []
