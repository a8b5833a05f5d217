"""The admin listener: nothing without the token, nothing on the public listener."""

import asyncio
import json

import pytest
from aiohttp import web

from collector.admin import auth
from collector.admin.routes import make_app

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


async def test_the_token_opens_it_as_bearer_and_as_cookie(admin):
    for way in (bearer(TOKEN), cookie(TOKEN)):
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
        {"headers": {"Authorization": f"Basic {TOKEN}"}},
        {"headers": {"Authorization": TOKEN}},
        {"params": {"token": TOKEN}},
    ],
    ids=str,
)
async def test_anything_else_does_not(admin, way, quiet):
    for path in ("/metrics", "/", "/nothing"):
        status, text = await ask(admin, path, **way)
        assert status == 401
        assert "collector_" not in text
        assert TOKEN not in text
    quiet()


async def test_a_login_gives_a_cookie_that_scripts_cannot_read(admin):
    async with admin.session.post(admin.admin_url + "/login", json={"token": TOKEN}) as answer:
        assert answer.status == 204
        given = answer.headers["Set-Cookie"]

    assert given.startswith(f"{auth.COOKIE}={TOKEN};")
    for word in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert word in given
    assert (await ask(admin, "/metrics", **cookie(TOKEN)))[0] == 200


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
    for path in ("/", "/metrics", "/login", "/admin.js", "/api/", "/admin"):
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


async def test_the_status_page_and_its_json_say_the_same(admin, track):
    await admin.post("/v1/track", track("a"))

    _, page = await ask(admin, "/", **bearer(TOKEN))
    options = bearer(TOKEN)
    options["headers"]["Accept"] = "application/json"
    _, text = await ask(admin, "/", **options)

    status = json.loads(text)
    assert status["can store"] == "yes"
    assert status["stored since start"] == "1"
    for name in status:
        assert name in page


async def test_the_page_escapes_what_it_shows(session):
    app = make_app(TOKEN, lambda: b"", lambda: {"<i>name</i>": "<script>alert(1)</script>&'"})
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with session.get(url, **bearer(TOKEN)) as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    await runner.cleanup()

    assert "<script>alert" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in policy


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
