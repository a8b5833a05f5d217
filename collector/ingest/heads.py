"""A memory of request heads: what aiohttp's parser has made of them before.

Heads differ little from request to request: in the length of the body, the visitor's address,
agent and page, and with the GIF in the query. aiohttp's parser takes 5 to 12 µs for a head, a
third of all the work; what it said of the same bytes before it would say again. So a head that
it took becomes a regular expression: its own bytes, but for the values that differ. One match
in compiled code (0.8 µs) then tells that a head is the same, and what is new in it.

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
from collections.abc import Mapping

import msgspec
import yarl
from multidict import CIMultiDict

from collector.wire.message import Client, Request
from collector.wire.table import Route

_LONGEST = 4096  # bytes of a head that is worth keeping
_START = 10  # bytes that choose the heads to compare with: method and path, roughly
_STARTS, _PER_START = 64, 16
_BURST, _PER_S = 32, 20  # heads learned; each takes about 1 ms, and strangers can send many
_AGENTS = 1024

_DIFFERS = re.compile(
    rb"\r\n([Cc]ontent-[Ll]ength|[Xx]-[Ff]orwarded-[Ff]or|[Uu]ser-[Aa]gent|[Rr]eferer"
    rb"|[Aa]ccept-[Ll]anguage|[Cc]ookie|[Xx]-[Rr]eal-I[Pp]|[Xx]-[Rr]equest-I[Dd]"
    rb"|CF-Connecting-IP|CF-Ray|[Tt]raceparent): ([ -~]*)(?=\r\n)"
)
_VALUE, _LENGTH = rb"[ -~]*+", rb"[0-9]{1,7}+"
_GET_LINE = re.compile(rb"GET (/[A-Za-z0-9._~/-]*)(?:\?[!-\"$-~]*)? HTTP/1\.1")
_QUERY = rb"(?:\?(?P<query>[!-\"$-~]*+))?"
_KEPT = {
    b"x-forwarded-for": "forwarded",
    b"cookie": "cookies",
    b"user-agent": "agent",
    b"referer": "referer",
    b"x-request-id": "request",
}


class Head(msgspec.Struct, frozen=True, gc=False):
    """A head that aiohttp took: where it leads, its request without what differs, and the
    groups of the expression that say what differs."""

    expression: re.Pattern[bytes]
    route: Route
    request: Request
    length: int | None
    query: int | None
    forwarded: tuple[int, ...]
    cookies: tuple[int, ...]
    agent: int | None
    referer: int | None
    request_id: int | None


def expression(data: bytes) -> bytes | None:
    """What a head must match to be the same as that of `data`, which is one whole request of a
    form that can be remembered; None when it is not."""
    end = data.find(b"\r\n\r\n")
    if not 0 < end <= _LONGEST:
        return None
    head = data[: end + 2]
    found = list(_DIFFERS.finditer(head))
    lengths = [m[2] for m in found if m[1].lower() == b"content-length"]
    if data.startswith(b"POST "):
        if len(lengths) != 1 or not _says(lengths[0], len(data) - end - 4):
            return None
        parts, at = [], 0
    else:
        line = _GET_LINE.match(head)
        if line is None or lengths or end + 4 != len(data):
            return None
        parts, at = [re.escape(head[: line.end(1)]) + _QUERY], line.end() - len(" HTTP/1.1")
    for number, match in enumerate(found):
        parts += [re.escape(head[at : match.start(2)]), _group(match[1].lower(), number)]
        at = match.end(2)
    return b"".join([*parts, re.escape(head[at:]), rb"\r\n"])


def _says(value: bytes, length: int) -> bool:
    return value.isdigit() and len(value) <= 7 and int(value) == length


def _group(name: bytes, number: int) -> bytes:
    if name == b"content-length":
        return rb"(?P<length>" + _LENGTH + rb")"
    kept = _KEPT.get(name)
    return rb"(?P<%s%d>%s)" % (kept.encode(), number, _VALUE) if kept else _VALUE


class Heads:
    """The heads of all connections."""

    def __init__(self) -> None:
        self.known: dict[bytes, list[Head]] = {}
        self._agents: dict[bytes, str | None] = {}
        self._budget, self._filled_at = float(_BURST), time.monotonic()

    def recall(self, data: bytes, peer: str) -> tuple[Route, Request] | None:
        """Where a request leads and what aiohttp would make of it, if its head is known and
        `data` is all of it and no more."""
        heads = self.known.get(data[:_START])
        if heads is None:
            return None
        for place, head in enumerate(heads):
            match = head.expression.match(data)
            if match is None:
                continue
            if place:
                heads.insert(0, heads.pop(place))
            body = data[match.end() :]
            if len(body) != (int(match[head.length]) if head.length else 0):
                return None
            return head.route, self._request(head, match, body, peer)
        return None

    def forget(self) -> None:
        """The paths have other meanings now."""
        self.known.clear()

    def learn(self, wanted: bytes, data: bytes, route: Route, request: Request) -> None:
        """Remember the head of `data`, which aiohttp took as `request`."""
        if not self._affordable():
            return
        if len(self.known) >= _STARTS:
            self.known.clear()
        compiled = re.compile(wanted)
        headers = CIMultiDict(request.headers)
        for match in _DIFFERS.finditer(data[: data.find(b"\r\n\r\n") + 2]):
            headers.popall(match[1].decode("ascii"), None)
        client = Client.of(headers)
        kept = msgspec.structs.replace(request, headers=headers, body=b"", client=client)
        groups = compiled.groupindex
        named = {kind: _numbers(groups, kind) for kind in _KEPT.values()}
        head = Head(
            compiled,
            route,
            kept,
            groups.get("length"),
            groups.get("query"),
            named["forwarded"],
            named["cookies"],
            *((named[kind] or (None,))[0] for kind in ("agent", "referer", "request")),
        )
        heads = self.known.setdefault(data[:_START], [])
        heads.insert(0, head)
        del heads[_PER_START:]

    def _affordable(self) -> bool:
        now = time.monotonic()
        self._budget = min(_BURST, self._budget + (now - self._filled_at) * _PER_S)
        self._filled_at = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    def _request(self, head: Head, match: re.Match[bytes], body: bytes, peer: str) -> Request:
        """The request that aiohttp's parser would have made."""
        old = head.request
        url = old.url
        if head.query is not None:
            query = match[head.query] or b""
            url = yarl.URL.build(path=url.raw_path, query_string=query.decode(), encoded=True)
        client = old.client
        client = Client(
            client.origin,
            client.gpc,
            _joined(match, head.forwarded, ",") if head.forwarded else client.forwarded,
            client.user_agent if head.agent is None else self._agent(match[head.agent]),
            client.referer if head.referer is None else _text(match[head.referer]),
            client.dnt,
            _joined(match, head.cookies, "; ") if head.cookies else client.cookies,
            client.request_id if head.request_id is None else _text(match[head.request_id]),
        )
        return Request(old.method, url, old.headers, body, peer, client)

    def _agent(self, value: bytes) -> str | None:
        """There are few agents and many visitors."""
        try:
            return self._agents[value]
        except KeyError:
            if len(self._agents) >= _AGENTS:
                self._agents.clear()
            agent = self._agents[value] = Client.agent(_text(value))
            return agent


def _numbers(groups: Mapping[str, int], kind: str) -> tuple[int, ...]:
    return tuple(number for name, number in groups.items() if name.startswith(kind))


def _joined(match: re.Match[bytes], groups: tuple[int, ...], between: str) -> str:
    return between.join([_text(match[group]) for group in groups])


def _text(value: bytes) -> str:
    return value.strip(b" ").decode("ascii")
