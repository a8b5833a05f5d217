"""plausible-tracker and @plausible-analytics/tracker, as they are, in Chromium.

Both send each event once and never try again. By themselves, what was answered 202 is there, and
nothing twice; behind a proxy that sends again for them all is there, through any fault.
"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page

from tests.clients.again import sending_again
from tests.clients.proxy import ALL, Proxy, passed, refuse
from tests.clients.shop import Shop
from tests.faults.harness import Collector, Row

PROPS = {"plan": "pro", "seats": 3, "trial": True, "ü": "東京"}
REVENUE = {"amount": 15.99, "currency": "USD"}
# What each callback is told of success (the classic one's only that it is over), and what keeps
# each from sending by itself.
SUCCESS: dict[str, Any] = {"classic": None, "modern": {"status": 202}}
QUIET: dict[str, dict[str, Any]] = {"classic": {}, "modern": {"autoCapturePageviews": False}}
Patient = tuple[Collector, Proxy, str]
Stored = Callable[[int], Awaitable[list[Row]]]
Start = Callable[..., Awaitable[Page]]


@pytest.fixture
def opened(
    shop: Shop, visitor: BrowserContext, bundled: Callable[[str], Awaitable[bytes]]
) -> Start:
    """A page of the shop whose tracker has been started: `classic` or `modern`."""

    async def start(which: str, url: str, domain: str = "shop", **settings: Any) -> Page:
        shop.script("/p.js", await bundled("plausible.js"))
        address = shop.page("/pricing", "<script src=/p.js></script>")
        page = await visitor.new_page()
        await page.goto(f"{address}?q=1", referer=f"{shop.url}/before")
        given = [which, url, {"domain": domain, **settings}]
        await page.evaluate("([which, url, settings]) => window[which].start(url, settings)", given)
        return page

    return start


def check_page(row: Row, shop: Shop, path: str = "/pricing") -> dict[str, Any]:
    """The columns that every event has; returns its properties."""
    assert row["url"].startswith(f"{shop.url}{path}")
    assert row["path"] == path
    assert "Chrome" in row["user_agent"]
    assert row["ip"] == "127.0.0.0"
    assert row["timestamp"] == row["received_at"]
    return json.loads(row["properties"] or "{}")


async def test_the_classic_tracker_every_call(
    collector: Collector, opened: Start, shop: Shop, stored: Stored
) -> None:
    page = await opened("classic", collector.url)
    await page.evaluate("classic.page({}, {props: {author: 'Ada'}})")
    await page.evaluate(
        f"classic.page({{url: '{shop.url}/other', referrer: 'https://a.example/'}})"
    )
    await page.evaluate("props => classic.track('Signup', {props})", PROPS)
    await page.evaluate("classic.track('Download')")
    view, other, signup, download = await stored(4)
    url, referrer = f"{shop.url}/pricing?q=1", f"{shop.url}/before"
    assert (view["type"], view["url"], view["referrer"]) == ("page", url, referrer)
    assert check_page(view, shop) == {"author": "Ada", "url": url, "referrer": referrer}
    assert (other["type"], other["referrer"]) == ("page", "https://a.example/")
    check_page(other, shop, "/other")
    assert (signup["type"], signup["event"], check_page(signup, shop)) == ("track", "Signup", PROPS)
    assert (download["event"], check_page(download, shop)) == ("Download", {})
    screen = json.loads(view["context"])["screen"]
    assert screen == {"innerWidth": await page.evaluate("innerWidth")}


async def test_the_classic_tracker_by_itself(
    collector: Collector, opened: Start, shop: Shop, stored: Stored
) -> None:
    page = await opened("classic", collector.url, hashMode=True)
    await page.evaluate("void plausible.enableAutoPageviews()")
    await stored(1)
    await page.evaluate("history.pushState({}, '', '/cart')")
    await stored(2)
    await page.evaluate("location.hash = 'step-2'")
    await stored(4)  # it hears of that twice, as popstate and as hashchange
    link = "document.body.innerHTML = '<a href=\\'http://localhost:9/x\\'>out</a>';"
    await page.evaluate(f"{link} void plausible.enableAutoOutboundTracking()")
    await page.evaluate("document.querySelector('a').click()")
    *views, click = await stored(5)
    assert {row["type"] for row in views} == {"page"}
    assert [row["url"].removeprefix(shop.url) for row in views] == [
        "/pricing?q=1",
        "/cart",
        "/cart#step-2",
        "/cart#step-2",
    ]
    assert (click["type"], click["event"]) == ("track", "Outbound Link: Click")
    assert json.loads(click["properties"]) == {"url": "http://localhost:9/x"}


async def test_the_modern_tracker_every_call(
    collector: Collector, opened: Start, shop: Shop, stored: Stored
) -> None:
    page = await opened(
        "modern", collector.url, autoCapturePageviews=False, customProperties={"team": "a"}
    )
    results = [
        await page.evaluate("modern.track('pageview', {})"),
        await page.evaluate("props => modern.track('Signup', {props, interactive: false})", PROPS),
        await page.evaluate("revenue => modern.track('Purchase', {revenue})", REVENUE),
    ]
    view, signup, purchase = await stored(3)
    assert results == [{"status": 202}] * 3
    url, referrer = f"{shop.url}/pricing?q=1", f"{shop.url}/before"
    assert (view["type"], view["url"], view["referrer"]) == ("page", url, referrer)
    assert check_page(view, shop) == {"team": "a", "url": url, "referrer": referrer}
    assert (signup["event"], check_page(signup, shop)) == ("Signup", {"team": "a", **PROPS})
    assert json.loads(signup["context"])["interactive"] is False
    assert (purchase["event"], purchase["violations"]) == ("Purchase", None)
    assert check_page(purchase, shop) == {"team": "a", "total": 15.99, "currency": "USD"}


async def test_the_modern_tracker_by_itself(
    collector: Collector, opened: Start, shop: Shop, stored: Stored
) -> None:
    page = await opened(
        "modern", collector.url, outboundLinks=True, fileDownloads=True, formSubmissions=True
    )
    await stored(1)
    await page.evaluate("history.pushState({}, '', '/cart')")
    await stored(3)  # the engagement of the first page too
    elements = (
        "<a id=out href=http://localhost:9/x target=_blank>out</a><a id=file href=/a.pdf>file</a>"
        "<form id=form onsubmit='return false'><button id=send>send</button></form>"
        "<button id=tagged class='plausible-event-name=Tagged plausible-event-size=big'>x</button>"
    )
    await page.evaluate("html => { document.body.innerHTML = html }", elements)
    await page.evaluate("document.addEventListener('click', (e) => e.preventDefault())")
    for element in ("out", "file", "tagged"):
        await page.evaluate("id => document.getElementById(id).click()", element)
    await page.evaluate("document.getElementById('form').requestSubmit()")
    rows = [row for row in await stored(7) if row["event"] != "engagement"]  # of the first page
    assert [row["url"].removeprefix(shop.url) for row in rows[:2]] == ["/pricing?q=1", "/cart"]
    found = {row["event"]: json.loads(row["properties"] or "{}") for row in rows[2:]}
    assert found == {
        "Outbound Link: Click": {"url": "http://localhost:9/x"},
        "File Download": {"url": f"{shop.url}/a.pdf"},
        "Tagged": {"size": "big"},
        "Form: Submission": {},
    }


async def test_an_engagement_is_measured_when_the_page_is_left(
    collector: Collector, opened: Start, shop: Shop, stored: Stored
) -> None:
    page = await opened("modern", collector.url)
    await page.evaluate("document.body.style.height = '4000px'")
    frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    await page.evaluate(frame)  # it measures the page, then looks at scrolling
    await page.evaluate("scrollTo(0, 2000)")
    await page.evaluate(frame)
    await page.goto(shop.page("/next", ""))
    rows = await stored(2)
    engagement = next(row for row in rows if row["event"] == "engagement")
    measured = json.loads(engagement["properties"])
    assert 50 < measured["scroll_depth"] <= 100
    assert measured["engaged_ms"] >= 0
    assert engagement["path"] == "/pricing"


async def test_what_was_answered_202_is_there_once_and_nothing_is_sent_twice(
    proxy: Proxy, opened: Start
) -> None:
    proxy.order(refuse(429, 1), Proxy.forward, refuse(503, 1))
    page = await opened("modern", proxy.url, autoCapturePageviews=False)
    told = [await page.evaluate("n => modern.track(`Event ${n}`)", n) for n in range(5)]
    assert [t["status"] for t in told] == [429, 202, 503, 202, 202]
    assert proxy.statuses == [429, 202, 503, 202, 202]
    stored = [row["event"] for row in proxy.collector.rows()]
    assert stored == ["Event 1", "Event 3", "Event 4"]


@pytest.mark.parametrize("which", ["classic", "modern"])
@pytest.mark.parametrize("fault", [f for f in ALL if f != "killed"])
async def test_behind_a_proxy_that_sends_again_every_event_is_there_once_and_told(
    patient: Patient, opened: Start, which: str, fault: str
) -> None:
    collector, between, url = patient
    between.order(passed, *ALL[fault], passed, *ALL[fault])
    page = await opened(which, url, **QUIET[which])
    told = [
        await page.evaluate("([w, n]) => window[w].track(`Event ${n}`)", [which, n])
        for n in range(5)
    ]
    assert told == [SUCCESS[which]] * 5
    assert between.done
    assert [row["event"] for row in collector.rows()] == [f"Event {n}" for n in range(5)]


@pytest.mark.parametrize("which", ["classic", "modern"])
async def test_behind_a_proxy_that_sends_again_a_killed_collector_loses_nothing(
    tmp_path: Path, opened: Start, which: str
) -> None:
    """Killed and started again in the middle, with events on their way."""
    async with (
        Collector(tmp_path, clients__proxy_ids="true") as collector,
        sending_again(tmp_path, collector.url) as url,
    ):
        page = await opened(which, url, **QUIET[which])
        calls = "([w, n]) => Promise.all([...Array(n).keys()].map((i) => window[w].track(`E${i}`)))"
        told = asyncio.create_task(page.evaluate(calls, [which, 60]))
        while len(collector.rows()) < 5:
            await asyncio.sleep(0.01)
        collector.kill(signal.SIGKILL)
        await collector.wait()
        await collector.start()
        assert await told == [SUCCESS[which]] * 60
        assert sorted(row["event"] for row in collector.rows()) == sorted(
            f"E{n}" for n in range(60)
        )


async def test_a_site_that_is_not_known_is_refused_and_told(tmp_path: Path, opened: Start) -> None:
    sites = {"site__0__name": "blog", "site__1__name": "shop"}
    async with Collector(tmp_path, **sites) as two, Proxy(two) as between:
        page = await opened("modern", between.url, "other", autoCapturePageviews=False)
        assert await page.evaluate("modern.track('E')") == {"status": 401}
        named = await opened("modern", between.url, "x.example, shop", autoCapturePageviews=False)
        assert await named.evaluate("modern.track('E')") == {"status": 202}
        assert between.statuses == [401, 202]
        assert [row["site"] for row in two.rows()] == ["shop"]


async def test_an_invalid_event_is_refused_once_and_told(proxy: Proxy, opened: Start) -> None:
    page = await opened("modern", proxy.url, autoCapturePageviews=False)
    assert await page.evaluate("modern.track('E', {url: 'data:text/html,x'})") == {"status": 400}
    assert proxy.statuses == [400]
    assert proxy.collector.rows() == []
    (reject,) = proxy.collector.rows("SELECT * FROM rejected")
    assert reject["message"] == "expected an address - at `$.u`"


async def test_on_a_site_without_cookies_a_visitor_is_known_for_the_day(
    tmp_path: Path, opened: Start
) -> None:
    site = {"site__0__name": "shop", "site__0__cookieless": "true"}
    async with Collector(tmp_path, **site) as private:
        for _ in range(2):
            page = await opened("modern", private.url, autoCapturePageviews=False)
            assert await page.evaluate("modern.track('E')") == {"status": 202}
        first, second = private.rows()
        assert first["anonymous_id"] is not None
        assert first["anonymous_id"] == second["anonymous_id"]
        assert (first["ip"], second["ip"]) == (None, None)
