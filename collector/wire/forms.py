"""What each protocol takes and gives, in the words of OpenAPI 3.1: one Form for each row of the
table, put together in wire/openapi.py."""

from typing import Any

import msgspec

from collector.event import TYPES

Schema = dict[str, Any]

_ERRORS = {
    "400": "malformed",
    "401": "unknown write key or site, or an Origin that may not send",
    "408": "the body did not arrive in time",
    "413": "too large",
    "415": "unknown Content-Encoding",
    "429": "too many requests",
    "503": "nothing was taken; try again",
}
_RETRY = {
    "Retry-After": {"description": "seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}
}
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_ID: Schema = {"type": ["string", "integer", "null"], "minimum": -(2**63), "maximum": 2**63 - 1}
_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
_OBJECT: Schema = {"type": ["object", "null"]}


class Form(msgspec.Struct, frozen=True, eq=False, gc=False):
    """`body`: JSON schema of what is posted. `query`: what each parameter says. `answers`:
    OpenAPI's responses by status. `keyed`: a write key is needed, Basic's user name or in the
    request."""

    summary: str
    answers: dict[str, Schema]
    body: Schema | None = None
    query: dict[str, str] = {}
    keyed: bool = True


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def text(description: str, kind: str = "text/plain") -> Schema:
    return {"description": description, "content": {kind: {"schema": _TEXT}}}


def errors(schema: str = "Error") -> dict[str, Schema]:
    """Every error in the protocol's own words."""
    listed = {status: json_of(said, reference(schema)) for status, said in _ERRORS.items()}
    for status in ("429", "503"):
        listed[status] = listed[status] | {"headers": _RETRY}
    return listed


def image(*statuses: str) -> dict[str, Schema]:
    """A GIF whatever happens."""
    listed = {"200": "a GIF of one transparent pixel"} | {s: _ERRORS[s] for s in statuses}
    return {status: text(said, "image/gif") for status, said in listed.items()}


def _closed(**properties: Schema) -> Schema:
    """An object that has all of these, and may have more."""
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _open(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


_COMMON: dict[str, Schema] = {
    "messageId": _TEXT_OR_NULL | {"maxLength": 100},
    "userId": _ID,
    "anonymousId": _ID,
    "timestamp": _TIME,
    "sentAt": _TIME,
    "context": _OBJECT,
    "integrations": _OBJECT,
    "writeKey": _TEXT_OR_NULL,
}
_EVENT: dict[str, Schema] = _COMMON | {
    "event": _TEXT_OR_NULL,
    "name": _TEXT_OR_NULL,
    "groupId": _ID,
    "previousId": _ID,
    "properties": _OBJECT,
    "traits": _OBJECT,
}
SCHEMAS: dict[str, Schema] = {
    "Error": _closed(success={"const": False}, code=_TEXT, message=_TEXT),
    "Stored": {
        "type": "object",
        "properties": {
            "success": {"const": True},
            "anonymousId": _TEXT,
            "rejected": {
                "type": "array",
                "items": _closed(index={"type": "integer"}, code=_TEXT, message=_TEXT),
            },
        },
        "required": ["success"],
        "additionalProperties": False,
    },
    "Event": _open(**_EVENT),
    "Track": _open(**_EVENT, type=_TEXT_OR_NULL)
    | {"required": ["event"], "properties": _EVENT | {"event": {"type": "string", "minLength": 1}}},
    "Batch": {
        "type": "object",
        "properties": {
            "batch": {
                "type": "array",
                "maxItems": 2500,
                "items": _open(**_EVENT, type={"enum": sorted(TYPES)}) | {"required": ["type"]},
            },
            "writeKey": _TEXT_OR_NULL,
            "sentAt": _TIME,
            "context": _OBJECT,
            "integrations": _OBJECT,
            # Of the pixel's own path: the id was made just now; the visitor is another one.
            "fresh": {"type": "boolean"},
            "reset": {"type": "boolean"},
        },
        "required": ["batch"],
    },
    "PlausibleError": _closed(
        success={"const": False}, code=_TEXT, message=_TEXT, errors={"type": "object"}
    ),
    "UmamiError": _closed(error={"type": "object"}),
    "UmamiEvent": _closed(
        type={"enum": ["event", "identify", "performance", "error"]}, payload=_open(website=_TEXT)
    ),
}

_STORED = {"200": json_of("on disk", reference("Stored"))} | errors()
BATCH = Form("several calls", _STORED, reference("Batch"))
SEGMENT_PIXEL = Form(
    "one call as base64 JSON, or flat",
    image("429", "503"),
    query={"data": "base64 of an event", "writeKey": "the write key"},
)
GIF = Form(
    "one event of a page without script",
    image("429", "503"),
    query={
        "k": "the write key",
        "e": "a track's name, or page",
        "u": "url",
        "t": "title",
        "r": "referrer",
        "id": "message id",
        "a": "anonymous id",
        "uid": "user id",
    },
)
SNOWPLOW_GET = Form(
    "one event of Snowplow's tracker protocol",
    image("400", "401", "429", "503"),
    query={"e": "what it is", "aid": "the site", "eid": "message id", "url": "", "page": "title"},
    keyed=False,
)
SNOWPLOW_POST = Form(
    "several events of Snowplow's tracker protocol",
    {"200": text("`ok`, on disk")} | errors(),
    _closed(schema=_TEXT, data={"type": "array", "items": {"type": "object"}}),
    keyed=False,
)
SNOWPLOW_REDIRECT = Form(
    "a click, counted and sent on",
    image("400", "401", "429", "503") | {"302": {"description": "sent on"}},
    query={"u": "where to"},
    keyed=False,
)
PLAUSIBLE = Form(
    "one event of Plausible's",
    {"202": text("`ok`, on disk")} | errors("PlausibleError"),
    _closed(n=_TEXT | {"minLength": 1}, u=_TEXT, d=_TEXT),
    keyed=False,
)
UMAMI = Form(
    "one event of Umami's",
    {"200": json_of("on disk", _closed(cache=_TEXT, sessionId=_TEXT, visitId=_TEXT))}
    | errors("UmamiError"),
    reference("UmamiEvent"),
    keyed=False,
)
UMAMI_BATCH = Form(
    "several events of Umami's",
    {"200": json_of("on disk", _closed(size={"type": "integer"}, processed={"type": "integer"}))}
    | errors("UmamiError"),
    {"type": "array", "items": reference("UmamiEvent")},
    keyed=False,
)


def call(kind: str) -> Form:
    """One call of Segment's; only a track's must have a name."""
    return Form(f"one {kind} call", _STORED, reference("Track" if kind == "track" else "Event"))
