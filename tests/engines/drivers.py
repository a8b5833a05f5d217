"""Three browser engines behind one small interface: open a tab, go, evaluate.

Chromium is driven by playwright, Firefox over WebDriver BiDi (its own remote agent; Debian has no
geckodriver), WebKitGTK over WebDriver in an X server of its own.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from playwright.async_api import Page, async_playwright

from tests.clients.shop import CHROMIUM, FLAGS
from tests.faults.harness import free_port

MINIBROWSERS = "/usr/lib/*/webkit2gtk-4.*/MiniBrowser"
FIREFOX_SETTINGS = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}


class Tab(Protocol):
    async def goto(self, url: str) -> None:
        """Returns when the page has loaded."""

    async def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression; a promise is awaited."""

    async def offline(self, away: bool) -> None:
        """Takes the network away, or gives it back; WebKitGTK is only told so."""

    async def screenshot(self) -> bytes:
        """What is seen, as a PNG."""

    async def close(self) -> None: ...


class Engine(Protocol):
    name: str

    async def tab(self) -> Tab: ...


def statement(expression: str) -> str:
    """An expression whose value survives as JSON, whatever it is."""
    value = "JSON.parse(JSON.stringify(v ?? null) ?? 'null')"
    return f"Promise.resolve(({expression})).then(v => {value})"


class ChromiumTab:
    def __init__(self, page: Page) -> None:
        self._page = page

    async def goto(self, url: str) -> None:
        await self._page.goto(url)

    async def evaluate(self, expression: str) -> Any:
        return await asyncio.wait_for(self._page.evaluate(expression), 30)

    async def offline(self, away: bool) -> None:
        await self._page.context.set_offline(away)

    async def screenshot(self) -> bytes:
        return await self._page.screenshot()

    async def close(self) -> None:
        await self._page.close()


class Chromium:
    name = "chromium"

    def __init__(self, context: Any) -> None:
        self._context = context

    async def tab(self) -> Tab:
        return ChromiumTab(await self._context.new_page())


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Engine]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield Chromium(await browser.new_context())
        await browser.close()


class Firefox:
    """One WebDriver BiDi session: commands by number, answers in any order."""

    name = "firefox"

    def __init__(self, channel: aiohttp.ClientWebSocketResponse) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def listen(self) -> None:
        async for message in self._channel:
            answer = message.json()
            future = self._waiting.pop(answer.get("id") or 0, None)
            if future is not None and not future.done():
                future.set_result(answer)

    async def command(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._channel.send_json({"id": number, "method": method, "params": params})
        answer = await asyncio.wait_for(future, 60)
        if answer["type"] != "success":
            raise RuntimeError(f"{method}: {answer.get('error')}: {answer.get('message')}")
        return answer["result"]

    async def tab(self) -> Tab:
        made = await self.command("browsingContext.create", type="tab")
        await self.command("browsingContext.activate", context=made["context"])
        return FirefoxTab(self, made["context"])


class FirefoxTab:
    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self._context = context

    async def goto(self, url: str) -> None:
        await self._firefox.command(
            "browsingContext.navigate", context=self._context, url=url, wait="complete"
        )

    async def evaluate(self, expression: str) -> Any:
        result = await self._firefox.command(
            "script.evaluate",
            expression=f"{statement(expression)}.then(v => JSON.stringify(v))",
            target={"context": self._context},
            awaitPromise=True,
        )
        if result["type"] == "exception":
            raise RuntimeError(result["exceptionDetails"]["text"])
        return json.loads(result["result"]["value"])

    async def offline(self, away: bool) -> None:
        await self._firefox.command(
            "emulation.setNetworkConditions",
            contexts=[self._context],
            networkConditions={"type": "offline"} if away else None,
        )

    async def screenshot(self) -> bytes:
        taken = await self._firefox.command(
            "browsingContext.captureScreenshot", context=self._context
        )
        return base64.b64decode(taken["data"])

    async def close(self) -> None:
        await self._firefox.command("browsingContext.close", context=self._context)


@contextlib.asynccontextmanager
async def firefox() -> AsyncIterator[Engine]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [
            f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in FIREFOX_SETTINGS.items()
        ]
        Path(profile, "user.js").write_text("\n".join(lines))
        process = await asyncio.create_subprocess_exec(
            "firefox-esr",
            "--headless",
            "--no-remote",
            "--profile",
            profile,
            "--remote-debugging-port",
            "0",
            stdout=DEVNULL,
            stderr=PIPE,
            env=os.environ | {"HOME": profile, "MOZ_CRASHREPORTER_DISABLE": "1"},
        )
        address = await _said(process, rb"listening on (ws://\S+)")
        assert process.stderr is not None
        drain = asyncio.create_task(process.stderr.read())
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{address}/session", max_msg_size=0) as channel,
        ):
            engine = Firefox(channel)
            listener = asyncio.create_task(engine.listen())
            await engine.command("session.new", capabilities={})
            yield engine
            listener.cancel()
        process.terminate()
        await process.wait()
        drain.cancel()


async def _said(process: Process, pattern: bytes) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(60):
        async for line in process.stderr:
            if found := re.search(pattern, line):
                return found[1].decode()
    raise RuntimeError(f"{pattern!r} was never said")


class WebKit:
    """One WebDriver session; its commands act on the window last switched to."""

    name = "webkit"

    def __init__(self, http: aiohttp.ClientSession, session: str) -> None:
        self._http = http
        self._session = session
        self._turn = asyncio.Lock()
        self._first = ""  # stays open, or the session ends

    async def command(self, method: str, path: str, body: Any = None) -> Any:
        return await _webdriver(self._http, method, self._session + path, body)

    async def on(self, window: str, method: str, path: str, body: Any = None) -> Any:
        async with self._turn:
            await self.command("POST", "/window", {"handle": window})
            return await self.command(method, path, body)

    async def tab(self) -> Tab:
        if not self._first:
            self._first = await self.command("GET", "/window")
        made = await self.on(self._first, "POST", "/window/new", {"type": "window"})
        return WebKitTab(self, made["handle"])


async def _webdriver(http: aiohttp.ClientSession, method: str, url: str, body: Any) -> Any:
    async with http.request(method, url, json=body) as response:
        value = (await response.json(content_type=None))["value"]
        if response.status != 200:
            raise RuntimeError(f"{url}: {value['error']}: {value['message']}")
        return value


class WebKitTab:
    def __init__(self, webkit: WebKit, window: str) -> None:
        self._webkit = webkit
        self._window = window

    async def goto(self, url: str) -> None:
        await self._webkit.on(self._window, "POST", "/url", {"url": url})

    async def evaluate(self, expression: str) -> Any:
        script = (
            "const done = arguments[arguments.length - 1];"
            f"{statement(expression)}.then(value => done([value]), error => done(String(error)))"
        )
        value = await self._webkit.on(
            self._window, "POST", "/execute/async", {"script": script, "args": []}
        )
        if isinstance(value, str):
            raise RuntimeError(value)
        return value[0]

    async def offline(self, away: bool) -> None:
        await self.evaluate(f"dispatchEvent(new Event('{'offline' if away else 'online'}'))")

    async def screenshot(self) -> bytes:
        return base64.b64decode(await self._webkit.on(self._window, "GET", "/screenshot"))

    async def close(self) -> None:
        await self._webkit.on(self._window, "DELETE", "/window")


@contextlib.asynccontextmanager
async def webkit() -> AsyncIterator[Engine]:
    async with contextlib.AsyncExitStack() as stack:
        display = await stack.enter_async_context(_display())
        port = free_port()
        driver = await asyncio.create_subprocess_exec(
            "WebKitWebDriver",
            "-p",
            str(port),
            stdout=DEVNULL,
            stderr=DEVNULL,
            env=os.environ | {"DISPLAY": display},
            start_new_session=True,
        )
        stack.push_async_callback(_ended, driver)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        root = f"http://127.0.0.1:{port}/session"
        browser = next(str(p) for p in sorted(Path("/").glob(MINIBROWSERS[1:]), reverse=True))
        wanted = {
            "browserName": "MiniBrowser",
            "webkitgtk:browserOptions": {"binary": browser, "args": ["--automation"]},
        }
        body = {"capabilities": {"alwaysMatch": wanted}}
        session = None
        async with asyncio.timeout(110):
            while session is None:
                try:
                    session = await _webdriver(http, "POST", root, body)
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
        address = f"{root}/{session['sessionId']}"
        yield WebKit(http, address)
        await _webdriver(http, "DELETE", address, None)


async def _ended(process: Process) -> None:
    process.terminate()
    await process.wait()


@contextlib.asynccontextmanager
async def _display() -> AsyncIterator[str]:
    readable, writable = os.pipe()
    server = await asyncio.create_subprocess_exec(
        "Xvfb",
        "-displayfd",
        str(writable),
        "-screen",
        "0",
        "1280x1024x24",
        "-nolisten",
        "tcp",
        pass_fds=(writable,),
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    os.close(writable)
    number = await asyncio.to_thread(os.read, readable, 16)
    os.close(readable)
    yield f":{number.decode().strip()}"
    server.terminate()
    await server.wait()


ENGINES = {"chromium": chromium, "firefox": firefox, "webkit": webkit}
