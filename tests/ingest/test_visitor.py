"""The visitor's cookie: who a batch belongs to, and what a browser is asked to keep."""

import re
import time

import pytest

from collector.ingest import visitor
from collector.ingest.visitor import registrable

COOKIE = "_px_vid"
PAGE = "https://www.shop.example"
SETTINGS = {
    "http.public_url": "https://collect.shop.example",
    "site": [{"name": "shop", "key": "wk_of_the_tests", "origins": [PAGE]}],
}


class Browser:
    """Posts batches as the pixel does, and keeps the cookie as a browser would."""

    def __init__(self, collector, origin=PAGE):
        self._collector = collector
        self.origin = origin
        self.cookie = None
        self.line = None

    async def send(self, *ids, path="/c", context=None, **batch):
        events = [
            {"type": "track", "event": "E", "anonymousId": i}
            | ({"context": context} if context else {})
            for i in ids
        ]
        headers = {"Origin": self.origin} if self.origin else {}
        if self.cookie:
            headers["Cookie"] = f"theme=dark; {self.cookie}; cart=12"
        body = {"writeKey": self._collector.key, "batch": events} | batch
        async with self._collector.session.post(
            self._collector.url + path, json=body, headers=headers
        ) as answer:
            assert answer.status == 200
            self.line = answer.headers.get("Set-Cookie")
            if self.line:
                value = self.line.partition(";")[0]
                self.cookie = None if "Max-Age=0" in self.line else value
            return await answer.json()


@pytest.fixture
async def shop(idle, hot_lane):
    return await idle.start(**SETTINGS, **{"http.hot_lane": hot_lane})


@pytest.fixture
async def browser(shop):
    return Browser(shop)


def stored(collector):
    return [row["anonymous_id"] for row in collector.rows()]


async def test_the_first_batch_sets_the_cookie_for_a_year_on_the_registrable_domain(browser):
    assert await browser.send("visitor-1") == {"success": True}
    assert re.fullmatch(
        rf"{COOKIE}=visitor-1\.\d+\.[\w-]{{20}}; Max-Age=31536000; Path=/; HttpOnly; "
        r"SameSite=Lax; Secure; Domain=shop\.example",
        browser.line,
    )


async def test_a_known_visitor_is_not_asked_again(browser):
    await browser.send("visitor-1")
    await browser.send("visitor-1")
    assert browser.line is None
    await browser.send("visitor-1")  # now from a remembered head
    assert browser.line is None


async def test_the_id_in_the_payload_wins_and_moves_the_cookie(browser, shop):
    await browser.send("visitor-1")
    assert await browser.send("visitor-2") == {"success": True}
    assert browser.cookie.startswith(f"{COOKIE}=visitor-2.")
    assert stored(shop) == ["visitor-1", "visitor-2"]


async def test_a_fresh_id_gives_way_to_the_cookies_and_the_page_is_told(browser, shop):
    await browser.send("visitor-1")
    said = await browser.send("made-just-now", "made-just-now", fresh=True)
    assert said == {"success": True, "anonymousId": "visitor-1"}
    assert stored(shop) == ["visitor-1"] * 3
    assert browser.cookie.startswith(f"{COOKIE}=visitor-1.")


async def test_a_fresh_id_stays_where_there_is_no_cookie(browser, shop):
    assert await browser.send("made-just-now", fresh=True) == {"success": True}
    assert stored(shop) == ["made-just-now"]
    assert browser.cookie.startswith(f"{COOKIE}=made-just-now.")


async def test_a_fresh_batch_keeps_its_bad_events_named(browser, shop):
    await browser.send("visitor-1")
    bad = {"type": "track", "anonymousId": "made-just-now"}
    good = bad | {"event": "E"}
    said = await browser.send(batch=[good, bad], fresh=True)
    assert said["anonymousId"] == "visitor-1"
    assert [r["index"] for r in said["rejected"]] == [1]


async def test_an_alias_of_the_fresh_id_follows(browser, shop):
    await browser.send("visitor-1")
    alias = {"type": "alias", "userId": "u", "previousId": "new", "anonymousId": "new"}
    await browser.send(batch=[alias], fresh=True)
    assert shop.rows()[-1]["previous_id"] == "visitor-1"


async def test_reset_renews_the_cookie_even_for_a_fresh_id(browser, shop):
    await browser.send("visitor-1")
    assert await browser.send("visitor-2", fresh=True, reset=True) == {"success": True}
    assert browser.cookie.startswith(f"{COOKIE}=visitor-2.")
    assert stored(shop) == ["visitor-1", "visitor-2"]


async def test_reset_without_events_takes_the_cookie_away(browser):
    await browser.send("visitor-1")
    assert await browser.send(reset=True) == {"success": True}
    assert "Max-Age=0" in browser.line


async def test_an_empty_batch_leaves_the_cookie(browser):
    await browser.send("visitor-1")
    await browser.send()
    assert browser.line is None


@pytest.mark.parametrize("mark", ["yes", 1, {"a": 1}, None, False])
async def test_only_true_marks_a_batch(browser, shop, mark):
    await browser.send("visitor-1")
    await browser.send("visitor-2", fresh=mark, reset=mark)
    assert stored(shop) == ["visitor-1", "visitor-2"]


async def test_a_cookie_is_renewed_after_a_week_and_worth_nothing_after_its_age(
    browser, shop, monkeypatch
):
    await browser.send("visitor-1")
    old = browser.cookie
    now = time.time()
    monkeypatch.setattr(visitor.time, "time", lambda: now + 9 * 86_400)
    await browser.send("visitor-1")
    assert browser.cookie != old
    monkeypatch.setattr(visitor.time, "time", lambda: now + 400 * 86_400)
    assert await browser.send("made-just-now", fresh=True) == {"success": True}


