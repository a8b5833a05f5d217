"""The doctor before a real collector, behind a web server with one mistake at a time."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner

from collector import snippet
from collector.app import App
from collector.cli import main
from collector.doctor.examine import Finding, Options, examine
from collector.settings import load
from collector.store.database import stored_address
from tests.certificates import make
from tests.faults.harness import free_port

HOP = {"content-encoding", "content-length", "transfer-encoding", "connection", "host"}
KEY = "wk_shop_0123456789"


class World:
    """A collector, and a shop whose web server passes /m/ on to it. Tests bend what it does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.body: Callable[[World], str] = lambda world: world.snippet()
        self.page_headers: dict[str, str] = {}
        self.passes = True
        self.forwards = "replaced"
        self.drops: set[str] = set()
        self.sets: dict[str, str] = {}
        self.largest = 1_000_000
        self.identity = False  # asks the collector for the plain file
        self.settings = ""
        self.base = ""
        self.host = ""

    def snippet(self, key: str = KEY, script: str = "", name: str = "pixel") -> str:
        return snippet.render(name, script or f"{self.base}/m/c.js", key)

    async def page(self, request: web.Request) -> web.Response:
        html = f"<!doctype html><head>{self.body(self)}</head><h1>Shop</h1>"
        return web.Response(text=html, content_type="text/html", headers=self.page_headers)

    async def proxy(self, request: web.Request) -> web.Response:
        if not self.passes:
            return web.Response(status=404, text="no such page")
        body = await request.read()
        if len(body) > self.largest:
            return web.Response(status=413)
        headers = {n: v for n, v in request.headers.items() if n.lower() not in HOP}
        if self.identity:
            headers["Accept-Encoding"] = "identity"
        if self.forwards == "replaced":
            headers["X-Forwarded-For"] = "198.51.100.9"
        elif self.forwards == "removed":
            headers.pop("X-Forwarded-For", None)
        url = f"http://127.0.0.1:{self.app.public_port}/{request.match_info['rest']}"
        async with self.session.request(request.method, url, data=body, headers=headers) as answer:
            kept = [
                (n, v)
                for n, v in answer.headers.items()
                if n.lower() not in HOP and n not in self.drops and n not in self.sets
            ]
            reply = web.Response(status=answer.status, body=await answer.read())
            for name, value in [*kept, *self.sets.items()]:
                if name in reply.headers and name != "Set-Cookie":
                    reply.headers[name] = value
                else:
                    reply.headers.add(name, value)
            if encoding := answer.headers.get("Content-Encoding"):
                reply.headers["Content-Encoding"] = encoding
            return reply


Patient = Callable[..., Any]


@pytest.fixture
async def examined(tmp_path: Path) -> AsyncIterator[Patient]:
    """Runs the doctor on a shop with one mistake; `bend` makes it."""
    started: list[Any] = []

    async def run(
        bend: Callable[[World], None] = lambda world: None, tls: bool = False, url: str = ""
    ) -> list[Finding]:
        world = World(tmp_path)
        bend(world)
        scheme, port = "https" if tls else "http", free_port()
        host = world.host or ("shop.example" if tls else "shop.localhost")
        world.base = world.base or f"{scheme}://{host}:{port}"
        settings = tmp_path / "settings.toml"
        site = f'[http]\npublic_url = "{world.base}/m"\n[[site]]\nname = "shop"\nkey = "{KEY}"\n'
        settings.write_text(world.settings or site)
        flags = {"data": str(tmp_path / "data")}
        flags |= {"http.listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0"}
        world.app = App(load(settings, environ={}, flags=flags))
        await world.app.start()
        world.session = aiohttp.ClientSession(auto_decompress=False)
        site_app = web.Application(client_max_size=10_000_000)
        site_app.router.add_get("/", world.page)
        site_app.router.add_route("*", "/m/{rest:.*}", world.proxy)
        site_app.router.add_route("*", "/{rest:analytics.js}", world.proxy)
        runner = web.AppRunner(site_app)
        await runner.setup()
        context = certificate(tmp_path) if tls else None
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        started.extend([world, runner])

        async def stored(message_id: str) -> str | None:
            path = tmp_path / "data" / "collector.db"
            return await asyncio.to_thread(stored_address, path, message_id)

        options = Options(
            10,
            stored,
            dict.fromkeys(("shop.example", "shop.localhost", "other.example"), "127.0.0.1"),
            str(tmp_path / "cert.pem") if tls else None,
        )
        return [f async for f in examine(url or f"{scheme}://{host}:{port}/", options)]

    yield run
    for one in started:
        if isinstance(one, World):
            await one.session.close()
            await one.app.stop()
        else:
            await one.cleanup()


def certificate(folder: Path) -> Any:
    make(folder, "shop.example", "other.example")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def said(found: list[Finding], level: str = "") -> str:
    return "\n".join(
        f"{f.level} {f.about}: {f.said} → {f.change}"
        for f in found
        if f.level == level or not level
    )


async def test_a_sound_site_gets_no_complaint(examined: Patient) -> None:
    found = await examined()
    assert {f.level for f in found} == {"fine"}, said(found)
    assert "came through to the database" in said(found)


