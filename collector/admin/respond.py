"""Answers of the admin API: JSON, and errors that say what is wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from collector.errors import CollectorError, StoreUnavailable
from collector.store.reader import TookTooLong

_LINES = "application/x-ndjson"
_PATIENCE_S = 0.3  # what takes less is answered without a word before
_WORD_S = 0.1
Told = Callable[[float], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def as_json(value: Any, status: int = 200) -> web.Response:
    response = web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )
    response.enable_compression()
    return response


async def answered(
    request: web.Request, work: Callable[[Told], Awaitable[Any]]
) -> web.StreamResponse:
    """What `work` comes to. Whoever takes NDJSON is told meanwhile how far it is, when it takes
    long: lines of {"progress": 0.4}, the last one {"answer": …} or an error."""
    far = [0.0]
    task = asyncio.ensure_future(work(far.append))
    if _LINES not in request.headers.get("Accept", ""):
        return as_json(await task)
    done, _ = await asyncio.wait((task,), timeout=_PATIENCE_S)
    if done:
        return as_json(task.result())

    async def lines() -> AsyncIterator[bytes]:
        try:
            while not task.done():
                yield _line({"progress": round(max(far), 3)})
                await asyncio.wait((task,), timeout=_WORD_S)
            yield _line({"answer": task.result()})
        except CollectorError as error:
            yield _line({"success": False, "message": str(error)})
        finally:
            task.cancel()  # whoever asked has gone

    return await as_stream(request, _LINES, lines())


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"


async def as_stream(
    request: web.Request, content_type: str, parts: AsyncIterator[bytes]
) -> web.StreamResponse:
    """What comes piece by piece. What is wrong before the first is an answer of its own; whoever
    goes away meanwhile gets no more."""
    first = await anext(parts, b"")
    response = web.StreamResponse(headers={"Content-Type": content_type})
    with contextlib.suppress(ConnectionResetError):
        await response.prepare(request)
        await response.write(first)
        async for part in parts:
            await response.write(part)
        await response.write_eof()
    return response


def limit(request: web.Request, usual: int, most: int = 500) -> int:
    text = request.query.get("limit", str(usual))
    if not (text.isdecimal() and text.isascii() and 1 <= int(text[:9]) <= most):
        raise CollectorError(f"limit: expected a number from 1 to {most}")
    return int(text)


def refused(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    return web.json_response(
        {"success": False, "code": code, "message": message}, status=status, headers=headers
    )


def denied() -> web.Response:
    return refused(
        401, "unauthorized", "admin token needed", headers={"WWW-Authenticate": "Bearer"}
    )


async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, or its error's."""
    try:
        return await handler(request)
    except TookTooLong as error:
        return refused(503, "took_too_long", f"{error}; choose a shorter range")
    except StoreUnavailable as error:
        return refused(503, "unavailable", str(error))
    except CollectorError as error:
        return refused(400, "bad_request", str(error))
    except (UnicodeError, OverflowError) as error:  # from a query that holds no text
        return refused(400, "bad_request", f"cannot be read: {type(error).__name__}")
