"""Which path belongs to which protocol. A new protocol is a file beside this one and its rows."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

import msgspec

from collector.compiled import Decoder, Plain
from collector.config import Limits
from collector.config_clients import Clients
from collector.config_http import Http
from collector.errors import Refused
from collector.wire import edge, forms, native, plain, plausible, rudder, segment, snowplow, umami
from collector.wire.forms import Form
from collector.wire.message import Answer, Call, Refusal, Request


class Protocol(msgspec.Struct, frozen=True, gc=False):
    """How requests are understood and answered: three functions of wire/; and how that is
    described.

    `plain`: what `parse` does in compiled code, of a kind's body, query and Referer; None of what
    is unusual. `browser` and `cookie` as in the Call that `parse` makes."""

    parse: Callable[[Request, str, Limits], Call]
    answer: Callable[[list[Refusal], int], Answer]
    error: Callable[[Refused], Answer]
    form: Form
    plain: Callable[[Decoder, str, bytes, str | None, str | None], Plain | None] | None = None
    browser: bool = False
    cookie: bool = False


class Document(msgspec.Struct, frozen=True, gc=False):
    """What a client fetches before it sends: an answer made of a write key, which the path may
    hold as `{key}`, and the collector's public address."""

    method: str
    path: str
    make: Callable[[str, str], Answer]
    summary: str

    def key_of(self, path: str) -> str | None:
        """The key that a path names, "" where it names none; None when it is another path."""
        found = re.fullmatch(re.escape(self.path).replace(r"\{key\}", "([^/]+)"), path)
        return None if found is None else unquote("".join(found.groups()))


class Route(msgspec.Struct, frozen=True, gc=False):
    method: str
    protocol: Protocol
    kind: str


_BATCH = Protocol(segment.batch, segment.answer, segment.error, forms.BATCH, plain.batch)
_BEACON = Protocol(
    segment.beacon,
    segment.answer,
    segment.error,
    forms.BATCH,
    plain.batch,
    browser=True,
    cookie=True,
)
_IMPORT = Protocol(edge.parse, segment.answer, segment.error, forms.BATCH)
_PIXEL = Protocol(segment.pixel, native.answer, native.error, forms.SEGMENT_PIXEL)
_GIF = Protocol(native.gif, native.answer, native.error, forms.GIF, plain.gif, browser=True)
_SNOWPLOW_GET = Protocol(snowplow.get, snowplow.image, snowplow.image_error, forms.SNOWPLOW_GET)
_SNOWPLOW_POST = Protocol(snowplow.post, snowplow.answer, snowplow.error, forms.SNOWPLOW_POST)
_PLAUSIBLE = Protocol(plausible.event, plausible.answer, plausible.error, forms.PLAUSIBLE)
_UMAMI = Protocol(umami.send, umami.answer, umami.error, forms.UMAMI)
_UMAMI_BATCH = Protocol(umami.batch, umami.batch_answer, umami.error, forms.UMAMI_BATCH)
_SHORT = {"identify": "i", "track": "t", "page": "p", "screen": "s", "group": "g", "alias": "a"}
_SINGLE = {
    kind: Protocol(segment.single, segment.answer, segment.error, forms.call(kind), plain.single)
    for kind in _SHORT
}


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
        protocol = Protocol(redirect, snowplow.image, snowplow.image_error, forms.SNOWPLOW_REDIRECT)
        table["/r/tp2"] = Route("GET", protocol, "event")
    return table


def _calls() -> dict[str, Route]:
    """What Segment's clients and RudderStack's have in common."""
    paths = {"/v1/batch": Route("POST", _BATCH, "batch")}
    for kind in _SHORT:
        paths[f"/v1/{kind}"] = Route("POST", _SINGLE[kind], kind)
    return paths


def _segment() -> dict[str, Route]:
    paths = _calls()
    paths["/v1/b"] = Route("POST", _BATCH, "batch")
    for kind, letter in _SHORT.items():
        paths[f"/v1/{letter}"] = Route("POST", _SINGLE[kind], kind)
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
        Document(
            "GET", "/v1/projects/{key}/settings", segment.settings, "the browser SDK's settings"
        ),
        Document("POST", "/v1/m", segment.metrics, "the browser SDK's metrics of itself, not kept"),
    ),
    "rudderstack": tuple(
        Document("GET", path, rudder.source_config, "the browser SDK's settings")
        for path in ("/sourceConfig", "/sourceConfig/")
    ),
}


def documents(clients: Clients) -> Iterator[Document]:
    """What the clients that are switched on may fetch."""
    for name, listed in DOCUMENTS.items():
        if getattr(clients, name):
            yield from listed
