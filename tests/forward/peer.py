"""An endpoint that misbehaves on order, for what a real collector would never answer."""

import gzip
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web
from backports import zstd


class Said(NamedTuple):
    status: int
    body: str = '{"success":true}'
    headers: dict[str, str] = {}  # noqa: RUF012


OK = Said(200)


class Peer:
    """`judge` is given the events of each request and says what is answered; `taken` are the
    events of requests that got a 2xx, `requests` the sizes of all."""

    def __init__(self, judge: Callable[[list[Any]], Said]) -> None:
        self.judge = judge
        self.taken: list[Any] = []
        self.requests: list[int] = []
        self.heads: list[dict[str, str]] = []
        self._runner: web.ServerRunner

    async def __aenter__(self) -> "Peer":
        self._runner = web.ServerRunner(web.Server(self._handle, auto_decompress=False))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        encoding = request.headers.get("Content-Encoding")
        if encoding:
            body = {"gzip": gzip.decompress, "zstd": zstd.decompress}[encoding](body)
        payload = json.loads(body)
        events = payload if isinstance(payload, list) else payload["batch"]
        self.requests.append(len(events))
        self.heads.append(dict(request.headers))
        said = self.judge(events)
        if said.status < 300:
            self.taken += events
        return web.Response(status=said.status, text=said.body, headers=said.headers)
