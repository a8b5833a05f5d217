"""A memory of request heads: what aiohttp's parser has made of them before.

Heads differ little from request to request: in the length of the body, the visitor's address,
agent and page, and with the GIF in the query. aiohttp's parser takes 5 to 12 µs for a head, a
third of all the work; what it said of the same bytes before it would say again. So a head that
it took becomes a shape: its own bytes, but for the values that differ. One look in compiled code
(c/head.c, 0.5 µs in all; a regular expression where it is missing, 2 µs) then tells that a head
is the same, and what is new in it.

This is no second parser: a head that was not seen byte for byte (but for those values) goes to
aiohttp, which refuses what it refuses, and only a head that it took, on a connection where
every byte so far belonged to a whole request, is remembered.

Invariants: only values of the headers named here may differ, on a line of their own, of visible
ASCII and spaces alone, none of which aiohttp gives a meaning but Content-Length; that one is
plain digits and just the number of bytes that follow. All other bytes are compared. What may
differ is not in the remembered headers, so that no request sees another one's.
"""

import re
import time
from typing import Protocol

import msgspec
import yarl
from multidict import CIMultiDict

from collector import compiled
from collector.wire import segment
from collector.wire.message import ANONYMOUS_ID, Client, Request
from collector.wire.table import Route

_LONGEST = 4096  # bytes of a head: no more is remembered, or recalled past aiohttp's limits
_START = 10  # bytes that choose the heads to compare with: method and path, roughly
_STARTS, _PER_START = 64, 16
_BURST, _PER_S = 32, 20  # heads learned; each takes about 1 ms, and strangers can send many
_MOST_PARTS = 24  # of a head that may differ: what c/head.c has room for

_DIFFERS = re.compile(
    rb"\r\n([Cc]ontent-[Ll]ength|[Xx]-[Ff]orwarded-[Ff]or|[Uu]ser-[Aa]gent|[Rr]eferer"
    rb"|[Aa]ccept-[Ll]anguage|[Cc]ookie|[Xx]-[Rr]eal-I[Pp]|[Xx]-[Rr]equest-I[Dd]"
    rb"|CF-Connecting-IP|CF-Ray|[Tt]raceparent): ([ -~]*)(?=\r\n)"
)
_GET_LINE = re.compile(rb"GET (/[A-Za-z0-9._~/-]*)(?:\?[!-\"$-~]*)? HTTP/1\.1")
# What may differ, by the numbers that c/head.c has for it, and what it may be.
_SKIPPED, _LENGTH, _QUERY, _FORWARDED, _COOKIES, _AGENT, _REFERER, _REQUEST_ID = range(8)
_SLOTS = {
    b"content-length": _LENGTH,
    b"x-forwarded-for": _FORWARDED,
    b"cookie": _COOKIES,
    b"user-agent": _AGENT,
    b"referer": _REFERER,
    b"x-request-id": _REQUEST_ID,
}
_LISTS = {_FORWARDED: ",", _COOKIES: "; "}
_VALUES = {_LENGTH: rb"([0-9]{1,7}+)", _QUERY: rb"(?:\?([!-\"$-~]*+))?"}
_VALUE = rb"([ -~]*+)"

# Of one request, where its head has a place for it: body, query, X-Forwarded-For, Cookie,
# User-Agent, Referer, X-Request-Id.
Sent = tuple[bytes, str | None, str | None, str | None, str | None, str | None, str | None]


class Matcher(Protocol):
    """Tells what a request says, if its head is of a shape and `data` is all of it."""

    def match(self, data: bytes, /) -> Sent | None: ...


class Shape(msgspec.Struct, frozen=True):
    """A head's own bytes, in pieces, and what stands between each two of them."""

    pieces: tuple[bytes, ...]
    slots: tuple[int, ...]

    def matcher(self) -> Matcher:
        if compiled.COMPILED:
            return compiled.Head(self.pieces, self.slots)
        return Expression(self)


class Head(msgspec.Struct, frozen=True):
    """A head that aiohttp took: where it leads, and its request without what differs. `plain`:
    nothing in it keeps what is sent from being taken in compiled code; `key`: the write key that
    it names."""

    route: Route
    request: Request
    plain: bool
    key: str | None
    matcher: Matcher | None = None

    @classmethod
    def of(cls, route: Route, request: Request, matcher: Matcher | None = None) -> "Head":
        client, protocol = request.client, route.protocol
        plain = protocol.plain is not None and not (
            client.gpc or client.dnt or ANONYMOUS_ID in request.headers
        )
        key = segment.basic_user(request) if route.method == "POST" else None
        return cls(route, request, plain, key, matcher)

    def again(self, sent: Sent, peer: str) -> Request:
        """The request that aiohttp's parser would have made."""
        old, was = self.request, self.request.client
        body, query, forwarded, cookies, agent, referer, request_id = sent
        url = old.url
        if query is not None:
            url = yarl.URL.build(path=url.raw_path, query_string=query, encoded=True)
        client = Client(
            was.origin,
            was.gpc,
            was.forwarded if forwarded is None else forwarded,
            was.user_agent if agent is None else Client.agent(agent),
            was.referer if referer is None else referer,
            was.dnt,
            was.cookies if cookies is None else cookies,
            was.request_id if request_id is None else request_id,
        )
        return Request(old.method, url, old.headers, body, peer, client)


