"""What Snowplow's trackers are answered by the real listener, beside their events' rows."""

import json

import pytest
import yarl

TP2 = "/com.snowplowanalytics.snowplow/tp2"
BODY = {"schema": "payload_data", "data": [{"e": "pv", "duid": "d", "ip": "203.0.113.7"}]}


@pytest.fixture
async def sent(collector):
    async def send(method, path, body=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = yarl.URL(collector.url + path, encoded=True)
        data = None if body is None else json.dumps(body)
        return await collector.session.request(
            method, url, data=data, headers=named, allow_redirects=False
        )

    return send


async def test_an_anonymous_visitors_cookie_is_expired(collector, sent):
    cookie = {"Cookie": "_px_vid=d.1.x"}
    answer = await sent("POST", TP2, BODY, SP_Anonymous="*", **cookie)
    assert (answer.status, await answer.text()) == (200, "ok")
    assert answer.headers["Set-Cookie"].startswith("_px_vid=; Max-Age=0;")
    image = await sent("GET", "/i?e=pv&duid=d", SP_Anonymous="*", **cookie)
    assert image.headers["Set-Cookie"].startswith("_px_vid=; Max-Age=0;")
    for row in collector.rows():
        assert (row["ip"], row["anonymous_id"], row["user_id"]) == (None, None, None)
    assert len(collector.rows()) == 2


async def test_others_cookies_are_left_alone(sent):
    answer = await sent("POST", TP2, BODY, Cookie="_px_vid=d.1.x")
    assert "Set-Cookie" not in answer.headers


async def test_a_page_elsewhere_may_send_with_credentials_and_the_anonymous_header(sent):
    asked = {"Access-Control-Request-Headers": "content-type,sp-anonymous"}
    allowed = await sent("OPTIONS", TP2, Origin="https://shop.example", **asked)
    assert "sp-anonymous" in allowed.headers["Access-Control-Allow-Headers"]
    for answer in (allowed, await sent("POST", TP2, BODY, Origin="https://shop.example")):
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"


async def test_a_click_is_stored_before_the_visitor_is_sent_on(idle, hot_lane):
    await idle.start(**{"http.hot_lane": hot_lane, "http.redirect_domains": ["partner.example"]})
    query = yarl.URL.build(query={"u": "https://partner.example/a?b=1", "uid": "ada"})
    url = yarl.URL(f"{idle.url}/r/tp2{query}", encoded=True)
    async with idle.session.get(url, allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"] == "https://partner.example/a?b=1"
    (row,) = idle.rows()
    assert (row["event"], row["user_id"]) == ("uri_redirect", "ada")
    evil = yarl.URL(f"{idle.url}/r/tp2?u=https://evil.example/", encoded=True)
    async with idle.session.get(evil, allow_redirects=False) as answer:
        assert answer.status == 400
        assert "Location" not in answer.headers


async def test_no_redirect_unless_domains_are_named(sent):
    assert (await sent("GET", "/r/tp2?u=https://partner.example/")).status == 404
