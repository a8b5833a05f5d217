"""Where the fuzzer begins: sound input of every kind, as the clients send it."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

from collector.event import Event
from collector.wire.edge import CONTENT

ID = "7f3b0ea7-6f9b-4a6e-8d2c-2f7f6f1f3d11"
TRACK = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m-1",
    "userId": "u",
    "anonymousId": ID,
    "timestamp": "2026-11-25T02:00:00.000Z",
    "originalTimestamp": "2026-11-25T02:00:00+01:00",
    "properties": {"total": 119.85, "currency": "EUR", "products": [{"product_id": "1"}]},
    "context": {
        "ip": "198.51.100.9",
        "userAgent": "Mozilla/5.0",
        "page": {"url": "https://shop.example/a?token=x&b=a@b.example", "path": "/a", "title": "A"},
        "consent": {"categoryPreferences": {"Advertising": False}},
        "traits": {"email": "ada@example.com"},
        "gpc": True,
    },
    "integrations": {"All": False},
}
PAGE = {"type": "page", "name": "Home", "category": "c", "anonymousId": 7, "properties": {"url": 5}}
BATCH = {"writeKey": "wk_shop_f", "sentAt": "2026-11-25T02:00:01Z", "batch": [TRACK, PAGE]}
FRESH = BATCH | {"fresh": True, "reset": False, "context": {"locale": "de"}}
# Nothing unusual: what compiled code takes.
PLAIN = {
    "type": "track",
    "event": "Product Added",
    "messageId": "0199a3c1-7d2e-7c41-8f00-5b1e0a7d9c3f",
    "anonymousId": ID,
    "userId": None,
    "timestamp": "2026-11-25T01:59:58.123Z",
    "properties": {"price": 19.95, "quantity": 2, "tags": ["a", {"b": None}], "note": '\u00e9 "q"'},
    "context": {
        "page": {
            "url": "https://shop.example/a?utm_source=n&gclid=Cj0%20x#top",
            "path": "/a",
            "title": "A \u2013 B",
            "referrer": "https://news.example/",
            "search": "?utm_source=n",
        },
        "locale": "de",
        "screen": {"width": 1512, "height": 982},
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    },
    "integrations": {},
}
PLAIN_PAGE = PLAIN | {"type": "page", "name": "Home", "properties": PLAIN["context"]["page"]}  # type: ignore[index]
PLAIN_USER = PLAIN | {"type": "identify", "userId": "u-1", "traits": {"email": "ada@example.com"}}
PLAIN_SALE = PLAIN | {"event": "Purchase Completed", "properties": {"total": 5, "currency": "EUR"}}
PLAIN_LEAD = PLAIN | {"event": "Lead", "properties": {"email": "ada@example.com", "page": "/a?b=c"}}
PLAIN_BATCH = {
    "writeKey": "wk_shop_f",
    "sentAt": "2026-11-25T02:00:00.500Z",
    "batch": [PLAIN, PLAIN_PAGE, PLAIN_USER, PLAIN_SALE, PLAIN_LEAD],
}
SNOWPLOW: dict[str, Any] = {
    "e": "ue", "p": "web", "tv": "js-4", "aid": "shop", "eid": ID, "dtm": "1800000000000",
    "stm": "1800000000001", "url": "https://shop.example/", "page": "T", "refr": "r", "duid": "d",
    "uid": "u", "ip": "203.0.113.7", "ua": "A", "se_ca": "c", "se_ac": "a", "se_va": "1.5",
    "tr_id": "o", "tr_tt": "9.5", "tr_cu": "EUR", "ti_id": "o", "ti_sk": "s", "ti_pr": "1",
    "ue_pr": json.dumps({"schema": "u", "data": {"schema": "iglu:v/e/j/1", "data": {"a": 1}}}),
    "co": json.dumps({"schema": "c", "data": [{"schema": "iglu:v/c/j/1", "data": {"b": [2]}}]}),
}  # fmt: skip
PLAUSIBLE = {
    "n": "Purchase", "u": "https://shop.example/?utm=1", "d": "shop", "r": "r", "p": {"a": 1},
    "$": {"amount": "12.5", "currency": "EUR"}, "w": 5, "h": 1, "sd": 10, "e": 100, "i": False,
}  # fmt: skip
UMAMI = {
    "type": "event",
    "payload": {
        "website": "shop", "url": "/a", "hostname": "shop.example", "title": "T", "id": "u",
        "referrer": "/x", "screen": "1x1", "language": "de", "name": "n", "tag": "t",
        "timestamp": 1800000000, "ip": "203.0.113.7", "userAgent": "A",
        "data": {"commerce": {"orderId": "o", "items": [{"price": 1.5, "quantity": 2}]}},
    },
}  # fmt: skip
GIF = f"k=wk_shop_f&e=page&u=https%3A%2F%2Fshop.example%2F%3Fa%3D1&t=%C3%A9&id=m&a={ID}&uid=u&p.x=1"
ROW = {
    "message_id": "m", "site": "shop", "type": "track", "event": "A", "user_id": "u",
    "anonymous_id": "a", "timestamp": 5, "received_at": 6, "sent_at": 4, "url": "https://s/",
    "node_id": "node", "node_seq": 7, "properties": '{"a":[1,"\\u00e9"]}', "traits": "{}",
    "context": '{"b":{"c":null}}', "consent": '{"gpc":true}', "violations": '["x"]', "trusted": 1,
}  # fmt: skip


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _utf8(value: object) -> bytes:
    """As browsers write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _row(**columns: Any) -> list[Any]:
    return [(ROW | columns).get(name) for name in Event.__struct_fields__]


