"""Answers as HTTP: bytes for the hot lane, a response object for the normal routes, with the
same status, headers and body."""

import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from collector.errors import Refused
from collector.wire import native, segment
from collector.wire.message import Answer

SERVER = "collector"


def failed(status: int, code: str, message: str) -> Answer:
    return segment.error(Refused(status, code, message))


def response(answer: Answer, origin: str | None, close: bool = False) -> web.Response:
    reason = _reason(answer.status, answer.message)
    reply = web.Response(status=answer.status, reason=reason, body=answer.body)
    reply.headers["Server"] = SERVER
    if answer.content_type:
        reply.headers["Content-Type"] = answer.content_type
    for name, value in (*answer.headers, *cors(origin)):
        reply.headers[name] = value
    if close:
        reply.force_close()
    return reply


def raw(answer: Answer, origin: str | None) -> bytes:
    """The whole response, for an HTTP/1.1 connection that stays open."""
    second = int(time.time())
    if answer is segment.OK:  # nine of ten answers
        return _ok(second, origin)
    if answer is native.PIXEL:
        return _pixel(second, origin)
    if answer.status == 503:  # at an overload many, and all the same
        return _again(second, origin, answer)
    return _head(answer, origin, second) + answer.body


def last(answer: Answer, origin: str | None) -> bytes:
    """The same where the connection is closed after it, so that the client sends nothing more."""
    headers = (*answer.headers, ("Connection", "close"))
    named = msgspec.structs.replace(answer, headers=headers)
    return _head(named, origin, int(time.time())) + named.body


@lru_cache(maxsize=64)
def _ok(second: int, origin: str | None) -> bytes:
    return _head(segment.OK, origin, second) + segment.OK.body


@lru_cache(maxsize=64)
def _pixel(second: int, origin: str | None) -> bytes:
    return _head(native.PIXEL, origin, second) + native.PIXEL.body


@lru_cache(maxsize=64)
def _again(second: int, origin: str | None, answer: Answer) -> bytes:
    return _head(answer, origin, second) + answer.body


def _head(answer: Answer, origin: str | None, second: int) -> bytes:
    fields = (
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        ("Date", _date(second)),
        ("Server", SERVER),
        *answer.headers,
        *cors(origin),
    )
    status = f"HTTP/1.1 {answer.status} {_reason(answer.status, answer.message)}"
    lines = [status, *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _reason(status: int, message: str) -> str:
    """An error's own message: analytics-node and Snowplow's trackers hand on this and nothing
    of the body. Printable ASCII, for it may quote what came in, and short."""
    return _UNPRINTABLE.sub("?", message)[:_REASON_CHARS] or HTTPStatus(status).phrase


_REASON_CHARS = 200
_UNPRINTABLE = re.compile("[^ -~]")


def cors(origin: str | None) -> tuple[tuple[str, str], ...]:
    """CORS headers for a request's Origin. Errors carry them too, or browsers report a network
    failure and retry. Whose events are taken is decided by key and origin list, not here."""
    if origin is None or not origin.isascii():
        return ()
    if origin == "*":
        return (("Access-Control-Allow-Origin", "*"),)
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "Retry-After"),
        ("Vary", "Origin"),
    )


def preflight(headers: Mapping[str, str]) -> Answer:
    """The answer to OPTIONS: what the browser asks for is allowed."""
    asked = headers.get("Access-Control-Request-Headers", "")
    allowed = asked if asked and asked.isascii() else "content-type"
    return Answer(
        204,
        "",
        b"",
        (
            ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
            ("Access-Control-Allow-Headers", allowed),
            ("Access-Control-Max-Age", "86400"),
        ),
    )


def peer_address(peername: Any) -> str:
    """The address of a socket's peer; a Unix socket's is the local host."""
    return peername[0] if isinstance(peername, tuple) else "127.0.0.1"
