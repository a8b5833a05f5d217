"""A site without cookies: an id for the day, no address, nothing of what the script made up."""

import msgspec
import pytest

from collector import clock
from collector.ingest import cookieless
from collector.ingest.cookieless import daily_id
from collector.ingest.sites import Site
from collector.wire.message import Call, Item

DAY_MS = 86_400_000
SALT = b"s" * 32
PAGE = {"Origin": "https://shop.example", "User-Agent": "Firefox"}


@pytest.fixture
async def shop(idle, hot_lane):
    site = [{"name": "shop", "key": idle.key, "cookieless": True}]
    return await idle.start(**{"site": site, "http.hot_lane": hot_lane, "privacy.ip": "full"})


async def send(collector, event=None, headers=PAGE, path="/c"):
    event = {"type": "page", "anonymousId": "made-up"} | (event or {})
    body = {"writeKey": collector.key, "batch": [event]}
    async with collector.session.post(collector.url + path, json=body, headers=headers) as answer:
        assert answer.status == 200
        return answer.headers.get("Set-Cookie"), await answer.json()


def ids(collector):
    return [row["anonymous_id"] for row in collector.rows()]


def seen_from(address):
    return PAGE | {"X-Forwarded-For": address}


async def test_the_same_visitor_has_the_same_id_all_day_and_others_have_others(shop):
    for address in ("1.2.3.4", "1.2.3.4", "1.2.3.5"):
        await send(shop, headers=seen_from(address))
    await send(shop, headers=seen_from("1.2.3.4") | {"User-Agent": "Chrome"})
    first, again, other, browser = ids(shop)
    assert first == again
    assert len({first, other, browser, "made-up"}) == 4


async def test_no_address_is_stored_and_no_cookie_set(shop):
    cookie, answer = await send(shop, {"context": {"ip": "9.9.9.9"}}, seen_from("1.2.3.4"))
    assert (cookie, answer) == (None, {"success": True})
    (row,) = shop.rows()
    assert row["ip"] is None
    assert "9.9.9.9" not in str(row)
    assert "1.2.3.4" not in str(row)


async def test_of_a_refused_event_the_reason_alone_is_kept(shop):
    bad = {"type": "page", "userId": {}, "anonymousId": "made-up", "context": {"ip": "9.9.9.9"}}
    body = {"writeKey": shop.key, "batch": [bad]}
    assert (await shop.post("/c", body, auth=False, **{"X-Forwarded-For": "1.2.3.4"}))[0] == 400
    (row,) = shop.rejected()
    assert row["body"] == b""
    assert "userId" in row["message"]


async def test_a_cookie_from_before_goes(shop):
    cookie, _ = await send(shop, headers=PAGE | {"Cookie": "_px_vid=visitor-1.20000.xyz"})
    assert "Max-Age=0" in cookie


async def test_the_id_changes_with_the_day_and_the_salt_of_yesterday_is_gone(shop, monkeypatch):
    await send(shop)
    (before,) = shop.rows("SELECT value FROM meta WHERE name = 'visitor_salt'")
    tomorrow = clock.now_ms() + DAY_MS
    monkeypatch.setattr(clock, "now_ms", lambda: tomorrow)
    await send(shop)
    assert len(set(ids(shop))) == 2
    await shop.app._salts.keep()
    (after,) = shop.rows("SELECT value FROM meta WHERE name = 'visitor_salt'")
    salt = before["value"].partition(":")[2]
    assert salt not in after["value"]
    await shop.stop()
    for file in shop.data.iterdir():
        assert salt.encode() not in file.read_bytes()


async def test_a_restart_on_the_same_day_keeps_the_id(shop):
    await send(shop)
    await shop.restart()
    await send(shop)
    assert len(set(ids(shop))) == 1


async def test_a_site_that_keeps_cookies_again_keeps_no_salt(shop):
    await shop.stop()
    await shop.start(**shop.settings | {"site": [{"name": "shop", "key": shop.key}]})
    assert shop.rows("SELECT * FROM meta WHERE name = 'visitor_salt'") == []


async def test_a_server_names_the_address_of_its_visitor_or_there_is_no_visitor(shop):
    server = {"User-Agent": "python-requests/2"}
    for context in ({"ip": "1.2.3.4", "userAgent": "Firefox"}, {"ip": "1.2.3.4"}, {}, {"ip": 5}):
        await send(shop, {"context": context}, server, "/v1/batch")
    await send(shop, headers=seen_from("1.2.3.4"))
    named, other, none, odd, page = ids(shop)
    assert named == page
    assert other not in (None, named)
    assert (none, odd) == (None, None)


async def test_who_names_a_user_is_not_tied_to_those_behind_the_same_address(shop):
    await send(shop)
    await send(shop, {"type": "identify", "userId": "u"})
    await send(shop, {"type": "alias", "userId": "u", "previousId": "made-up"})
    await send(shop, {"type": "alias", "userId": "u", "previousId": "user-before"})
    assert ids(shop)[1:] == [None, None, None]
    assert [row["user_id"] for row in shop.rows()] == [None, "u", "u", "u"]
    assert [row["previous_id"] for row in shop.rows()] == [None, None, None, "user-before"]


async def test_the_gif_is_held_to_the_same(shop):
    await shop.get(f"/c.gif?k={shop.key}&a=made-up", **PAGE)
    await send(shop)
    assert len(set(ids(shop)) - {"made-up"}) == 1


async def test_the_sites_beside_it_keep_their_visitors(idle):
    sites = [
        {"name": "a", "key": "wk_of_site_a", "cookieless": True},
        {"name": "b", "key": "wk_of_site_b"},
    ]
    await idle.start(site=sites)
    for key in ("wk_of_site_a", "wk_of_site_b"):
        idle.key = key
        await send(idle)
    assert ids(idle)[0] != "made-up" == ids(idle)[1]


def test_the_id_says_neither_address_nor_site():
    assert daily_id(SALT, "a", "1.2.3.4", "F") != daily_id(SALT, "b", "1.2.3.4", "F")
    assert daily_id(SALT, "a", "1.2.3.4", "F") != daily_id(b"t" * 32, "a", "1.2.3.4", "F")
    assert len(daily_id(SALT, "a", "\ud800", None)) == 32


@pytest.mark.parametrize("context", [b"5", b"[]", b'{"ip":{}}', b"null", b'{"ip":"\xff"}'])
def test_a_context_of_any_shape_names_nobody(context):
    call = Call(None, [Item(anonymous_id="made-up", context=msgspec.Raw(context))], [])
    cookieless.rename(call, Site("shop", (), frozenset()), SALT, "1.2.3.4", None, own=False)
    assert call.items[0].anonymous_id is None