def _basic(key: str) -> bytes:
    return b"Authorization: Basic " + base64.b64encode(key.encode() + b":")


def _query(fields: dict[str, Any]) -> bytes:
    return urlencode(fields).encode()


def _post(path: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST %s HTTP/1.1" % path, b"Host: collect.shop.example", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body


def _get(target: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET %s HTTP/1.1" % target, b"Host: c.example", *headers]) + b"\r\n\r\n"


BROWSER = (
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    b"Accept: */*",
    b"Content-Type: text/plain;charset=UTF-8",
    b"Origin: https://shop.example",
    b"Referer: https://shop.example/a",
    b"Accept-Language: de,en;q=0.5",
    b"Cookie: a=b; _px_vid=%s.20833.AAAAAAAAAAAAAAAAAAAA" % ID.encode(),
)
PROXIED = (b"X-Forwarded-For: 203.0.113.7", b"X-Real-IP: 203.0.113.7", b"X-Request-Id: r1")
EDGE = [_basic("ek_of_the_fuzzer_1"), b"Content-Type: " + CONTENT.encode()]
_BASIC = _basic("wk_shop_f")
LANE = [
    _post(b"/c", _text(FRESH), *BROWSER),
    _post(b"/c", _text(BATCH), *BROWSER, *PROXIED),
    _post(b"/c", _utf8(PLAIN_BATCH), *BROWSER, *PROXIED),
    _post(b"/v1/track", _utf8(PLAIN), _BASIC, *PROXIED) * 2,
    _post(b"/v1/batch", _text(BATCH), b"Content-Type: application/json"),
    _post(b"/v1/track", _text(TRACK), _BASIC, *PROXIED),
    _post(b"/v1/import", _text([_row()]), *EDGE),
    _get(b"/c.gif?" + GIF.encode(), *BROWSER[:1], *PROXIED, b"Sec-GPC: 1"),
    _get(b"/c.gif?" + GIF.encode()) * 3,
    _get(b"/i?" + _query(SNOWPLOW)),
    _post(b"/api/event", _text(PLAUSIBLE), *BROWSER),
    _post(b"/api/send", _text(UMAMI), *BROWSER),
    _post(b"/v1/t?writeKey=wk_shop_f", _text(TRACK)) + _get(b"/healthz"),
    _get(b"/readyz") + _get(b"/no", b"Upgrade: x"),
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4;x=y\r\n{\"ba\r\n9\r\ntch\":[]}\n\r\n0\r\nT: v\r\n\r\n",
    b"OPTIONS /c HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\n"
    b"Access-Control-Request-Headers: content-type\r\n\r\n",
    _post(b"/v1/p", b"{}", b"Expect: 100-continue", b"Connection: close"),
    _get(b"/ws", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x") + b"\x81",
]  # fmt: skip


def service(paths: list[str]) -> list[bytes]:
    """For every path, what its clients send there."""
    found = []
    for number, path in enumerate(paths):
        for query, headers, body in _sent(path):
            head = b"\n".join([query, *headers])
            found.append(bytes([number]) + head + b"\n\n" + body)
    return found


def _sent(path: str) -> list[tuple[bytes, list[bytes], bytes]]:
    browser = list(BROWSER)
    if "gif" in path:
        return [(GIF.encode(), browser, b""), (b"k=wk_quiet_f&" + GIF[12:].encode(), browser, b"")]
    if "pixel" in path:
        data = base64.urlsafe_b64encode(_text(TRACK | {"writeKey": "wk_shop_f"}))
        return [(b"data=" + data, [], b""), (b"writeKey=wk_shop&userId=u&event=E", [], b"")]
    if path in ("/i", "/ice.png"):
        packed = {"ue_px": "ue_pr", "cx": "co"}
        coded = SNOWPLOW | {
            short: base64.urlsafe_b64encode(SNOWPLOW[long].encode()).decode()
            for short, long in packed.items()
        }
        return [(_query(SNOWPLOW), browser, b""), (_query(coded), [b"SP-Anonymous: *"], b"")]
    if path == "/r/tp2":
        return [(b"u=https%3A%2F%2Fshop.example%2Fa&" + _query(SNOWPLOW), browser, b"")]
    if path.endswith("tp2"):
        return [
            (b"", browser, _text({"schema": "p", "data": [SNOWPLOW | {"e": kind}]}))
            for kind in ("pv", "pp", "se", "ue", "tr", "ti")
        ]
    if path == "/api/event":
        return [(b"", browser, _text(PLAUSIBLE)), (b"", [], _text(PLAUSIBLE | {"d": "quiet"}))]
    if path == "/api/send":
        return [(b"", browser, _text(UMAMI | {"type": k})) for k in ("event", "identify", "error")]
    if path == "/api/batch":
        return [(b"", [], _text([UMAMI, UMAMI, {"type": "performance"}]))]
    if path == "/v1/import":
        return [(b"", EDGE, _text([_row()])), (b"", [_BASIC], _text(BATCH))]
    if "batch" in path or path in ("/c", "/v1/b"):
        verified = _text(BATCH | {"writeKey": "wk_verified_f"})
        bodies = [_text(FRESH), verified, _text(BATCH), _utf8(PLAIN_BATCH)]
        return [(b"", browser, body) for body in bodies] + [(b"", [], _utf8(PLAIN_BATCH))]
    plain = [(b"", [_BASIC], _utf8(one)) for one in PLAIN_BATCH["batch"]]
    return [
        (b"writeKey=wk_shop_f", [b"DNT: 1"], _text(TRACK)),
        (b"", [_BASIC], _text(PAGE)),
        (b"", browser, _utf8(PLAIN | {"writeKey": "wk_shop_f", "sentAt": "2026-11-25T03:00:00Z"})),
        *plain,
    ]


_HEAD = b"203.0.113.7 - - [24/Nov/2026:22:08:01 +0000] "
_COMBINED = _HEAD + b'"GET /a?b=1 HTTP/1.1" 200 5 "https://r/" "M\\x22"'
_CADDY = {
    "ts": 1800000000.5, "status": 200, "resp_headers": {"Content-Type": ["text/html"]},
    "request": {"method": "GET", "uri": "/a", "host": "shop.example", "remote_ip": "203.0.113.7",
                "tls": {}, "headers": {"User-Agent": ["M"], "Referer": ["https://r/"]}},
}  # fmt: skip
_EXPORTED = ROW | {"seq": 9, "properties": {"a": 1}, "traits": {}, "context": {}, "consent": {}}
_EXACT = _EXPORTED | {"violations": None, "exact": {"properties": '{"a": 1}'}}
FILES = [
    b"\0" + _text(_EXPORTED | {"violations": None}) + b"\n" + json.dumps(_EXACT).encode(),
    b"\1" + _text(TRACK) + b"\n" + _text({"batch": [TRACK, PAGE], "receivedAt": "2026-01-01"}),
    b"\2" + _COMBINED + b"\n" + _COMBINED.replace(b"/a?b=1", b"/c.gif?" + GIF.encode()),
    b"\3" + _text(_CADDY),
]
EDGES = [_text([_row(), _row(message_id="n", node_seq=8, consent=None)]), b"[]"]
JUNKS = [
    _text(BATCH),
    _text(FRESH | {"a": [1e300, -(2**63), "\ud83d\ude00", "\\", "é"]}),
    b'{"batch":[{"type":"track","x":1e123},{"a":"\\u0001"}],"b":[[[{}]]]}',
]
TEXTS = [
    b"203.0.113.7, 10.0.0.1\nhttps://u:p@shop.example/a?token=x&e=a%40b.example#k=v",
    b"[2001:db8::1]:80,::ffff:10.0.0.1\n/?url=https%3A%2F%2Fx%3Ftoken%3D1%26a%3D2 eyJhb.eyJz.x",
    b"_px_vid=a.20833.AAAAAAAAAAAAAAAAAAAA; _px_vid=b\nmailto:a@b.example",
]
INFLATE = [
    bytes([coding, packed, 0, 0]) + _text(BATCH) for coding in range(4) for packed in (1, 0x41)
]


def of(target: str, paths: list[str]) -> list[bytes]:
    return {
        "service": service(paths),
        "lane": LANE,
        "inflate": INFLATE,
        "edges": EDGES,
        "files": FILES,
        "junks": JUNKS,
        "texts": TEXTS,
    }[target]
