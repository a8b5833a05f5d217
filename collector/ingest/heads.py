"""A memory of request heads: what aiohttp's parser has made of them before.

Heads differ little from request to request: in the length of the body, the visitor's address,
agent and page, and with the GIF in the target. aiohttp's parser takes 5 to 12 µs for a head, a
third of all the work; what it said of the same bytes before it would say again. So this is no
second parser: a head that was not seen byte for byte (but for those values) goes to aiohttp,
which refuses what it refuses, and only a head that it took, on a connection where every byte so
far belonged to a whole request, is remembered.

Invariants: only values of the headers named here are cut, on a line of their own, of visible
ASCII and spaces alone, none of which aiohttp gives a meaning but Content-Length; that one is
plain digits and just the number of bytes that follow. All other bytes are the key. What was cut
is not in the remembered headers, so that no request sees another one's.
"""

import re

import msgspec
import yarl
from multidict import CIMultiDict

from collector.wire.message import Client, Request
from collector.wire.table import Route

_KEPT = 1024  # heads; when full they are forgotten all at once
_LONGEST = 4096  # bytes of a head that is worth keeping
_CUT = re.compile(
    rb"\r\n([Cc]ontent-[Ll]ength|[Xx]-[Ff]orwarded-[Ff]or|[Uu]ser-[Aa]gent|[Rr]eferer"
    rb"|[Aa]ccept-[Ll]anguage|[Cc]ookie|[Xx]-[Rr]eal-I[Pp]|[Xx]-[Rr]equest-I[Dd]"
    rb"|CF-Connecting-IP|CF-Ray|[Tt]raceparent): ([ -~]*)(?=\r\n)"
)
_GET_LINE = re.compile(rb"GET (/[A-Za-z0-9._~/-]*)(?:\?([!-\"$-~]*))? HTTP/1\.1")


class Cut(msgspec.Struct, gc=False):
    """One whole request: what is compared, and what is new in it each time."""

    key: tuple[bytes, bytes]
    names: list[bytes]
    values: list[bytes]
    body: bytes
    path: str | None = None
    query: str = ""


class Head(msgspec.Struct, frozen=True, gc=False):
    """A head that aiohttp took: where it leads, its request without what is cut, and which of
    the cut values say what of the client."""

    route: Route
    request: Request
    user_agent: int | None
    referer: int | None
    forwarded: tuple[int, ...]
    cookies: tuple[int, ...]


def cut(data: bytes) -> Cut | None:
    """`data` as one whole request of a form that can be remembered; None when it is not."""
    end = data.find(b"\r\n\r\n")
    if not 0 < end <= _LONGEST:
        return None
    parts = _CUT.split(data[: end + 2])
    texts, names, values = parts[::3], parts[1::3], parts[2::3]
    key = b"\0".join(texts), b"\0".join(names)
    if data.startswith(b"POST "):
        if _length(names, values) != len(data) - end - 4:
            return None
        return Cut(key, names, values, data[end + 4 :])
    match = _GET_LINE.match(texts[0])
    if match is None or end + 4 != len(data) or _length(names, values) is not None:
        return None
    path, query = match[1], match[2] or b""
    rest = path + texts[0][match.end() :], *texts[1:]
    key = b"\0".join(rest), key[1]
    return Cut(key, names, values, b"", path.decode("ascii"), query.decode("ascii"))


def _length(names: list[bytes], values: list[bytes]) -> int | None:
    """The Content-Length, None when there is none, -1 when it is not plainly one number."""
    found = [v for n, v in zip(names, values, strict=True) if n[-7:] in (b"-Length", b"-length")]
    if not found:
        return None
    if len(found) == 1 and found[0].isdigit() and len(found[0]) <= 7:
        return int(found[0])
    return -1


class Heads:
    """The heads of all connections."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], Head] = {}

    def recall(self, request: Cut) -> Head | None:
        return self._known.get(request.key)

    def learn(self, cut_: Cut, route: Route, request: Request) -> None:
        if len(self._known) >= _KEPT:
            self._known.clear()
        headers = CIMultiDict(request.headers)
        for name in cut_.names:
            headers.popall(name.decode("ascii"), None)
        client = Client.of(headers)
        kept = msgspec.structs.replace(request, headers=headers, body=b"", client=client)
        agents = _places(cut_, b"user-agent")
        referers = _places(cut_, b"referer")
        self._known[cut_.key] = Head(
            route,
            kept,
            agents[0] if agents else None,
            referers[0] if referers else None,
            _places(cut_, b"x-forwarded-for"),
            _places(cut_, b"cookie"),
        )


def _places(cut_: Cut, name: bytes) -> tuple[int, ...]:
    return tuple(i for i, cut_name in enumerate(cut_.names) if cut_name.lower() == name)


def rebuild(head: Head, cut_: Cut, peer: str) -> Request:
    """The request that aiohttp's parser would have made."""
    old, values = head.request, cut_.values
    url = old.url
    if cut_.path is not None:
        url = yarl.URL.build(path=cut_.path, query_string=cut_.query, encoded=True)
    client = old.client.with_values(
        ",".join([_text(values[i]) for i in head.forwarded]),
        None if head.user_agent is None else _text(values[head.user_agent]),
        None if head.referer is None else _text(values[head.referer]),
        "; ".join([_text(values[i]) for i in head.cookies]) if head.cookies else "",
    )
    return Request(old.method, url, old.headers, cut_.body, peer, client)


def _text(value: bytes) -> str:
    return value.strip(b" ").decode("ascii")
