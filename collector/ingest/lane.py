"""The hot lane: common ingest requests answered inside aiohttp's protocol class.

aiohttp's parser, its limits and its timers stay in charge. A request whose body arrived whole,
on a connection that is idle, for a known path, is handed to the service as soon as it is parsed;
anything else goes the way aiohttp always goes, to ingest/routes.py. What is saved is a task, a
request object and a response object for each request: three times the requests per CPU second.

Invariants: while an answer of the lane is outstanding, further requests of the connection wait
in aiohttp's own queue, so answers keep the order of requests; aiohttp's idle timer never closes
a connection with an answer outstanding.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any

from aiohttp import http_parser, web
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from collector.ingest import respond
from collector.ingest.heads import Head, Heads, Sent, Shape, shape
from collector.ingest.service import Service
from collector.wire.message import CONTENT_ENCODING, Answer, Client, Request
from collector.wire.table import Route

# Of answers that a client leaves unread the kernel would keep megabytes for each connection, and
# an attacker who asks for the script without end would have them all made.
_SEND_BUFFER_BYTES = 65_536

_NEEDED = (
    "_waiter",
    "_messages",
    "_parser",
    "_close",
    "_force_close",
    "_buffer_paused",
    "_paused",
    "_reading_paused",
    "_next_keepalive_close_time",
    "_process_keepalive",
    "_keepalive_timeout",
    "_pause_transport_reading",
    "_resume_transport_reading",
    "_loop",
    "_payload_parser",
    "_upgraded",
    "_manager",
    "_request_count",
)


def unsupported() -> str | None:
    """Why the aiohttp in use cannot carry the lane; None when it can."""
    missing = [name for name in _NEEDED if not _has(RequestHandler, name)]
    if missing:
        return f"aiohttp's RequestHandler has no {', '.join(missing)}"
    if not _has(StreamReader, "_buffer"):
        return "aiohttp's StreamReader has no _buffer"
    if not compiled_parser():
        return "aiohttp's compiled parser is missing"
    if not hasattr(http_parser.HttpRequestParser, "message_consumed"):
        return "aiohttp's parser has no message_consumed"
    return None


def compiled_parser() -> bool:
    return http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy


def _has(cls: type, name: str) -> bool:
    return hasattr(cls, name) or any(name in getattr(base, "__slots__", ()) for base in cls.__mro__)


class IngestServer(web.Server):
    """aiohttp's low-level server, its connections made of IngestProtocol and counted."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        service: Service,
        *,
        hot: bool,
        max_connections: int,
        rest_s: float,
        unread_s: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(handler, auto_decompress=False, **kwargs)  # wire/inflate.py does it
        self._unread_s = unread_s
        self._unread: dict[asyncio.Transport, float] = {}
        self.service = service
        self.hot = hot
        self.max_connections = max_connections
        self.rest_s = rest_s
        self.heads = Heads()
        self.stopping = False  # each answer is now the last of its connection
        self.open_connections = 0

    def close_idle(self) -> None:
        """Of a stop; the others close after the answer they are waiting for.

        (aiohttp's own pre_shutdown would stop reading bodies that are still coming in.)"""
        for connection in self.connections:
            if isinstance(connection, IngestProtocol) and connection.idle:
                connection.force_close()

    async def watch(self) -> None:
        """Cut off who leaves answers unread, for as long as it runs. asyncio itself waits without
        end for its buffer to empty, also after close."""
        while True:
            await asyncio.sleep(self._unread_s / 4)
            self._look(self._loop.time())

    def _look(self, now: float) -> None:
        unread = {}
        for transport in list(self._connections.values()):
            if transport.get_write_buffer_size():
                since = self._unread.get(transport, now)
                if now - since >= self._unread_s:
                    transport.abort()
                    self.service.metrics.unread_connections += 1
                else:
                    unread[transport] = since
        self._unread = unread

    def __call__(self) -> RequestHandler:
        return IngestProtocol(self, loop=self._loop, **self._kwargs)


