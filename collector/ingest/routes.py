"""The normal way through the public listener: any request the hot lane did not take."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from collector.config import Config
from collector.errors import Refused
from collector.ingest import respond
from collector.ingest.edges import EdgeDesk
from collector.ingest.script import Scripts
from collector.ingest.service import Service
from collector.wire import inflate, openapi, segment
from collector.wire.message import Answer, Client, Request
from collector.wire.table import Route, documents

_HEAD = ("HEAD", "GET")  # answered wherever GET is


class Routes:
    """Answers one request; made once, called by aiohttp's low-level server."""

    def __init__(
        self,
        config: Config,
        service: Service,
        ready: Callable[[], Awaitable[str | None]],
        desk: EdgeDesk,
    ) -> None:
        self._service = service
        self._ready = ready
        self.reading = 0  # bodies still coming in
        self.stopping = False
        self.configure(config, desk)

    def configure(self, config: Config, desk: EdgeDesk) -> None:
        """Go by these settings from now on."""
        self._desk = desk
        self._body_timeout_s = config.http.body_timeout_s
        self._scripts = Scripts(config)
        self._documents = tuple(documents(config.clients))
        self._public_url = config.public_url
        description = msgspec.json.encode(openapi.describe(config))
        self._description = Answer(200, "application/json", description)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._service.routes.get(request.rel_url.raw_path)
        origin = request.headers.get("Origin")
        if request.method == "OPTIONS":
            return respond.response(respond.preflight(request.headers), origin)
        if route is None or route.method != request.method:
            return await self._other(request, route, origin)
        try:
            body = await self._body(request)
        except Refused as error:
            answer = self._service.refuse(route, error)
            return respond.response(answer, origin, close=error.code != "unsupported_encoding")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def reply(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        self._service.submit(route, _understood(request, body), reply)
        return respond.response(await future, origin, close=self.stopping)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The inflated body; raises Refused 400, 408, 413 or 415."""
        limit = self._service.max_body
        encoding = request.headers.get("Content-Encoding", "identity").lower()
        if encoding not in inflate.ENCODINGS and encoding != "identity":
            known = ", ".join(sorted(inflate.ENCODINGS))
            raise Refused(415, "unsupported_encoding", f"expected one of {known}")
        if (request.content_length or 0) > limit:
            raise inflate.too_large(limit)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        self.reading += 1
        try:
            async with asyncio.timeout(self._body_timeout_s):
                body = await _read(request, limit)
        except TimeoutError:
            raise Refused(
                408, "timeout", f"body not complete after {self._body_timeout_s:g} s"
            ) from None
        except RequestPayloadError:
            request.content.feed_eof()  # or aiohttp reads on to the same error, and logs it
            raise Refused(400, "bad_encoding", "the body cannot be read") from None
        finally:
            self.reading -= 1
        return body if encoding == "identity" else inflate.inflated(body, encoding, limit)

    async def _other(
        self, request: web.BaseRequest, route: Route | None, origin: str | None
    ) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if request.method in ("GET", "HEAD"):
            if script := self._scripts.response(path, request):
                return script
            if path == "/openapi.json":
                return respond.response(self._description, origin)
            if path == "/healthz":
                return web.Response(text="ok\n", headers={"Server": respond.SERVER})
            if path == "/readyz":
                reason = await self._ready()
                return web.Response(
                    status=503 if reason else 200,
                    text=f"{reason or 'ready'}\n",
                    headers={"Server": respond.SERVER},
                )
        if document := self._document(request.method, path):
            return respond.response(document, origin)
        if request.method == "POST" and self._desk.knows(path):
            return respond.response(await self._asked(request), origin, close=self.stopping)
        if route is not None:
            refusal = respond.failed(405, "method_not_allowed", f"use {route.method}")
            allowed = (("Allow", f"{route.method}, OPTIONS"),)
            return respond.response(msgspec.structs.replace(refusal, headers=allowed), origin)
        return respond.response(respond.failed(404, "not_found", "no such path"), origin)

    async def _asked(self, request: web.BaseRequest) -> Answer:
        """What an edge asks or says beside its events."""
        try:
            return await self._desk.answer(_understood(request, await self._body(request)))
        except Refused as error:
            return segment.error(error)

    def _document(self, method: str, path: str) -> Answer | None:
        """What a client fetches before it sends."""
        for document in self._documents:
            if method == document.method or (method, document.method) == _HEAD:
                key = document.key_of(path)
                if key is not None:
                    return document.make(key, self._public_url)
        return None


def _understood(request: web.BaseRequest, body: bytes) -> Request:
    peer = respond.peer_address(request.transport and request.transport.get_extra_info("peername"))
    client = Client.of(request.headers)
    return Request(request.method, request.rel_url, request.headers, body, peer, client)


async def _read(request: web.BaseRequest, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise inflate.too_large(limit)
    return bytes(body)