async def test_on_ones_own_machine_no_proxy_is_missed(examined: Patient) -> None:
    found = await examined(with_attributes(forwards="as sent"))
    assert {f.level for f in found} == {"fine"}, said(found)


async def test_a_sound_site_over_https_gets_no_complaint(examined: Patient) -> None:
    found = await examined(tls=True)
    assert {f.level for f in found} == {"fine"}, said(found)


def body(make: Callable[[World], str]) -> Callable[[World], None]:
    def bend(world: World) -> None:
        world.body = make

    return bend


def with_attributes(**given: Any) -> Callable[[World], None]:
    def bend(world: World) -> None:
        for name, value in given.items():
            setattr(world, name, value)

    return bend


def header(name: str, value: str) -> Callable[[World], None]:
    return with_attributes(page_headers={name: value})


def origins(world: World) -> None:
    world.settings = (
        f'[[site]]\nname = "shop"\nkey = "{KEY}"\norigins = ["https://elsewhere.example"]\n'
    )


def untrusting(world: World) -> None:
    """The collector stores the proxy's own address."""
    world.forwards = "removed"


# (what it is, how it is made, over https, what the doctor says)
MISTAKES = [
    ("no https", with_attributes(host="shop.example"), False, "wrong https: .*not served over"),
    ("no snippet", body(lambda w: ""), False, "wrong snippet: no snippet"),
    ("twice", body(lambda w: w.snippet() * 2), False, "wrong snippet: the snippet is there twice"),
    (
        "one global for two",
        body(lambda w: w.snippet() + w.snippet("wk_other_0123456789")),
        False,
        "wrong snippet: two snippets use the global pixel",
    ),
    ("wrong key", body(lambda w: w.snippet("wk_old")), False, "wrong write key: .* wk_old"),
    ("no key", body(lambda w: w.snippet("")), False, r"wrong write key: .*\(none\)"),
    (
        "http collector",
        body(lambda w: w.snippet(script="http://shop.example/m/c.js")),
        True,
        "wrong collector: .*http on an https page",
    ),
    (
        "inline forbidden",
        header("Content-Security-Policy", "script-src 'self'"),
        False,
        "wrong content security policy: forbids the inline snippet .*--external",
    ),
    (
        "script forbidden",
        header("Content-Security-Policy", "script-src 'unsafe-inline' https://cdn.example"),
        False,
        "wrong content security policy: forbids scripts of",
    ),
    (
        "posts forbidden",
        header("Content-Security-Policy", "connect-src https://api.example"),
        False,
        "wrong content security policy: forbids posts to",
    ),
    ("path not passed on", with_attributes(passes=False), False, "wrong script: .*answers 404"),
    (
        "collector down",
        body(lambda w: w.snippet(script="http://shop.localhost:1/c.js")),
        False,
        "wrong script: .*(refused|connect)",
    ),
    (
        "another file",
        body(lambda w: w.snippet(script=w.base + "/")),
        False,
        "wrong script: .*something else",
    ),
    ("origin", origins, False, "wrong origin: .*may not send.*site.origins"),
    (
        "known path",
        body(lambda w: w.snippet(script=w.base + "/analytics.js")),
        False,
        "weak names: blockers know /analytics.js",
    ),
    (
        "known host",
        body(lambda w: w.snippet(script="http://stats.localhost:1/c.js")),
        False,
        "weak names: blockers know hosts called stats",
    ),
    (
        "another site",
        body(lambda w: w.snippet(script=w.base.replace("shop", "other") + "/m/c.js")),
        True,
        "wrong cookie: other.example is another site",
    ),
    ("forged address", with_attributes(forwards="as sent"), True, "wrong proxy: .*believed"),
    ("hidden address", untrusting, True, "wrong proxy: hides the visitors' addresses"),
    ("small bodies", with_attributes(largest=100_000), False, "wrong proxy: .*refuses 300 KB"),
    (
        "clocks",
        with_attributes(sets={"Date": "Mon, 01 Jan 2024 00:00:00 GMT"}),
        False,
        "wrong clock: .*apart",
    ),
    ("no cookie", with_attributes(drops={"Set-Cookie"}), False, "weak cookie: .*sets no cookie"),
    ("uncompressed", with_attributes(identity=True), False, "weak script: is sent uncompressed"),
    (
        "not cached",
        with_attributes(drops={"Cache-Control"}),
        False,
        "weak script: may not be cached",
    ),
    ("no referrer", header("Referrer-Policy", "no-referrer"), False, "weak referrer"),
]


@pytest.mark.parametrize(
    ("bend", "tls", "expected"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
async def test_a_mistake_is_named(
    examined: Patient, bend: Callable[[World], None], tls: bool, expected: str
) -> None:
    found = await examined(bend, tls)
    complaints = said([f for f in found if f.level != "fine"])
    assert re.search(expected, complaints), complaints or said(found)
    assert all(f.change for f in found if f.level != "fine")


def test_the_command_says_what_it_cannot_reach(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["doctor", f"http://127.0.0.1:{free_port()}/", "--data", str(tmp_path)]
    )
    assert result.exit_code == 1
    assert "✗ page: " in result.output
    assert "→ give an address" in result.output
