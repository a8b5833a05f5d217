"""The admin API of audiences: what there is, who is in, files, and a rule tried."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec
from aiohttp import web

from collector.audience.layouts import LAYOUTS, Person, write
from collector.errors import CollectorError

_LIST_LIMIT = 1000


class Preview(msgspec.Struct, forbid_unknown_fields=True):
    """A rule, and the moment (milliseconds since 1970; None: now)."""

    rule: Any
    at: int | None = None


class Asked(Protocol):
    """What is asked for here."""

    async def summaries(self) -> list[Any]: ...

    def export(self, audience: str, layout: str) -> AsyncIterator[list[Person]]: ...

    async def preview(self, rule: Any, at: int | None) -> tuple[int, int]: ...


def routes(asked: Asked) -> list[web.RouteDef]:
    async def summaries(request: web.Request) -> web.Response:
        return _json(await asked.summaries())

    async def members(request: web.Request) -> web.Response:
        found: list[Person] = []
        try:
            async for portion in asked.export(request.match_info["name"], "plain"):
                found += portion
                if len(found) >= _LIST_LIMIT:
                    break
        except CollectorError as error:
            return _refused(str(error))
        fields = Person.__struct_fields__
        shown = [{name: getattr(p, name) for name in fields} for p in found[:_LIST_LIMIT]]
        return _json(shown)

    async def export(request: web.Request) -> web.StreamResponse:
        layout = request.query.get("layout", "plain")
        portions = asked.export(request.match_info["name"], layout)
        try:
            first = await anext(portions)  # so that what is wrong is said before the answer
        except CollectorError as error:
            return _refused(str(error))
        response = web.StreamResponse(headers={"Content-Type": "text/csv; charset=utf-8"})
        await response.prepare(request)
        await response.write("".join(write(LAYOUTS[layout], first)).encode())
        async for portion in portions:
            lines = list(write(LAYOUTS[layout], portion))[1:]  # without the header
            await response.write("".join(lines).encode())
        await response.write_eof()
        return response

    async def preview(request: web.Request) -> web.Response:
        try:
            given = msgspec.json.decode(await request.read(), type=Preview)
            belonged, looked = await asked.preview(given.rule, given.at)
        except (msgspec.DecodeError, CollectorError) as error:
            return _refused(str(error))
        return _json({"success": True, "members": belonged, "people": looked})

    return [
        web.get("/api/audiences", summaries),
        web.get("/api/audiences/{name}/members", members),
        web.get("/api/audiences/{name}/export", export),
        web.post("/api/audiences/preview", preview),
    ]


def _refused(message: str) -> web.Response:
    return _json({"success": False, "code": "bad_request", "message": message}, status=400)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )
