"""What the API under /api/ answers, in OpenAPI's words."""

from typing import Any

from collector import __version__

_RANGE = {
    "from": "first day, as 2026-11-24 [default: six days before `to`]",
    "to": "last day, included [default: today]",
    "zone": "the time zone whose days are meant, as Europe/Vienna [default: UTC]",
    "site": "events of this site only",
    "bots": "1: known bots too",
}
_FILTERS = {
    "path": "of this path",
    "referrer": "whom this host led here; empty: none",
    "campaign": "of this utm_campaign",
    "event": "tracks of this name",
    "device": "from this kind of device",
    "browser": "from this browser",
    "country": "from this country",
    "type": "of this type",
}
_QUESTION = _RANGE | _FILTERS
_LIMIT = {"limit": "at most so many rows"}
# Path: what it answers, and its parameters.
ENDPOINTS: dict[str, tuple[str, dict[str, str]]] = {
    "/api/totals": (
        "Visitors, page views, events, leads, purchases and revenue, and those of the range before",
        _QUESTION,
    ),
    "/api/chart": ("Visitors, page views and events over time", _QUESTION),
    "/api/top": (
        "The most frequent values",
        _QUESTION | _LIMIT | {"by": "one of the filters' names"},
    ),
    "/api/properties": ("Properties seen with an event, their types and examples", _QUESTION),
    "/api/live": (
        "Server-sent events: `stored` and `rejected`, as they arrive, the last 50 first",
        {"site": "events of this site only"},
    ),
    "/api/people": (
        "People by a part of the address, the user id or a trait, or by the whole of any id",
        {"q": "what to look for"} | _LIMIT,
    ),
    "/api/people/{id}": ("A person: ids, traits, purchases, leads, the newest 200 events", {}),
    "/api/purchases": ("Purchases, newest first", _RANGE | _LIMIT),
    "/api/leads": ("Leads, newest first", _RANGE | _LIMIT),
    "/api/revenue": (
        "Revenue by product, category, campaign of the first or of the last touch",
        _RANGE | _LIMIT | {"by": "product, category, first or last"},
    ),
    "/api/funnel": (
        "How many visitors took each step after the one before, and the median time between",
        _QUESTION | {"step": "2 to 8 times, each as path:/pricing or event:Purchase"},
    ),
    "/api/sites": ("Sites, each with its snippet and when it was last heard of", {}),
    "/api/system": ("Counts, gauges, followers, the store's size, the settings in force", {}),
    "/api/openapi.json": ("This description", {}),
}


def document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "Collector's admin API", "version": __version__},
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "collector_admin"},
            }
        },
        "security": [{"token": []}, {"session": []}],
        "paths": {path: {"get": _operation(path, *said)} for path, said in ENDPOINTS.items()},
    }


def _operation(path: str, summary: str, parameters: dict[str, str]) -> dict[str, Any]:
    query: list[dict[str, Any]] = [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in parameters.items()
    ]
    if "{id}" in path:
        query.append({"name": "id", "in": "path", "required": True, "schema": {"type": "string"}})
    kind = "text/event-stream" if path == "/api/live" else "application/json"
    return {
        "summary": summary,
        "parameters": query,
        "responses": {
            "200": {"description": summary, "content": {kind: {}}},
            "400": {"description": "A parameter is wrong; the message names it"},
            "401": {"description": "Neither token nor session"},
            "404": {"description": "There is no such thing"},
            "503": {"description": "It took too long, or the store cannot be read"},
        },
    }
