"""A small server that a destination talks to, and that misbehaves as told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Peer:
    """`requests` are (method, path with query, headers, body). `answer` may be replaced."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any, bytes]] = []
        self.answer: Answer = self.fine
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def fine(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    async def start(self) -> str:
        app = web.Application(client_max_size=10**7)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path_qs, request.headers, body))
        return await self.answer(request)


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
