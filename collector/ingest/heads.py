"""A memory of request heads: what aiohttp's parser has made of them before.

A client on a kept connection sends the same head again and again, but for the length of its body
and, with the GIF, the request target. aiohttp's parser takes 4 to 10 µs for a head, a third of
all the work; what it said of the same bytes before it would say again. So this is no second
parser: a head that was not seen byte for byte goes to aiohttp, which refuses what it refuses,
and only a head that it took, on a connection where every byte so far belonged to a whole
request, is remembered.

Invariants: a head is cut only at its Content-Length (one line of plain digits, whose number of
bytes is just what follows the head) or at the target of a GET; all its other bytes are the key.
"""

import re

import msgspec
import yarl

from collector.wire.message import Request
from collector.wire.table import Route

_KEPT = 1024  # heads; when full they are forgotten all at once
_LONGEST = 4096  # bytes of a head that is worth keeping
_LENGTHS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_GET_LINE = re.compile(rb"GET (/[A-Za-z0-9._~/-]*)(?:\?([!-\"$-~]*))? HTTP/1\.1")


class Cut(msgspec.Struct, gc=False):
    """One whole request, cut into what is compared, and what is new in it each time."""

    key: bytes
    body: bytes
    path: str | None = None
    query: str = ""


class Head(msgspec.Struct, frozen=True, gc=False):
    """A head that aiohttp took: where it leads, and the request it came with (without body)."""

    route: Route
    request: Request


def cut(data: bytes) -> Cut | None:
    """`data` as one whole request of a form that can be remembered; None when it is not."""
    end = data.find(b"\r\n\r\n")
    if not 0 < end <= _LONGEST:
        return None
    if data.startswith(b"POST "):
        return _cut_post(data, end)
    if end + 4 != len(data):
        return None
    line = data.find(b"\r\n")
    match = _GET_LINE.fullmatch(data, 0, line)
    if match is None:
        return None
    path, query = match[1], match[2] or b""
    return Cut(path + data[line:end], b"", path.decode("ascii"), query.decode("ascii"))


def _cut_post(data: bytes, end: int) -> Cut | None:
    at = data.find(_LENGTHS[0], 0, end)
    if at < 0:
        at = data.find(_LENGTHS[1], 0, end)
        if at < 0:
            return None
    at += len(_LENGTHS[0])
    stop = data.find(b"\r\n", at)
    digits = data[at:stop]
    if not digits.isdigit() or len(digits) > 7 or int(digits) != len(data) - end - 4:
        return None
    return Cut(data[:at] + data[stop:end], data[end + 4 :])


class Heads:
    """The heads of all connections."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def recall(self, request: Cut) -> Head | None:
        return self._known.get(request.key)

    def learn(self, request: Cut, head: Head) -> None:
        if len(self._known) >= _KEPT:
            self._known.clear()
        request_head = msgspec.structs.replace(head.request, body=b"")
        self._known[request.key] = Head(head.route, request_head)


def rebuild(head: Head, request: Cut, peer: str) -> Request:
    """The request that aiohttp's parser would have made of `request`."""
    old = head.request
    url = old.url
    if request.path is not None:
        url = yarl.URL.build(path=request.path, query_string=request.query, encoded=True)
    return Request(old.method, url, old.headers, request.body, peer, old.client)
