"""The admin API of `collector import` and `rejected replay` beside a running collector."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from aiohttp import web

from collector.admin.respond import as_json
from collector.errors import Overloaded, Refused, StoreUnavailable
from collector.store.imports import Progress
from collector.store.refusals import Refusals
from collector.wire.edge import CONTENT

LONGEST = 4_000_000  # bytes of a body


class Intake(Protocol):
    async def body(self, site: str, body: bytes) -> Any: ...
    async def rows(self, body: bytes) -> Any: ...
    async def progress(self, source: str) -> Progress: ...
    async def record(self, source: str, reached: Progress) -> None: ...
    async def replay(self, wanted: Refusals) -> Any: ...


def routes(intake: Intake) -> list[web.RouteDef]:
    async def take(request: web.Request) -> web.Response:
        body = await _body(request)
        if request.content_type == CONTENT:
            return await _said(lambda: intake.rows(body))
        site = request.query.get("site", "")
        return await _said(lambda: intake.body(site, body))

    async def tell(request: web.Request) -> web.Response:
        return as_json(await intake.progress(request.query.get("source", "")))

    async def record(request: web.Request) -> web.Response:
        try:
            reached = msgspec.json.decode(await _body(request), type=Progress)
        except msgspec.DecodeError as error:
            raise Refused(400, "bad_request", str(error)) from None
        await intake.record(request.query.get("source", ""), reached)
        return as_json({"success": True})

    async def replay(request: web.Request) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=Refusals)
        except msgspec.DecodeError as error:
            raise Refused(400, "bad_request", str(error)) from None
        return await _said(lambda: intake.replay(wanted))

    return [
        web.post("/api/rejected/replay", replay),
        web.post("/api/import", take),
        web.get("/api/import", tell),
        web.put("/api/import", record),
    ]


async def _body(request: web.Request) -> bytes:
    """Larger ones than the rest of the API takes."""
    if request.content_length is None or request.content_length > LONGEST:
        raise Refused(413, "too_large", f"expected at most {LONGEST} bytes")
    return await request.content.read()


async def _said(take: Callable[[], Awaitable[Any]]) -> web.Response:
    try:
        return as_json(await take())
    except Overloaded as error:
        raise StoreUnavailable(str(error)) from None
