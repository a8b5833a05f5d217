"""What stands between a client and the collector: it counts requests, and does harm on order.

A test hands `Proxy.url` to the client in place of the collector's and orders faults; each request
with events takes the next one, and once they are used up all is passed on untouched. Preflights,
settings and scripts always are. While the collector is down, connections break as they would.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import aiohttp
import yarl
from aiohttp import web

from tests.faults.harness import Collector

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_PIXELS = {"/i", "/ice.png", "/c.gif"}


class Seen(NamedTuple):
    """A request with events, and how it ended: the status, None when the connection was cut."""

    path: str
    status: int | None


Fault = Callable[["Proxy", web.BaseRequest], Awaitable[web.Response | None]]


class Proxy:
    """`async with Proxy(collector) as proxy`, then `proxy.order(refuse(503), cut, …)`."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.seen: list[Seen] = []
        self._faults: list[Fault] = []
        self._restarts: list[asyncio.Task[None]] = []
        self._restarting = asyncio.Lock()
        self._session: aiohttp.ClientSession
        self._runner: web.ServerRunner

    async def __aenter__(self) -> "Proxy":
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.ServerRunner(
            web.Server(self._handle, auto_decompress=False), shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.gather(*self._restarts)
        await self._runner.cleanup()
        await asyncio.gather(*self._restarts)  # whoever came meanwhile
        await self._session.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @property
    def statuses(self) -> list[int | None]:
        return [seen.status for seen in self.seen]

    @property
    def done(self) -> bool:
        """All harm that was ordered is done."""
        return not self._faults

    def order(self, *faults: Fault) -> None:
        self._faults += faults

    async def forward(self, request: web.BaseRequest) -> web.Response | None:
        """The collector's answer; None when there was none."""
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP]
        target = yarl.URL(self.collector.url + request.path_qs, encoded=True)
        try:
            async with self._session.request(
                request.method,
                target,
                headers=headers,
                data=await request.read(),
                skip_auto_headers=("User-Agent", "Content-Type", "Accept-Encoding"),
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
                reply = web.Response(status=answer.status, reason=answer.reason, body=body)
        except aiohttp.ClientError:
            return None
        reply.headers.clear()
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                reply.headers.add(name, value)
        return reply

    async def restart(self) -> None:
        """Kill the collector; it comes back while clients go on. One after the other, or two would
        start and one stay for ever."""
        async with self._restarting:
            await asyncio.gather(*self._restarts)
            self.collector.kill(signal.SIGKILL)
            await self.collector.wait()
            self._restarts.append(asyncio.create_task(self.collector.start()))

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        path = request.rel_url.raw_path
        if request.method != "POST" and (request.method != "GET" or path not in _PIXELS):
            return await self.forward(request) or _cut_off(request)
        fault = self._faults.pop(0) if self._faults else passed
        answer = await fault(self, request)
        self.seen.append(Seen(path, answer and answer.status))
        return answer or _cut_off(request)


def _cut_off(request: web.BaseRequest) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def refuse(status: int, retry_after: int | None = None) -> Fault:
    """The answer of an overloaded collector, or of a proxy before it, to a page too."""

    async def fault(proxy: Proxy, request: web.BaseRequest) -> web.Response:
        await request.read()
        headers = {"Access-Control-Allow-Credentials": "true"}
        headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
        headers["Access-Control-Expose-Headers"] = "Retry-After"
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        body = {"success": False, "code": "overloaded", "message": "the test says so"}
        return web.json_response(body, status=status, headers=headers)

    return fault


async def cut(proxy: Proxy, request: web.BaseRequest) -> None:
    """The events are stored; the connection breaks before the answer."""
    assert await proxy.forward(request)


async def kill(proxy: Proxy, request: web.BaseRequest) -> None:
    """The collector is killed once it has stored the events, before the client hears of it,
    and started again."""
    await proxy.forward(request)
    await proxy.restart()


async def kill_before(proxy: Proxy, request: web.BaseRequest) -> None:
    """The collector is killed before it sees the request, and started again."""
    await request.read()
    await proxy.restart()


async def passed(proxy: Proxy, request: web.BaseRequest) -> web.Response | None:
    """No harm."""
    return await proxy.forward(request)


# In one run: a client that sends one request after the other recovers from each before the next.
IN_A_ROW = (
    *(refuse(429, retry_after=1), passed, refuse(503, retry_after=1), passed),
    *(cut, passed, kill_before, passed, kill),
)

ALL: dict[str, tuple[Fault, ...]] = {
    "429": (refuse(429, retry_after=1),),
    "503": (refuse(503, retry_after=1), refuse(503)),
    "cut": (cut,),
    "killed": (kill_before, kill),
}