@pytest.mark.parametrize(
    "forged",
    [
        "victim-id",
        "victim-id.1.AAAAAAAAAAAAAAAAAAAA",
        "victim-id.99999999999999999999.x",
        "victim-id.-1.x",
        "victim-id.²0000.x",
        "..",
        "",
        "%00",
        "a" * 3000,
        'victim";Domain=evil.example',
        "victim-id.20000." + "é" * 20,
    ],
)
async def test_a_forged_cookie_is_as_good_as_none(browser, shop, forged):
    browser.cookie = f"{COOKIE}={forged}"
    assert await browser.send("made-just-now", fresh=True) == {"success": True}
    assert stored(shop) == ["made-just-now"]
    assert browser.cookie.startswith(f"{COOKIE}=made-just-now.")


async def test_a_signature_is_worth_nothing_for_another_id_or_day(browser, shop):
    await browser.send("visitor-1")
    id_, day, mac = browser.cookie.partition("=")[2].split(".")
    for said in (f"visitor-2.{day}.{mac}", f"{id_}.{int(day) - 1}.{mac}", f"{id_}.{day}.{mac}x"):
        browser.cookie = f"{COOKIE}={said}"
        assert await browser.send("made-just-now", fresh=True) == {"success": True}


async def test_two_cookies_that_disagree_are_as_good_as_none(browser, shop):
    other = Browser(shop)
    await other.send("attacker-1")
    await browser.send("visitor-1")
    tossed = f"{other.cookie}; {browser.cookie}"
    browser.cookie = tossed
    assert await browser.send("made-just-now", fresh=True) == {"success": True}
    assert stored(shop)[-1] == "made-just-now"


async def test_the_cookies_of_another_collector_are_not_believed(
    browser, shop, tmp_path, make_collector
):
    elsewhere = await make_collector(tmp_path / "other").start(**SETTINGS)
    other = Browser(elsewhere)
    await other.send("attacker-1")
    browser.cookie = other.cookie
    assert await browser.send("made-just-now", fresh=True) == {"success": True}


async def test_cookies_outlive_a_restart(browser, shop):
    await browser.send("visitor-1")
    await shop.restart()
    assert (await browser.send("new", fresh=True))["anonymousId"] == "visitor-1"


@pytest.mark.parametrize("id_", ["", "a b", "x;Domain=evil.example", "é", "a" * 101, "a\r\nB: c"])
async def test_ids_that_are_no_cookie_value_get_none(browser, shop, id_):
    await browser.send(id_)
    assert browser.line is None


async def test_numbers_serve_as_ids(browser, shop):
    await browser.send(42)
    assert browser.cookie.startswith(f"{COOKIE}=42.")


async def test_a_page_that_is_not_listed_is_not_told(idle):
    settings = SETTINGS | {"site": [{"name": "shop", "key": idle.key}]}
    browser = Browser(await idle.start(**settings))
    await browser.send("visitor-1")
    browser.origin = "https://evil.example"
    assert await browser.send("new", fresh=True) == {"success": True}
    browser.origin = "https://blog.shop.example"
    assert (await browser.send("new", fresh=True))["anonymousId"] == "visitor-1"


async def test_other_paths_have_no_part_in_it(browser, shop):
    await browser.send("visitor-1")
    assert await browser.send("visitor-2", path="/v1/batch", fresh=True) == {"success": True}
    assert browser.line is None
    assert stored(shop) == ["visitor-1", "visitor-2"]


async def test_without_a_name_there_is_no_cookie(idle):
    browser = Browser(await idle.start(**SETTINGS, **{"privacy.cookie": ""}))
    await browser.send("visitor-1")
    assert browser.line is None


async def test_a_visitor_who_denies_analytics_loses_the_cookie(browser, shop):
    await browser.send("visitor-1")
    await browser.send("visitor-1", context={"consent": {"analytics": False}})
    assert "Max-Age=0" in browser.line
    assert stored(shop) == ["visitor-1"]


async def test_plain_http_has_a_cookie_of_the_host_alone(collector):
    browser = Browser(collector, origin=collector.url)
    await browser.send("visitor-1")
    assert "Domain" not in browser.line
    assert "Secure" not in browser.line


async def test_one_collector_under_several_domains_has_a_cookie_for_each(shop):
    browser = Browser(shop, "https://www.other.example")
    await shop.restart()
    settings = SETTINGS | {"site": [{"name": "shop", "key": shop.key}]}
    await shop.stop()
    await shop.start(**settings)
    async with shop.session.post(
        f"{shop.url}/c",
        json={"writeKey": shop.key, "batch": [{"type": "page", "anonymousId": "v"}]},
        headers={"Host": "c.other.example", "Origin": browser.origin},
    ) as answer:
        assert answer.headers["Set-Cookie"].endswith("; Domain=other.example")


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("collect.shop.example", "shop.example"),
        ("a.b.shop.co.uk", "shop.co.uk"),
        ("me.github.io", "me.github.io"),
        ("github.io", None),
        ("co.uk", None),
        ("localhost", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("", None),
        ("..", None),
    ],
)
def test_the_registrable_domain(host, domain):
    assert registrable(host) == domain


async def test_visitors_whose_heads_are_alike_keep_their_own_cookies(shop):
    """Behind a proxy they share a connection, and the head is remembered but for the cookie."""
    one, two = Browser(shop), Browser(shop)
    await one.send("visitor-1")
    await two.send("visitor-2")
    for _ in range(3):
        assert (await one.send("new", fresh=True))["anonymousId"] == "visitor-1"
        assert (await two.send("new", fresh=True))["anonymousId"] == "visitor-2"
    assert stored(shop)[2:] == ["visitor-1", "visitor-2"] * 3
