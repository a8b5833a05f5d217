"""The admin API of audiences: what there is, who is in, files, a rule tried, and saved."""

from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from collector.admin import ranges
from collector.admin.respond import as_json, as_stream, limit, refused
from collector.audience.layouts import LAYOUTS, Person, write
from collector.clock import now_ms
from collector.config_audiences import AudienceConfig
from collector.errors import CollectorError

T = TypeVar("T")
_LIST_LIMIT = 1000


class Preview(msgspec.Struct, forbid_unknown_fields=True):
    """A rule, people of which site (empty: of any), and the moment (milliseconds since 1970;
    None: now)."""

    rule: Any
    site: str = ""
    at: int | None = None


class Definition(msgspec.Struct, forbid_unknown_fields=True):
    """An audience without its name."""

    rule: dict[str, Any]
    site: str = ""
    to: list[str] = []
    record: bool = True


class Asked(Protocol):
    """What is asked for here. All raise CollectorError."""

    async def summaries(self) -> list[Any]: ...

    async def details(self, name: str) -> Any: ...

    async def history(self, name: str, bounds: list[int]) -> dict[str, Any]: ...

    def export(self, audience: str, layout: str) -> AsyncIterator[list[Person]]: ...

    def preview(self, rule: Any, site: str, at: int | None) -> AsyncIterator[Any]: ...

    async def save(self, audience: AudienceConfig) -> None: ...

    async def remove(self, name: str) -> None: ...


class Api:
    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/audiences", self.summaries),
            web.post("/api/audiences/preview", self.preview),
            web.get("/api/audiences/{name}", self.details),
            web.put("/api/audiences/{name}", self.save),
            web.delete("/api/audiences/{name}", self.remove),
            web.get("/api/audiences/{name}/chart", self.chart),
            web.get("/api/audiences/{name}/members", self.members),
            web.get("/api/audiences/{name}/export", self.export),
        ]

    async def summaries(self, request: web.Request) -> web.Response:
        return as_json(await self._asked.summaries())

    async def details(self, request: web.Request) -> web.Response:
        return as_json(await self._asked.details(request.match_info["name"]))

    async def chart(self, request: web.Request) -> web.Response:
        query = request.query
        span = ranges.parse(query.get("from"), query.get("to"), query.get("zone"), now_ms())
        bounds = span.bounds()
        lines = await self._asked.history(request.match_info["name"], bounds)
        return as_json({"unit": span.unit, "at": bounds[:-1], "end": bounds[-1], **lines})

    async def members(self, request: web.Request) -> web.Response:
        most = limit(request, _LIST_LIMIT, _LIST_LIMIT)
        found: list[Person] = []
        async for portion in self._asked.export(request.match_info["name"], "plain"):
            found += portion
            if len(found) >= most:
                break
        fields = Person.__struct_fields__
        return as_json([{name: getattr(p, name) for name in fields} for p in found[:most]])

    async def export(self, request: web.Request) -> web.StreamResponse:
        name, layout = request.match_info["name"], request.query.get("layout", "plain")
        file = _file(self._asked.export(name, layout), layout)
        return await as_stream(request, "text/csv; charset=utf-8", file)

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """A line of JSON for each portion of people: many take seconds."""
        given = _read(await request.read(), Preview)
        said = self._asked.preview(given.rule, given.site, given.at)
        return await as_stream(request, "application/x-ndjson", _lines(said))

    async def save(self, request: web.Request) -> web.Response:
        given = _read(await request.read(), Definition)
        named = {"name": request.match_info["name"], **msgspec.to_builtins(given)}
        try:
            audience = msgspec.convert(named, AudienceConfig)
        except msgspec.ValidationError:
            return refused(400, "bad_request", "name: expected letters, digits, `.`, `_` and `-`")
        await self._asked.save(audience)
        return as_json({"success": True})

    async def remove(self, request: web.Request) -> web.Response:
        await self._asked.remove(request.match_info["name"])
        return as_json({"success": True})


def _read(body: bytes, form: type[T]) -> T:
    """The body's JSON. Raises CollectorError."""
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CollectorError(str(error)) from None


async def _file(portions: AsyncIterator[list[Person]], layout: str) -> AsyncIterator[bytes]:
    header = 0
    async for portion in portions:
        lines = list(write(LAYOUTS[layout], portion))
        yield "".join(lines[header:]).encode()
        header = 1  # once is enough


async def _lines(said: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """What goes wrong after the first line is told in one."""
    begun = False
    try:
        async for one in said:
            yield msgspec.json.encode(one) + b"\n"
            begun = True
    except CollectorError as error:
        if not begun:
            raise
        yield msgspec.json.encode({"success": False, "code": "failed", "message": str(error)})
