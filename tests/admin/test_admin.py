"""The admin listener: nothing without the token, nothing on the public listener."""

import asyncio
import json

import pytest

from collector.admin import auth
from collector.admin.openapi import ENDPOINTS, document
from collector.admin.routes import ASSETS

TOKEN = "a-token-of-the-tests"


@pytest.fixture
async def admin(idle):
    return await idle.start(**{"admin.token": TOKEN})


async def ask(collector, path, method="GET", **options):
    url = collector.admin_url + path
    async with collector.session.request(method, url, **options) as answer:
        return answer.status, await answer.text()


def bearer(token):
    return {"headers": {"Authorization": f"Bearer {token}"}}


def cookie(token):
    return {"headers": {"Cookie": f"{auth.COOKIE}={token}"}}


async def test_the_token_opens_it_as_bearer_and_a_session_as_cookie(admin):
    for way in (bearer(TOKEN), cookie(auth.Sessions(TOKEN, 1).begin())):
        assert (await ask(admin, "/metrics", **way))[0] == 200
        assert (await ask(admin, "/", **way))[0] == 200


@pytest.mark.parametrize(
    "way",
    [
        {},
        bearer(""),
        bearer("wrong"),
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        bearer("té"),
        cookie("wrong"),
        cookie(TOKEN),
        cookie("9999999999.x.y"),
        cookie(auth.Sessions("another-token-of-tests", 1).begin()),
        cookie(auth.Sessions(TOKEN, -1).begin()),
        {"headers": {"Authorization": f"Basic {TOKEN}"}},
        {"headers": {"Authorization": TOKEN}},
        {"params": {"token": TOKEN}},
    ],
    ids=[f"way-{number}" for number in range(14)],
)
async def test_anything_else_does_not(admin, way, quiet):
    for path in ("/metrics", "/", "/nothing", *ENDPOINTS):
        status, text = await ask(admin, path, **way)
        assert status == 401, path
        assert "collector_" not in text
        assert TOKEN not in text
    quiet()


async def test_a_login_gives_a_cookie_that_scripts_cannot_read(admin):
    async with admin.session.post(admin.admin_url + "/login", json={"token": TOKEN}) as answer:
        assert answer.status == 204
        given = answer.headers["Set-Cookie"]

    assert TOKEN not in given
    for word in ("HttpOnly", "SameSite=Strict"):
        assert word in given
    assert "Path" not in given  # so that it holds below the prefix of a proxy, and there only
    session = cookie(given.partition(";")[0].partition("=")[2])
    assert (await ask(admin, "/api/sites", **session))[0] == 200
    assert (await ask(admin, "/logout", "POST", **session))[0] == 204
    assert (await ask(admin, "/api/sites", **session))[0] == 401


@pytest.mark.parametrize(
    "options",
    [
        {"data": b""},
        {"data": b"null"},
        {"data": b"[]"},
        {"data": b'{"token":null}'},
        {"data": b'{"token":"\xff"}'},
        {"data": b'{"token":"\\ud800"}'},
        {"data": b'{"token":"' + b"x" * 3000 + b'"}'},
        {"data": b"[" * 4000},
        {"data": b"{}", "headers": {"Content-Type": "application/json; charset=nonsense"}},
        {"json": {"token": "wrong"}},
        {"json": {"token": TOKEN.upper()}},
    ],
    ids=lambda options: str(options)[:40],
)
async def test_a_wrong_login_is_401_whatever_it_is(admin, options, quiet):
    status, text = await ask(admin, "/login", "POST", **options)

    assert (status, json.loads(text)["code"]) == (401, "unauthorized")
    quiet()


async def test_nothing_of_it_is_on_the_public_listener(admin):
    for path in ("/", "/metrics", "/login", "/logout", *ASSETS, "/api/", "/admin", *ENDPOINTS):
        status, _ = await admin.get(path, **bearer(TOKEN)["headers"])
        assert status == 404


async def test_metrics_count_what_happened(admin, track):
    await admin.post("/v1/batch", {"batch": [track("a"), track("a"), {"type": "track"}]})
    await admin.post("/v1/track", b"{}", auth=False)

    _, text = await ask(admin, "/metrics", **bearer(TOKEN))

    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    for name, value in (
        ("received_requests_total", 2),
        ("accepted_events_total", 2),
        ("stored_events_total", 1),
        ("duplicate_events_total", 1),
        ("rejected_events_total", 1),
        ("refused_requests_total", 1),
        ("log_last_seq", 1),
        ("store_available", 1),
        ("buffered_events", 0),
    ):
        assert float(values[f"collector_{name}"]) == value, name
    assert float(values["collector_commit_seconds_count"]) >= 1