def sent_by(request: Request) -> Sent:
    """What a whole request says."""
    client = request.client
    return (
        request.body,
        request.url.raw_query_string,
        client.forwarded,
        client.cookies,
        client.user_agent,
        client.referer,
        client.request_id,
    )


def shape(data: bytes) -> Shape | None:
    """The shape of `data`, which is one whole request of a form that can be remembered; None
    when it is not."""
    end = data.find(b"\r\n\r\n")
    if not 0 < end <= _LONGEST:
        return None
    head = data[: end + 2]
    found = list(_DIFFERS.finditer(head))
    lengths = [m[2] for m in found if m[1].lower() == b"content-length"]
    pieces: list[bytes] = []
    slots: list[int] = []
    at = 0
    if data.startswith(b"POST "):
        if len(lengths) != 1 or not _says(lengths[0], len(data) - end - 4):
            return None
    else:
        line = _GET_LINE.match(head)
        if line is None or lengths or end + 4 != len(data):
            return None
        pieces, slots, at = [head[: line.end(1)]], [_QUERY], line.end() - len(" HTTP/1.1")
    for match in found:
        pieces.append(head[at : match.start(2)])
        slots.append(_SLOTS.get(match[1].lower(), _SKIPPED))
        at = match.end(2)
    if len(slots) > _MOST_PARTS:
        return None
    return Shape((*pieces, head[at:] + b"\r\n"), tuple(slots))


def _says(value: bytes, length: int) -> bool:
    return value.isdigit() and len(value) <= 7 and int(value) == length


class Heads:
    """The heads of all connections."""

    def __init__(self) -> None:
        self.known: dict[bytes, list[Head]] = {}
        self._budget, self._filled_at = float(_BURST), time.monotonic()

    def recall(self, data: bytes) -> tuple[Head, Sent] | None:
        """The head that `data` begins with, if it is known, and what this request says; `data`
        is all of it and no more."""
        heads = self.known.get(data[:_START])
        if heads is None:
            return None
        for place, head in enumerate(heads):
            sent = head.matcher.match(data) if head.matcher is not None else None
            if sent is not None:
                if place:
                    heads.insert(0, heads.pop(place))
                return head, sent
        return None

    def forget(self) -> None:
        """The paths have other meanings now."""
        self.known.clear()

    def learn(self, wanted: Shape, data: bytes, route: Route, request: Request) -> None:
        """Remember the head of `data`, which aiohttp took as `request`."""
        if not self._affordable():
            return
        if len(self.known) >= _STARTS:
            self.known.clear()
        headers = CIMultiDict(request.headers)
        for match in _DIFFERS.finditer(data[: data.find(b"\r\n\r\n") + 2]):
            headers.popall(match[1].decode("ascii"), None)
        client = Client.of(headers)
        kept = msgspec.structs.replace(request, headers=headers, body=b"", client=client)
        heads = self.known.setdefault(data[:_START], [])
        heads.insert(0, Head.of(route, kept, wanted.matcher()))
        del heads[_PER_START:]

    def _affordable(self) -> bool:
        now = time.monotonic()
        self._budget = min(_BURST, self._budget + (now - self._filled_at) * _PER_S)
        self._filled_at = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True


class Expression:
    """A shape as a regular expression: what c/head.c does, where it is missing."""

    def __init__(self, wanted: Shape) -> None:
        parts = [re.escape(wanted.pieces[0])]
        for slot, piece in zip(wanted.slots, wanted.pieces[1:], strict=True):
            parts += [_VALUES.get(slot, _VALUE), re.escape(piece)]
        self._expression = re.compile(b"".join(parts))
        self._slots = wanted.slots

    def match(self, data: bytes, /) -> Sent | None:
        found = self._expression.match(data)
        if found is None or found.end() > _LONGEST:
            return None
        body, length = data[found.end() :], 0
        said: dict[int, str] = {}
        for slot, value in zip(self._slots, found.groups(b""), strict=True):
            text = value.decode("ascii")
            if slot == _LENGTH:
                length = int(text)
            elif slot == _QUERY:
                said[slot] = text
            elif slot in _LISTS and slot in said:
                said[slot] += _LISTS[slot] + text.strip(" ")
            else:
                said.setdefault(slot, text.strip(" "))
        if len(body) != length:
            return None
        return body, *map(said.get, range(_QUERY, _REQUEST_ID + 1))  # type: ignore[return-value]
