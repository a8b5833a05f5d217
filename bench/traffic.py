"""Requests shaped like real traffic, the same ones for the same seed.

Distribution:
- shapes: `single` is one track event by POST /v1/track; `batch20` is 20 events by POST
  /v1/batch, of which 60 % are page views, 15 % identify and 25 % track; `gif` is a page view
  (80 %) or an event by GET /c.gif, its facts in the query.
- track events: 8 % Purchase Completed with 1 to 4 products, 2 % a bare Purchase, 8 % Lead
  Captured, the rest a shop's own names with three to five properties.
- page addresses: 25 % carry campaign parameters with a click id (170 to 280 characters).
- visitors: 5,000, drawn so that a fifth of them makes about half of the traffic; 30 % known.
- headers: as a browser behind a reverse proxy sends them (user agent, origin, referrer,
  languages, X-Forwarded-For); with `few`, what a server's SDK sends.
- message ids: UUIDv7-like, growing with time. A pool holds each request with STEM in place of
  all of an id but its last two digits, the event's place in its request; the sender fills it in.

The times in a pool are those of its making. Median sizes by shape: `python -m bench.traffic`.
"""

import random
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from bench import visitors
from bench.visitors import ORIGIN, Visitor

SHAPES = {"single": 1, "batch20": 20, "gif": 1}
METHODS = {"single": "POST", "batch20": "POST", "gif": "GET"}
STEM = b"\x01" * 34
_encode = msgspec.json.Encoder().encode


class Traffic:
    """Makes requests for one write key; `host` is what the Host header says."""

    def __init__(self, key: str, host: str, headers: str = "browser", seed: int = 1) -> None:
        self._key = key
        self._host = host
        self._browser = headers == "browser"
        self._random = random.Random(seed)
        self._now = datetime.now(UTC)

    def pool(self, shape: str, count: int) -> list[bytes]:
        """`count` whole requests, each id's stem left open."""
        return [getattr(self, f"_{shape}")() for _ in range(count)]

    def bodies(self, shape: str, count: int) -> list[bytes]:
        """The same without HTTP."""
        return [request.partition(b"\r\n\r\n")[2] for request in self.pool(shape, count)]

    def _single(self) -> bytes:
        visitor = Visitor(self._random)
        body = self._track(visitor, 0) | {"writeKey": self._key, "sentAt": self._iso(0)}
        del body["type"]
        return self._post("/v1/track", body, visitor)

    def _batch20(self) -> bytes:
        visitor = Visitor(self._random)
        events = [self._any(visitor, i) for i in range(SHAPES["batch20"])]
        body = {"writeKey": self._key, "sentAt": self._iso(0), "batch": events}
        return self._post("/v1/batch", body, visitor)

    def _gif(self) -> bytes:
        visitor = Visitor(self._random)
        page = visitors.page(self._random)
        query = {
            "k": self._key,
            "e": "page",
            "u": page["url"],
            "t": page["title"],
            "r": page["referrer"],
            "a": visitor.anonymous_id,
        }
        if self._random.random() < 0.2:
            query |= {"e": self._random.choice(visitors.TRACKED), "p.value": "19.95"}
        if visitor.user_id:
            query["uid"] = visitor.user_id
        # quote, not quote_plus: as encodeURIComponent does.
        text = urlencode({name: value for name, value in query.items() if value}, quote_via=quote)
        head = f"GET /c.gif?{text}&id=".encode() + STEM + b"00 HTTP/1.1\r\n"
        return head + self._headers(visitor, page["url"], "image/avif,image/webp,*/*;q=0.8")

    def _post(self, path: str, body: dict[str, Any], visitor: "Visitor") -> bytes:
        data = _encode(body).replace(_ENCODED, STEM)
        length = f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(data)}\r\n"
        head = f"POST {path} HTTP/1.1\r\n{length}".encode()
        return head + self._headers(visitor, f"{ORIGIN}/", "*/*") + data

    def _headers(self, visitor: "Visitor", referer: str, accept: str) -> bytes:
        if not self._browser:
            return f"Host: {self._host}\r\nUser-Agent: python-requests/2.32\r\n\r\n".encode()
        return (
            f"Host: {self._host}\r\nUser-Agent: {visitor.agent}\r\nAccept: {accept}\r\n"
            f"Accept-Language: {visitor.locale},en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
            f"Origin: {ORIGIN}\r\nReferer: {referer}\r\nX-Forwarded-For: {visitor.address}\r\n\r\n"
        ).encode()

    def _any(self, visitor: "Visitor", place: int) -> dict[str, Any]:
        drawn = self._random.random()
        if drawn < 0.60:
            event = self._common("page", visitor, place)
            page = event["context"]["page"]
            return event | {"name": page["title"], "properties": page}
        if drawn < 0.75:
            traits = {"email": visitor.email, "plan": "pro", "name": "Ada Lovelace"}
            user = {"userId": visitor.user_id or "123456", "traits": traits}
            return self._common("identify", visitor, place) | user
        return self._track(visitor, place)

    def _track(self, visitor: "Visitor", place: int) -> dict[str, Any]:
        name, properties = visitors.tracked(self._random, visitor)
        event = self._common("track", visitor, place) | {"event": name}
        return event | {"properties": properties} if properties else event

    def _common(self, kind: str, visitor: "Visitor", place: int) -> dict[str, Any]:
        event: dict[str, Any] = {
            "type": kind,
            "messageId": f"{_MARK}{place:02x}",
            "anonymousId": visitor.anonymous_id,
            "timestamp": self._iso(self._random.randrange(20_000)),
            "context": {
                "page": visitors.page(self._random),
                "locale": visitor.locale,
                "timezone": "Europe/Berlin",
                "screen": {"width": 1512, "height": 982},
                "library": {"name": "pixel", "version": "1.0.0"},
            },
        }
        return event | {"userId": visitor.user_id} if visitor.user_id else event

    def _iso(self, ago_ms: int) -> str:
        at = self._now - timedelta(milliseconds=ago_ms)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stem_head(sender: int, run: int) -> bytes:
    """A message id's first 24 characters: time, sender, run. Ten digits of number follow."""
    at = f"{time.time_ns() // 1_000_000:012x}"
    return f"{at[:8]}-{at[8:]}-7{sender & 0xFFF:03x}-8{run & 0xFFF:03x}-".encode()


_MARK = "\x01" * 34
_ENCODED = b"\\u0001" * 34


if __name__ == "__main__":
    traffic = Traffic("wk_example", "localhost")
    for name in SHAPES:
        sizes = [len(request) for request in traffic.pool(name, 1000)]
        print(f"{name}: {statistics.median(sizes):.0f} bytes a request with its headers")
