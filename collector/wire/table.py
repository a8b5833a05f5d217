"""Which path belongs to which protocol. A new protocol is a file beside this one and its rows."""

import re
from collections.abc import Callable, Iterator

import msgspec

from collector.config import Http, Limits
from collector.config_clients import Clients
from collector.errors import Refused
from collector.wire import edge, native, plausible, rudder, segment, snowplow, umami
from collector.wire.message import Answer, Call, Refusal, Request


class Protocol(msgspec.Struct, frozen=True, gc=False):
    """How requests are understood and answered: three functions of wire/."""

    parse: Callable[[Request, str, Limits], Call]
    answer: Callable[[list[Refusal], int], Answer]
    error: Callable[[Refused], Answer]


class Document(msgspec.Struct, frozen=True, gc=False):
    """What a client fetches before it sends: an answer made of a write key, which the path may
    hold as `key`, and the collector's public address."""

    method: str
    path: re.Pattern[str]
    make: Callable[[str, str], Answer]


class Route(msgspec.Struct, frozen=True, gc=False):
    method: str
    protocol: Protocol
    kind: str


_SINGLE = Protocol(segment.single, segment.answer, segment.error)
_BATCH = Protocol(segment.batch, segment.answer, segment.error)
_BEACON = Protocol(segment.beacon, segment.answer, segment.error)
_IMPORT = Protocol(edge.parse, segment.answer, segment.error)
_PIXEL = Protocol(segment.pixel, native.answer, native.error)
_GIF = Protocol(native.gif, native.answer, native.error)
_SNOWPLOW_GET = Protocol(snowplow.get, snowplow.image, snowplow.image_error)
_SNOWPLOW_POST = Protocol(snowplow.post, snowplow.answer, snowplow.error)
_PLAUSIBLE = Protocol(plausible.event, plausible.answer, plausible.error)
_UMAMI = Protocol(umami.send, umami.answer, umami.error)
_UMAMI_BATCH = Protocol(umami.batch, umami.batch_answer, umami.error)
_SHORT = {"identify": "i", "track": "t", "page": "p", "screen": "s", "group": "g", "alias": "a"}


def routes(http: Http, clients: Clients) -> dict[str, Route]:
    """Every ingest path of the public listener, those of clients that are switched off left
    out."""
    table = {
        http.beacon_path: Route("POST", _BEACON, "batch"),
        http.gif_path: Route("GET", _GIF, "page"),
        "/pixel.gif": Route("GET", _GIF, "page"),
        "/v1/import": Route("POST", _IMPORT, "import"),
    }
    for name, paths in CLIENTS.items():
        if getattr(clients, name):
            table |= paths
    if clients.snowplow and http.redirect_domains:
        redirect = snowplow.redirect(http.redirect_domains)
        protocol = Protocol(redirect, snowplow.image, snowplow.image_error)
        table["/r/tp2"] = Route("GET", protocol, "event")
    return table


def _calls() -> dict[str, Route]:
    """What Segment's clients and RudderStack's have in common."""
    paths = {"/v1/batch": Route("POST", _BATCH, "batch")}
    for kind in _SHORT:
        paths[f"/v1/{kind}"] = Route("POST", _SINGLE, kind)
    return paths


def _segment() -> dict[str, Route]:
    paths = _calls()
    paths["/v1/b"] = Route("POST", _BATCH, "batch")
    for kind, letter in _SHORT.items():
        paths[f"/v1/{letter}"] = Route("POST", _SINGLE, kind)
        paths[f"/v1/pixel/{kind}"] = Route("GET", _PIXEL, kind)
    return paths


def _rudder() -> dict[str, Route]:
    return _calls() | {"/beacon/v1/batch": Route("POST", _BATCH, "batch")}


# By the name of the setting in [clients] that switches them off.
CLIENTS: dict[str, dict[str, Route]] = {
    "segment": _segment(),
    "rudderstack": _rudder(),
    "snowplow": {
        "/i": Route("GET", _SNOWPLOW_GET, "event"),
        "/ice.png": Route("GET", _SNOWPLOW_GET, "event"),
        "/com.snowplowanalytics.snowplow/tp2": Route("POST", _SNOWPLOW_POST, "batch"),
    },
    "plausible": {"/api/event": Route("POST", _PLAUSIBLE, "event")},
    "umami": {
        "/api/send": Route("POST", _UMAMI, "event"),
        "/api/batch": Route("POST", _UMAMI_BATCH, "batch"),
    },
}
DOCUMENTS: dict[str, tuple[Document, ...]] = {
    "segment": (
        Document("GET", re.compile(r"/v1/projects/(?P<key>[^/]+)/settings"), segment.settings),
        Document("POST", re.compile(r"/v1/m"), segment.metrics),
    ),
    "rudderstack": (Document("GET", re.compile(r"/sourceConfig/?"), rudder.source_config),),
}


def documents(clients: Clients) -> Iterator[Document]:
    """What the clients that are switched on may fetch."""
    for name, listed in DOCUMENTS.items():
        if getattr(clients, name):
            yield from listed
