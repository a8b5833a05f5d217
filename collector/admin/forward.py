"""The admin API of forwarding."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from collector.errors import CollectorError


class Rewind(msgspec.Struct, forbid_unknown_fields=True):
    """To a number, or to a time in milliseconds since 1970."""

    seq: int | None = None
    time: int | None = None


class After(msgspec.Struct, forbid_unknown_fields=True):
    after: int = 0


def routes(
    status: Callable[[], Any],
    rewind: Callable[[str, int | None, int | None], Awaitable[int]],
    audit: Callable[[str, int], Awaitable[Any]],
    drop: Callable[[str], Awaitable[None]],
) -> list[web.RouteDef]:
    """`status()`: what GET /api/forward answers. `rewind(upstream, seq, time)` returns where the
    cursor stands then; `audit(upstream, after)` what the comparison of one range has found;
    `drop(upstream)` forgets one that was removed."""

    async def show(request: web.Request) -> web.Response:
        return _json(status())

    async def go_back(request: web.Request) -> web.Response:
        try:
            to = msgspec.json.decode(await request.read(), type=Rewind)
            position = await rewind(request.match_info["name"], to.seq, to.time)
        except (msgspec.DecodeError, CollectorError) as error:
            said = {"success": False, "code": "bad_request", "message": str(error)}
            return _json(said, status=400)
        return _json({"success": True, "seq": position})

    async def let_go(request: web.Request) -> web.Response:
        try:
            await drop(request.match_info["name"])
        except CollectorError as error:
            said = {"success": False, "code": "bad_request", "message": str(error)}
            return _json(said, status=400)
        return _json({"success": True})

    async def compare(request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read(), type=After)
            return _json(await audit(request.match_info["name"], asked.after))
        except (msgspec.DecodeError, CollectorError) as error:
            return _json({"success": False, "code": "failed", "message": str(error)}, status=400)

    return [
        web.get("/api/forward", show),
        web.post("/api/forward/{name}/rewind", go_back),
        web.post("/api/forward/{name}/audit", compare),
        web.post("/api/forward/{name}/drop", let_go),
    ]


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )
