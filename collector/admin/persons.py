"""The admin API of people: erasing one, making all anew."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from collector.admin.respond import as_stream
from collector.errors import CollectorError


class Whom(msgspec.Struct, forbid_unknown_fields=True):
    """One of the three names."""

    user: str | None = None
    anonymous: str | None = None
    email: str | None = None
    site: str | None = None


def routes(
    forget: Callable[[str | None, str | None, str | None, str | None], Awaitable[Any]],
    rebuild: Callable[[], Awaitable[int]],
    access: Callable[[str | None, str | None, str | None, str | None], AsyncIterator[bytes]],
) -> list[web.RouteDef]:
    async def erase(request: web.Request) -> web.Response:
        try:
            whom = msgspec.json.decode(await request.read(), type=Whom)
            report = await forget(whom.user, whom.anonymous, whom.email, whom.site)
        except (msgspec.DecodeError, CollectorError) as error:
            return _json({"success": False, "code": "bad_request", "message": str(error)}, 400)
        return _json(report)

    async def hand_out(request: web.Request) -> web.StreamResponse:
        query = request.query
        unknown = set(query) - set(Whom.__struct_fields__)
        given = [query.get(name) for name in Whom.__struct_fields__]
        if unknown or sum(value is not None for value in given[:3]) != 1:
            said = "name one of user, anonymous and email"
            return _json({"success": False, "code": "bad_request", "message": said}, 400)
        lines = (line + b"\n" async for line in access(*given))
        return await as_stream(request, "application/x-ndjson", lines)

    async def make_anew(request: web.Request) -> web.Response:
        return _json({"success": True, "events": await rebuild()})

    return [
        web.post("/api/forget", erase),
        web.get("/api/access", hand_out),
        web.post("/api/rebuild", make_anew),
    ]


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )
