"""The JSON API of the dashboard; openapi.py describes it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from collector.admin import ranges
from collector.admin.openapi import document
from collector.admin.respond import Told, answered, as_json, limit
from collector.clock import now_ms
from collector.errors import CollectorError
from collector.store import funnels, lookup, reports, sales
from collector.store.hits import DIMENSIONS
from collector.store.question import Question
from collector.store.reader import Reads

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_LIVE_TICK_S = 0.25
_LIVE_MOST = 200


class Outside(msgspec.Struct, frozen=True):
    """What the API is told by the rest of the process."""

    sites: Callable[[], list[dict[str, Any]]]
    system: Callable[[], dict[str, Any]]
    last_seq: Callable[[], int]
    stopping: Callable[[], bool]
    answering: Callable[[], contextlib.AbstractContextManager[None]]  # around what one waits for


def ask(request: web.Request) -> tuple[Question, ranges.Range]:
    """The question in the query. Raises CollectorError naming the parameter."""
    query = request.query
    span = ranges.parse(query.get("from"), query.get("to"), query.get("zone"), now_ms())
    chosen = {name: query.get(name) for name in ("site", *DIMENSIONS)}
    return Question(span.start, span.end, bots=query.get("bots") == "1", **chosen), span


def _one_of(request: web.Request, name: str, among: tuple[str, ...]) -> str:
    text = request.query.get(name, "")
    if text not in among:
        raise CollectorError(f"{name}: expected one of {', '.join(among)}")
    return text


class Api:
    """`counts` answers from rollups and hits, `tables` from the tables: a long look at one keeps
    nobody waiting at the other."""

    def __init__(self, counts: Reads, tables: Reads, outside: Outside) -> None:
        self._counts = counts
        self._tables = tables
        self._outside = outside

    def routes(self) -> list[web.RouteDef]:
        table: dict[str, Handler] = {
            "/api/totals": self.totals,
            "/api/chart": self.chart,
            "/api/top": self.top,
            "/api/properties": self.properties,
            "/api/people": self.people,
            "/api/people/{id}": self.person,
            "/api/purchases": self.purchases,
            "/api/leads": self.leads,
            "/api/revenue": self.revenue,
            "/api/funnel": self.funnel,
            "/api/sites": self.sites,
            "/api/system": self.system,
            "/api/openapi.json": self.openapi,
        }
        waited_for = [web.get(path, self._answering(handler)) for path, handler in table.items()]
        return [*waited_for, web.get("/api/live", self.live)]

    def _answering(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            with self._outside.answering():
                return await handler(request)

        return answer

    async def totals(self, request: web.Request) -> web.StreamResponse:
        question, span = ask(request)
        before = msgspec.structs.replace(question, start=span.before.start, end=span.before.end)
        days = {"from": str(span.first), "to": str(span.last)}

        async def work(told: Told) -> Any:
            def second(share: float) -> None:
                told(0.5 + share / 2)

            now = await self._counts.watched(lambda s: told(s / 2), reports.totals, question)
            earlier = await self._counts.watched(second, reports.totals, before)
            return {**days, "now": now, "before": earlier}

        return await answered(request, work)

    async def chart(self, request: web.Request) -> web.StreamResponse:
        question, span = ask(request)
        bounds = span.bounds()

        async def work(told: Told) -> Any:
            lines = await self._counts.watched(told, reports.chart, question, bounds)
            return {"unit": span.unit, "at": bounds[:-1], "end": bounds[-1], **lines}

        return await answered(request, work)

    async def top(self, request: web.Request) -> web.StreamResponse:
        question, _ = ask(request)
        by, most = _one_of(request, "by", DIMENSIONS), limit(request, 10)

        async def work(told: Told) -> Any:
            rows = await self._counts.watched(told, reports.top, question, by, most)
            return {"by": by, "rows": rows}

        return await answered(request, work)

    async def properties(self, request: web.Request) -> web.Response:
        question, _ = ask(request)
        if not question.event:
            raise CollectorError("event: expected an event's name")
        rows = await self._tables.run(lookup.properties, question, question.event)
        return as_json({"event": question.event, "properties": rows})

    async def people(self, request: web.Request) -> web.StreamResponse:
        """Whose id or address it is; if nobody's, or with part=1, who has it in one or a trait."""
        text, most = request.query.get("q", "").strip(), limit(request, 50)
        sites = [site["name"] for site in self._outside.sites()]

        async def work(told: Told) -> Any:
            if request.query.get("part") != "1":
                rows = await self._tables.run(lookup.people, text, sites, most)
                if rows or not text:
                    return {"people": rows, "whole": bool(text)}
            rows = await self._tables.watched(told, lookup.people_with, text, most)
            return {"people": rows, "whole": False}

        return await answered(request, work)

    async def person(self, request: web.Request) -> web.Response:
        found = await self._tables.run(lookup.person, request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound
        return as_json(found)

    async def purchases(self, request: web.Request) -> web.Response:
        question, _ = ask(request)
        rows = await self._tables.run(sales.purchases, question, limit(request, 100))
        return as_json({"purchases": rows})

    async def leads(self, request: web.Request) -> web.Response:
        question, _ = ask(request)
        rows = await self._tables.run(sales.leads, question, limit(request, 100))
        return as_json({"leads": rows})

    async def revenue(self, request: web.Request) -> web.Response:
        question, _ = ask(request)
        by = _one_of(request, "by", sales.REVENUE_BY)
        rows = await self._tables.run(sales.revenue, question, by, limit(request, 20))
        return as_json({"by": by, "rows": rows})

    async def funnel(self, request: web.Request) -> web.StreamResponse:
        question, _ = ask(request)
        steps = funnels.parse(request.query.getall("step", []))

        async def work(told: Told) -> Any:
            return {"steps": await self._counts.watched(told, funnels.funnel, question, steps)}

        return await answered(request, work)

    async def sites(self, request: web.Request) -> web.Response:
        heard = await self._tables.run(lookup.last_heard)
        rows = [{**site, "last_at": heard.get(site["name"])} for site in self._outside.sites()]
        return as_json({"sites": rows})

    async def system(self, request: web.Request) -> web.Response:
        sizes = await self._tables.run(lookup.sizes)
        return as_json({**self._outside.system(), "store": sizes})

    async def openapi(self, request: web.Request) -> web.Response:
        return as_json(document())

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Events and refusals as they arrive, the last 50 first."""
        async with sse_response(request) as stream:
            with contextlib.suppress(ConnectionResetError):  # whoever watched has gone
                await self._tell(stream, request.query.get("site"))
        return stream

    async def _tell(self, stream: EventSourceResponse, site: str | None) -> None:
        seq, refused, first = 0, 0, True
        while stream.is_connected() and not self._outside.stopping():
            if first or self._outside.last_seq() > seq:
                many = 50 if first else _LIVE_MOST
                # Before the rows: what comes while they are read and sent is among the next.
                known = await self._tables.run(lookup.last_seq) if first else 0
                for row in await self._tables.run(lookup.newest, seq, many, site):
                    seq = max(seq, row["seq"])
                    await stream.send(_text(row), event="stored")
                seq = max(seq, known)
            for row in await self._tables.run(lookup.rejected, refused, 20):
                refused = row["id"]
                await stream.send(_text(row), event="rejected")
            first = False
            await asyncio.sleep(_LIVE_TICK_S)


def _text(row: dict[str, Any]) -> str:
    return msgspec.json.encode(row).decode()
