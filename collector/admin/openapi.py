"""What the API under /api/ answers, in OpenAPI's words."""

import re
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
_PERSON = {
    "user": "one of the three: a user id",
    "anonymous": "an anonymous id",
    "email": "an e-mail address",
    "site": "at this site only",
}
_AUDIENCE = {
    "rule": "as in the settings, docs/AUDIENCES.md",
    "site": "people of this site only",
}
# Path: what GET answers, and its parameters.
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
        "Whose address or id it is (`whole`); if nobody's, who has it in an address, user id or "
        "trait",
        {"q": "what to look for", "part": "1: in any case who has it in them"} | _LIMIT,
    ),
    "/api/people/{id}": ("A person: ids, traits, purchases, leads, the newest 200 events", {}),
    "/api/purchases": ("Purchases, newest first", _QUESTION | _LIMIT),
    "/api/leads": ("Leads, newest first", _QUESTION | _LIMIT),
    "/api/revenue": (
        "Revenue by product, category, campaign of the first or of the last touch",
        _QUESTION | _LIMIT | {"by": "product, category, first or last"},
    ),
    "/api/funnel": (
        "How many visitors took each step after the one before, and the median time between",
        _QUESTION | {"step": "2 to 8 times, each as path:/pricing or event:Purchase"},
    ),
    "/api/sites": ("Sites, each with its snippet and when it was last heard of", {}),
    "/api/system": ("Counts, gauges, followers, the store's size, the settings in force", {}),
    "/api/audiences": ("Audiences, how many belong to each, and where they are defined", {}),
    "/api/audiences/{name}": ("An audience: its rule, and for each destination what waits", {}),
    "/api/audiences/{name}/chart": (
        "Members at the end of each piece of time, who entered and who left in it",
        {name: _RANGE[name] for name in ("from", "to", "zone")},
    ),
    "/api/audiences/{name}/members": ("Members who may be delivered", _LIMIT),
    "/api/audiences/{name}/export": (
        "The members as CSV",
        {"layout": "plain, google or meta [default: plain]"},
    ),
    "/api/access": ("All that is stored of a person, a JSON object a line", _PERSON),
    "/api/import": ("How far a file has been imported", {"source": "a hash of its beginning"}),
    "/api/forward": ("Each upstream: lag, last error, next try", {}),
    "/api/openapi.json": ("This description", {}),
}
# Path and method: what it does, and the fields of the JSON object that it takes.
ACTIONS: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("/api/audiences/preview", "post"): (
        "How many would belong, and who: a line of JSON for each portion of people looked at, the "
        "last one with `success`",
        _AUDIENCE | {"at": "a past moment, milliseconds since 1970 [default: now]"},
    ),
    ("/api/audiences/{name}", "put"): (
        "Keep an audience in the database, anew or changed",
        _AUDIENCE
        | {"to": "names of destinations", "record": "whether changes are written into the log"},
    ),
    ("/api/audiences/{name}", "delete"): ("Take away an audience of the database", {}),
    ("/api/forget", "post"): ("Erase a person everywhere; answers with what was removed", _PERSON),
    ("/api/rebuild", "post"): ("Make people, purchases and audiences anew from the log", {}),
    ("/api/import", "post"): (
        "Take events of a file, those of the site in the query's `site`; answers with what was "
        "refused",
        {"batch": "calls in Segment's form"},
    ),
    ("/api/rejected/replay", "post"): (
        "Try again what was refused; answers with what is stored now and what stays, and why",
        {
            "since": "milliseconds since 1970",
            "until": "milliseconds since 1970",
            "sites": "names [default: all]",
            "codes": "as invalid_event [default: all]",
        },
    ),
    ("/api/import", "put"): (
        "Note how far the file of the query's `source` has come",
        dict.fromkeys(("bytes", "lines", "digest", "salt"), "of what is in the log"),
    ),
    ("/api/forward/{name}/rewind", "post"): (
        "Forward again from there on",
        {"seq": "a number", "time": "or a time, milliseconds since 1970"},
    ),
    ("/api/forward/{name}/audit", "post"): (
        "Compare a range of the log with the upstream's",
        {"after": "from which number on"},
    ),
    ("/api/forward/{name}/drop", "post"): (
        "Let go of an upstream that the settings no longer name",
        {},
    ),
}


_KINDS = {
    "/api/live": "text/event-stream",
    "/api/access": "application/x-ndjson",
    "/api/audiences/{name}/export": "text/csv",
}


def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {
        path: {"get": _get(path, *said)} for path, said in ENDPOINTS.items()
    }
    for (path, method), said in ACTIONS.items():
        paths.setdefault(path, {})[method] = _act(path, *said)
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
        "paths": paths,
    }


def _get(path: str, summary: str, parameters: dict[str, str]) -> dict[str, Any]:
    query = [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in parameters.items()
    ]
    return _operation(path, summary, query, _KINDS.get(path, "application/json"))


def _act(path: str, summary: str, fields: dict[str, str]) -> dict[str, Any]:
    kind = "application/x-ndjson" if path.endswith("/preview") else "application/json"
    described = {name: {"description": text} for name, text in fields.items()}
    body = {"application/json": {"schema": {"type": "object", "properties": described}}}
    said = _operation(path, summary, [], kind)
    return said | ({"requestBody": {"content": body}} if fields else {})


def _operation(
    path: str, summary: str, parameters: list[dict[str, Any]], kind: str
) -> dict[str, Any]:
    for name in re.findall(r"{(\w+)}", path):
        parameters.append(
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        )
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": summary, "content": {kind: {}}},
            "400": {"description": "What is given is wrong; the message names it"},
            "401": {"description": "Neither token nor session"},
            "403": {"description": "Sent by the page of another site"},
            "404": {"description": "There is no such thing"},
            "503": {"description": "It took too long, or cannot be answered now"},
        },
    }