class IngestProtocol(RequestHandler):
    """One connection of the public listener."""

    __slots__ = (
        "_counted",
        "_dispatching",
        "_heads",
        "_hot",
        "_origin",
        "_outstanding",
        "_peer",
        "_routes",
        "_server",
        "_service",
        "_whole",
    )

    def __init__(self, server: IngestServer, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._service = server.service
        self._routes = server.service.routes
        self._hot = server.hot
        self._heads = server.heads
        self._whole = True  # every byte so far belonged to a whole request
        self._outstanding = False
        self._dispatching = False
        self._counted = False
        self._origin: str | None = None
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        server = self._server
        server.open_connections += 1
        self._counted = True
        self._peer = respond.peer_address(transport.get_extra_info("peername"))
        socket = transport.get_extra_info("socket")
        if socket is not None:
            socket.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER_BYTES)
        if server.open_connections > server.max_connections:
            server.service.metrics.refused_connections += 1
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._counted:
            self._counted = False
            self._server.open_connections -= 1
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether aiohttp's task waits for a request. (_request_in_progress is set a turn of the
        loop after the request has left the queue.)"""
        waiting = self._waiter is not None and not self._waiter.done()
        return waiting and not (self._outstanding or self._messages)

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if not self._hot or waiter is None or waiter.done():
            self._whole = self._whole and not data
            super().data_received(data)
            return
        whole = self._whole and not self._messages
        if whole and not (self._outstanding or self._close or self._force_close or self._held):
            known = self._heads.recall(data)
            if known is not None:
                self._take_known(*known)
                return
        wanted = shape(data) if whole else None
        # The task that waits for requests is not woken until the lane has had its look.
        self._waiter = None
        super().data_received(data)
        self._waiter = waiter
        if data:
            self._whole = (
                wanted is not None and len(self._messages) == 1 and self._messages[0][1].is_eof()
            )
        if self._messages and not self._outstanding:
            self._dispatch(data, wanted if self._whole else None)

    def _dispatch(self, data: bytes = b"", wanted: Shape | None = None) -> None:
        """Take requests from the queue while the lane can; wake the normal way otherwise."""
        self._dispatching = True
        try:
            while self._messages and not self._outstanding:
                message, payload = self._messages[0]
                request = self._eligible(message, payload)
                if request is None:
                    self._wake()
                    return
                self._messages.popleft()
                self._parser.message_consumed()  # type: ignore[union-attr]
                route = self._routes[request.url.raw_path]
                if wanted is not None:
                    self._heads.learn(wanted, data, route, request)
                self._take(route, request)
        finally:
            self._dispatching = False

    def _take(self, route: Route, request: Request) -> None:
        self._outstanding = True
        self._origin = request.client.origin
        self._service.submit(route, request, self._reply)

    def _take_known(self, head: Head, sent: Sent) -> None:
        self._outstanding = True
        self._origin = head.request.client.origin
        if not self._service.take_plain(head, sent, self._peer, self._reply):
            self._service.take(head.route, head.again(sent, self._peer), self._reply)

    @property
    def _held(self) -> bool:
        """The client does not read its answers, or the parser holds back what it sent."""
        return self._paused or self._buffer_paused or self._reading_paused

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _eligible(self, message: Any, payload: StreamReader) -> Request | None:
        """The request when the lane may answer it."""
        if (
            type(message) is not RawRequestMessage  # an error of the parser
            or message.version is not HttpVersion11
            or message.should_close
            or message.upgrade
            or not payload.is_eof()
            or payload.exception() is not None
            or self._held
        ):
            return None
        route = self._routes.get(message.path.partition("?")[0])
        headers = message.headers
        if route is None or route.method != message.method or CONTENT_ENCODING in headers:
            return None
        # read_nowait would have the parser look for more data, and resume a transport that was
        # never paused: 2 µs a request.
        body = b"" if payload is EMPTY_PAYLOAD else b"".join(payload._buffer)
        return Request(message.method, message.url, headers, body, self._peer, Client.of(headers))

    def _reply(self, answer: Answer) -> None:
        self._outstanding = False
        if self.transport is not None and self._server.stopping:
            self.transport.write(respond.last(answer, self._origin))
            self.force_close()
        elif self.transport is not None:
            self.transport.write(respond.raw(answer, self._origin))
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            if self._close:
                self.force_close()
            elif answer.status == 503 and self._server.rest_s:
                self._pause_transport_reading()
                self._loop.call_later(self._server.rest_s, self._read_on)
        if self._messages and not self._dispatching:
            self._dispatch()

    def _read_on(self) -> None:
        if not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()

    def _process_keepalive(self) -> None:
        if self._outstanding:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The parser's errors in our form: code, message and CORS, and nothing of what the
        client sent in the log."""
        try:
            return self._error_answer(status, exc)
        finally:
            if exc is not None:  # its frames hold what was read, and are held by it in a circle
                exc.__traceback__ = exc.__context__ = exc.__cause__ = None

    def _error_answer(self, status: int, exc: BaseException | None) -> web.StreamResponse:
        if isinstance(exc, ConnectionError):  # the client has gone; nobody reads the answer
            return respond.response(respond.failed(400, "aborted", "request cut off"), "*", True)
        if status == 500:
            number = secrets.token_hex(4)  # so that who reports it and the log speak of the same
            self.log_exception(f"unhandled error in request {number}", exc_info=exc)
            answer = respond.failed(500, "internal", f"internal error in request {number}")
            return respond.response(answer, "*", close=True)
        metrics = self._server.service.metrics
        metrics.malformed_requests += 1
        if isinstance(exc, LineTooLong):
            answer = respond.failed(431, "header_too_large", "request line or header too long")
        elif isinstance(exc, BadHttpMethod):
            answer = respond.failed(400, "bad_request", "not an HTTP request")
        else:
            answer = respond.failed(400, "bad_request", "malformed HTTP request")
        return respond.response(answer, "*", close=True)