async def test_ten_wrong_tokens_a_minute_then_none_is_looked_at(admin):
    for _ in range(10):
        assert (await ask(admin, "/login", "POST", json={"token": "wrong"}))[0] == 401

    async with admin.session.post(admin.admin_url + "/login", json={"token": TOKEN}) as answer:
        assert answer.status == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 61


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8081", 421),
        ("localhost.evil.example", 421),
        ("", 421),
        ("localhost:8081", 200),
        ("[::1]:8081", 200),
        ("10.1.2.3", 200),
        ("stats.shop.example", 200),
    ],
)
async def test_a_strangers_name_for_this_machine_is_refused(idle, host, status):
    await idle.start(**{"admin.token": TOKEN, "admin.hosts": ["stats.shop.example"]})
    session = cookie(auth.Sessions(TOKEN, 1).begin())["headers"]

    assert (await ask(idle, "/api/sites", headers={**session, "Host": host}))[0] == status


async def test_what_another_sites_page_sends_is_refused(admin):
    session = cookie(auth.Sessions(TOKEN, 1).begin())["headers"]
    for site in ("cross-site", "same-site"):
        headers = {**session, "Sec-Fetch-Site": site}
        assert (await ask(admin, "/logout", "POST", headers=headers))[0] == 403
    assert (await ask(admin, "/api/sites", headers=session))[0] == 200


async def test_what_is_done_by_a_session_is_done_in_json(admin):
    """The page of another origin cannot send that; over plain HTTP nothing says who sends it."""
    session = cookie(auth.Sessions(TOKEN, 1).begin())["headers"]
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        headers = {**session, "Content-Type": kind}
        status, _ = await ask(admin, "/api/forget", "POST", data=b'{"user":"x"}', headers=headers)
        assert status == 403, kind
    status, _ = await ask(admin, "/api/forget", "POST", json={"user": "x"}, headers=session)
    assert status == 200


async def test_the_system_answers_without_secrets(admin, track):
    await admin.post("/v1/track", track("a"))

    _, text = await ask(admin, "/api/system", **bearer(TOKEN))

    said = json.loads(text)
    assert said["status"]["can store"] == "yes"
    assert said["counts"]["stored_events"] == 1
    assert said["settings"]["admin.token"] == said["settings"]["site[0].key"] == "(set)"
    assert TOKEN not in text
    assert admin.key not in text


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("from=2026-11-24&to=2026-11-23", "from"),
        ("zone=Europe/Nowhere", "zone"),
        ("zone=../../etc/passwd", "zone"),
        ("by=ip", "by"),
        ("by=path&limit=0", "limit"),
        ("by=path&limit=\u0663", "limit"),
    ],
)
async def test_a_wrong_parameter_is_named(admin, query, named, quiet):
    status, text = await ask(admin, f"/api/top?{query}", **bearer(TOKEN))

    assert status == 400
    assert json.loads(text)["message"].startswith(f"{named}:")
    quiet()


_OWN_WAYS = ("/api/live", "/api/revenue", "/api/access")


async def test_all_of_the_api_is_described_and_nothing_else(admin):
    there = {(route.path, route.method.lower()) for route in admin.app._api()}
    described = {(path, m) for path, methods in document()["paths"].items() for m in methods}
    assert described == there


async def test_the_api_is_described_and_answers(admin):
    _, text = await ask(admin, "/api/openapi.json", **bearer(TOKEN))
    described = json.loads(text)["paths"]
    query = "by=path&event=x&step=path:/&step=event:x"
    for path in described:
        if "get" in described[path] and "{" not in path and path not in _OWN_WAYS:
            assert (await ask(admin, f"{path}?{query}", **bearer(TOKEN)))[0] == 200, path
    for path in ("/api/people/0123456789abcdef", "/api/people/x"):
        assert (await ask(admin, path, **bearer(TOKEN)))[0] == 404


async def test_its_answers_are_not_kept_and_not_framed(admin):
    async with admin.session.get(admin.admin_url + "/") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "junk", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nX\0: a\r\n\r\n", b"\x16\x03\x01\0\r\n\r\n"]
)
async def test_junk_to_its_port_leaves_no_traceback(admin, junk, quiet):
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.app.admin_port)
    writer.write(junk)

    assert (await reader.readline()).split()[1] == b"400"

    writer.close()
    quiet()


def test_a_token_is_made_once_and_kept_for_the_owner_alone(tmp_path):
    token = auth.load_or_make_token(tmp_path, "")

    assert len(token) >= 32
    assert auth.token_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert auth.load_or_make_token(tmp_path, "") == token
    assert auth.load_or_make_token(tmp_path, "from-the-settings") == "from-the-settings"


@pytest.mark.parametrize("kept", ["", "short\n"])
def test_a_broken_token_file_is_made_anew(tmp_path, kept):
    auth.token_file(tmp_path).write_text(kept)

    token = auth.load_or_make_token(tmp_path, "")

    assert len(token) >= 32
    assert auth.token_file(tmp_path).read_text() == token + "\n"
