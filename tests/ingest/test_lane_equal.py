"""The hot lane beside the normal way: whatever is sent, the same is said and the same is stored."""

import base64
import json
import random
from typing import Any

KEY = "wk_of_the_tests"
COLUMNS = (
    "message_id, site, type, event, user_id, anonymous_id, group_id, previous_id, url, path, "
    "title, referrer, properties, traits, context, ip, user_agent, consent, sent_at, "
    "original_timestamp"
)
SAID = ("content-type", "retry-after", "vary", "cache-control", "allow")
JUNK = [
    b"",
    b"{",
    b"null",
    b'{"batch":{}}',
    b'{"batch":[{"type":"track"},5]}',
    b'{"event":"\\u0000"}',
    b'{"event":"E","properties":{"a":1e999}}',
    b'{"event":"E","userId":true}',
    b'{"event":"\xff"}',
    b"[" * 3000,
]


class Traffic:
    """Seeded requests of all kinds. Each is sent to both collectors."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._number = 0

    def connection(self) -> tuple[bytes, int]:
        """What one connection carries, and how many answers that makes."""
        count = self._random.choice([1, 1, 2, 3, 8])
        requests = [self._request(last=False) for _ in range(count - 1)]
        requests.append(self._request(last=True))
        return b"".join(requests), count

    def pieces(self, data: bytes) -> list[bytes]:
        """The bytes in one piece, or cut at odd places."""
        if self._random.random() < 0.5:
            return [data]
        cuts = sorted(self._random.sample(range(len(data)), min(len(data), 5)))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def _request(self, last: bool) -> bytes:
        kind = self._random.choice(
            [self._single, self._single, self._batch, self._gif, self._pixel, self._junk, self._odd]
        )
        method, target, headers, body = kind()
        headers += self._some_headers()
        if method == b"POST" and self._random.random() < 0.15:
            headers.append(b"Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif method == b"POST":
            headers.append(b"Content-Length: %d" % len(body))
        version = b"HTTP/1.1"
        if last and self._random.random() < 0.3:
            headers.append(b"Connection: close")
            version = self._random.choice([b"HTTP/1.1", b"HTTP/1.0"])
        lines = [b"%s %s %s" % (method, target, version), b"Host: c.example", *headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def _some_headers(self) -> list[bytes]:
        possible = [
            b"Origin: https://shop.example",
            b"Origin: \xff",
            b"User-Agent: t\xc3\xa9st/1.0",
            b"X-Forwarded-For: 203.0.113.77",
            b"X-Forwarded-For: nonsense",
            b"Sec-GPC: 1",
            b"Content-Type: text/plain",
            b"Referer: https://shop.example/ref?x=1",
            b"Expect: 100-continue",
        ]
        return [header for header in possible if self._random.random() < 0.2]

    def _id(self) -> str:
        """A new id, at times one that was there before."""
        self._number += self._random.random() < 0.9
        return f"m-{self._number}"

    def _item(self) -> dict[str, Any]:
        made = self._random
        item: dict[str, Any] = {"messageId": self._id(), "type": made.choice(["track", "page"])}
        options: dict[str, Any] = {
            "event": "Tried",
            "name": "Home",
            "userId": made.choice(["u", 7]),
            "anonymousId": "a",
            "timestamp": made.choice(["2026-01-01T00:00:00.000Z"] * 9 + ["soon"]),
            "properties": made.choice(
                [{"url": "https://shop.example/a?b"}, {"title": "é"}] * 5 + [5]
            ),
            "context": made.choice([{"ip": "198.51.100.9", "page": {"path": "/x"}}, {}, None]),
            "traits": {"plan": "pro"},
        }
        return item | {name: value for name, value in options.items() if made.random() < 0.6}

    def _auth(self) -> tuple[bytes, list[bytes]]:
        way = self._random.randrange(8)
        if way == 0:
            return b"?writeKey=" + KEY.encode(), []
        key = b"wrong_key" if way == 1 else KEY.encode()
        return b"", [b"Authorization: Basic " + base64.b64encode(key + b":")]

    def _single(self) -> tuple[bytes, bytes, list[bytes], bytes]:
        kind = self._random.choice([b"track", b"t", b"page", b"identify", b"i", b"group", b"alias"])
        query, headers = self._auth()
        return b"POST", b"/v1/" + kind + query, headers, json.dumps(self._item()).encode()

    def _batch(self) -> tuple[bytes, bytes, list[bytes], bytes]:
        body: dict[str, Any] = {"batch": [self._item() for _ in range(self._random.randrange(6))]}
        if self._random.random() < 0.8:
            body["writeKey"] = KEY
        if self._random.random() < 0.5:
            body |= {"sentAt": "2026-01-01T00:00:01Z", "context": {"app": {"name": "x"}}}
        path = self._random.choice([b"/v1/batch", b"/v1/b", b"/c", b"/v1/import"])
        return b"POST", path, [], json.dumps(body).encode()

    def _gif(self) -> tuple[bytes, bytes, list[bytes], bytes]:
        query = f"id={self._id()}&u=https%3A%2F%2Fshop.example%2Fa&t=%C3%A9&p.a=1&e=page"
        key = self._random.choice(["&k=" + KEY, "&k=wrong", "", "&k=" + KEY + "&uid=%00"])
        return b"GET", f"/c.gif?{query}{key}".encode(), [], b""

    def _pixel(self) -> tuple[bytes, bytes, list[bytes], bytes]:
        data = base64.urlsafe_b64encode(json.dumps(self._item() | {"writeKey": KEY}).encode())
        broken = self._random.random() < 0.3
        return b"GET", b"/v1/pixel/track?data=" + (b"%%%" if broken else data), [], b""

    def _junk(self) -> tuple[bytes, bytes, list[bytes], bytes]:
        path = self._random.choice([b"/v1/track", b"/v1/batch", b"/c"])
        return b"POST", path + b"?writeKey=" + KEY.encode(), [], self._random.choice(JUNK)

    def _odd(self) -> tuple[bytes, bytes, list[bytes], bytes]:
        return self._random.choice(
            [
                (b"GET", b"/v1/track", [], b""),
                (b"POST", b"/nothing", [], b"{}"),
                (b"OPTIONS", b"/v1/batch", [b"Access-Control-Request-Headers: x-a"], b""),
                (b"GET", b"/healthz", [], b""),
                (b"POST", b"/v1/track", [b"Content-Encoding: x"], b"{}"),
            ]
        )


async def test_lane_and_normal_way_say_and_store_the_same(tmp_path, session, talk, make_collector):
    hot = await make_collector(tmp_path / "hot").start(**{"http.hot_lane": True})
    normal = await make_collector(tmp_path / "normal").start(**{"http.hot_lane": False})
    traffic = Traffic(20260101)
    said = 0
    for _ in range(900):
        data, count = traffic.connection()
        pieces = traffic.pieces(data)
        left = await talk(hot.port, pieces, count)
        right = await talk(normal.port, pieces, count)
        assert [shown(reply) for reply in left] == [shown(reply) for reply in right], pieces
        assert len(left) == count
        said += count

    assert said > 2500
    assert stored(hot) == stored(normal)
    assert len(hot.ids()) > 1000
    assert kept(hot) == kept(normal)
    assert len(hot.rejected()) > 100


def shown(reply: Any) -> Any:
    cors = {n: v for n, v in reply.headers.items() if n.startswith("access-control-") or n in SAID}
    return reply.status, reply.body, cors


def stored(collector: Any) -> list[dict[str, Any]]:
    return collector.rows(f"SELECT {COLUMNS} FROM events WHERE message_id LIKE 'm-%' ORDER BY seq")


def kept(collector: Any) -> list[dict[str, Any]]:
    return collector.rows(
        "SELECT site, batch_index, status, code, message, body FROM rejected ORDER BY id"
    )
