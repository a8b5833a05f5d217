"""Requests that are hardly HTTP, over raw sockets."""

import asyncio
from typing import NamedTuple

import pytest

EVENT = b'{"event":"E","messageId":"m","writeKey":"wk_of_the_tests"}'
HOST = b"Host: c.example\r\n"


class Bad(NamedTuple):
    request: bytes
    status: int = 400
    code: str = "bad_request"
    origin: bool = True  # the answer has CORS headers


def post(headers: bytes, body: bytes = EVENT, target: bytes = b"/v1/track") -> bytes:
    return b"POST %s HTTP/1.1\r\n%s%s\r\n%s" % (target, HOST, headers, body)


def sized(headers: bytes, target: bytes = b"/v1/track") -> bytes:
    return post(b"Content-Length: %d\r\n%s" % (len(EVENT), headers), EVENT, target)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
CASES = {
    "words": Bad(b"hello\r\n\r\n"),
    "empty-method": Bad(b" / HTTP/1.1\r\n\r\n"),
    "no-version": Bad(b"POST /v1/track\r\n\r\n", code="invalid_json"),
    "no-host": Bad(sized(b"").replace(HOST, b"")),
    "version-9.9": Bad(b"GET /c.gif HTTP/9.9\r\n%s\r\n" % HOST),
    "version-words": Bad(b"GET /c.gif HTTP/one\r\n%s\r\n" % HOST),
    "http-2-preface": Bad(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "tls-hello": Bad(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64),
    "nul-bytes": Bad(b"\0" * 32 + b"\r\n\r\n"),
    "method-bytes": Bad(b"GE\xff /c.gif HTTP/1.1\r\n\r\n"),
    "method-long": Bad(b"G" * 9000 + b" /c.gif HTTP/1.1\r\n\r\n"),
    "path-space": Bad(b"GET /c .gif HTTP/1.1\r\n%s\r\n" % HOST),
    "path-control-byte": Bad(b"GET /c\x01.gif HTTP/1.1\r\n%s\r\n" % HOST),
    "path-without-slash": Bad(b"GET c.gif HTTP/1.1\r\n%s\r\n" % HOST),
    "path-bad-authority": Bad(b"GET http://[::1/ HTTP/1.1\r\n%s\r\n" % HOST),
    "line-long": Bad(b"GET /c.gif?%s HTTP/1.1\r\n%s\r\n" % (b"a" * 9000, HOST), 431,
                     "header_too_large"),
    "header-long": Bad(sized(b"X: %s\r\n" % (b"x" * 17_000)), 431, "header_too_large"),
    "header-name-long": Bad(sized(b"%s: x\r\n" % (b"x" * 17_000)), 431, "header_too_large"),
    "headers-65": Bad(sized(b"".join(b"X-%d: 1\r\n" % i for i in range(65)))),
    "header-no-colon": Bad(sized(b"nothing here\r\n")),
    "header-no-name": Bad(sized(b": x\r\n")),
    "header-space-before-colon": Bad(sized(b"Origin : x\r\n")),
    "header-name-bytes": Bad(sized(b"X-\xff: x\r\n")),
    "header-nul": Bad(sized(b"X: a\0b\r\n")),
    "header-control-byte": Bad(sized(b"X: a\x01b\r\n")),
    "header-bare-cr": Bad(sized(b"X: a\rSet-Cookie: b\r\n")),
    "header-folded": Bad(sized(b"X: a\r\n b\r\n")),
    "length-twice": Bad(post(b"Content-Length: 5\r\nContent-Length: 58\r\n")),
    "length-list": Bad(post(b"Content-Length: 58, 58\r\n")),
    "length-negative": Bad(post(b"Content-Length: -1\r\n")),
    "length-plus": Bad(post(b"Content-Length: +58\r\n")),
    "length-words": Bad(post(b"Content-Length: many\r\n")),
    "length-empty": Bad(post(b"Content-Length:\r\n")),
    "length-beyond-64-bits": Bad(post(b"Content-Length: 99999999999999999999999\r\n")),
    "length-and-chunks": Bad(post(b"Content-Length: 58\r\n" + CHUNKED, b"0\r\n\r\n")),
    "chunked-twice": Bad(post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n")),
    "coding-unknown": Bad(post(b"Transfer-Encoding: x\r\n")),
    "coding-not-last": Bad(post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n")),
    "chunk-size-words": Bad(post(CHUNKED, b"many\r\n")),
    "chunk-size-negative": Bad(post(CHUNKED, b"-5\r\nhello\r\n0\r\n\r\n")),
    "chunk-size-0x": Bad(post(CHUNKED, b"0x5\r\nhello\r\n0\r\n\r\n")),
    "chunk-no-end": Bad(post(CHUNKED, b"5\r\nhelloXX0\r\n\r\n")),
    "too-long-up-front": Bad(post(b"Content-Length: 512001\r\n", b""), 413, "too_large"),
    "encoding-unknown": Bad(sized(b"Content-Encoding: lzw\r\n"), 415, "unsupported_encoding"),
    "encoding-bytes": Bad(sized(b"Content-Encoding: \xff\r\n"), 415, "unsupported_encoding"),
    "get-for-post": Bad(b"GET /v1/track HTTP/1.1\r\n%s\r\n" % HOST, 405, "method_not_allowed"),
    "post-for-get": Bad(sized(b"", b"/c.gif"), 405, "method_not_allowed"),
    "delete": Bad(b"DELETE /v1/track HTTP/1.1\r\n%s\r\n" % HOST, 405, "method_not_allowed"),
    "connect": Bad(b"CONNECT c.example:443 HTTP/1.1\r\n%s\r\n" % HOST, 404, "not_found"),
    "path-unknown": Bad(sized(b"", b"/v1/nothing"), 404, "not_found"),
    "path-bytes": Bad(sized(b"", b"/\xff\xfe")),
    "query-bytes": Bad(sized(b"", b"/v1/track?a=\xff")),
    "path-dots": Bad(sized(b"", b"/../../etc/passwd"), 404, "not_found"),
    "path-encoded": Bad(sized(b"", b"/v1%2Ftrack"), 404, "not_found"),
    "path-double-slash": Bad(sized(b"", b"//v1/track"), 404, "not_found"),
    "post-script": Bad(sized(b"", b"/c.js"), 404, "not_found"),
    "auth-bytes": Bad(sized(b"Authorization: Basic \xff\xfe\r\n").replace(b"wk_", b"xx_"), 401,
                      "unauthorized"),
    "auth-no-base64": Bad(sized(b"Authorization: Basic !!!\r\n").replace(b"wk_", b"xx_"), 401,
                          "unauthorized"),
    "auth-wrong-key": Bad(sized(b"Authorization: Basic eDo=\r\n"), 401, "unauthorized"),
    "key-in-no-place": Bad(sized(b"").replace(b"writeKey", b"writeKEY"), 401, "unauthorized"),
}  # fmt: skip


@pytest.mark.parametrize("bad", CASES.values(), ids=CASES.keys())
async def test_it_gets_its_4xx_in_our_form(idle, hot_lane, talk, bad, quiet):
    await idle.start(**{"http.hot_lane": hot_lane})

    (reply,) = await talk(idle.port, bad.request)

    assert (reply.status, reply.json["code"]) == (bad.status, bad.code)
    assert reply.json["success"] is False
    assert reply.json["message"]
    assert reply.headers["content-type"] == "application/json"
    assert idle.ids() == []
    (after,) = await talk(idle.port, sized(b""))
    assert (after.status, idle.ids()) == (200, ["m"])
    quiet()


TAKEN = {
    "origin-bytes": sized(b"Origin: \xff\xfe\r\n"),
    "origin-null": sized(b"Origin: null\r\n"),
    "agent-bytes": sized(b"User-Agent: \xff\xfe\xed\xa0\x80\r\n"),
    "agent-long": sized(b"User-Agent: %s\r\n" % (b"x" * 16_000)),
    "forwarded-bytes": sized(b"X-Forwarded-For: \xff, \xfe\r\n"),
    "forwarded-long": sized(b"X-Forwarded-For: %s\r\n" % (b"1," * 7000)),
    "cookie-5-kb": sized(b"Cookie: a=%s\r\n" % (b"x" * 5000)),
    "headers-60": sized(b"".join(b"X-%d: 1\r\n" % i for i in range(60))),
    "auth-bytes-beside-body-key": sized(b"Authorization: Basic \xff\r\n"),
    "type-junk": sized(b"Content-Type: \xff/;;=\r\n"),
    "absolute-target": sized(b"", b"http://c.example/v1/track"),
    "upgrade": sized(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "expect-continue": sized(b"Expect: 100-continue\r\n"),
    "expect-nonsense": sized(b"Expect: miracles\r\n"),
    "query-junk": sized(b"", b"/v1/track?%ff=%fe&%00=%zz&&=#x"),
    "chunked": post(CHUNKED, b"3a\r\n%s\r\n0\r\n\r\n" % EVENT),
}


@pytest.mark.parametrize("request_bytes", TAKEN.values(), ids=TAKEN.keys())
async def test_strange_headers_do_not_lose_the_event(idle, hot_lane, talk, request_bytes, quiet):
    await idle.start(**{"http.hot_lane": hot_lane})

    (reply,) = await talk(idle.port, request_bytes)

    assert (reply.status, reply.body) == (200, b'{"success":true}')
    assert idle.ids() == ["m"]
    quiet()


async def test_a_body_that_does_not_come_is_408(idle, hot_lane, talk, quiet):
    await idle.start(**{"http.hot_lane": hot_lane, "http.body_timeout_s": 0.2})

    (reply,) = await talk(idle.port, sized(b"Origin: https://shop.example\r\n")[:-5])

    assert (reply.status, reply.json["code"]) == (408, "timeout")
    assert reply.headers["connection"] == "close"
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    quiet()


async def test_headers_that_do_not_come_close_the_connection(idle, hot_lane, talk, quiet):
    await idle.start(**{"http.hot_lane": hot_lane, "http.keepalive_s": 0.3})

    assert await talk(idle.port, b"POST /v1/track HTTP/1.1\r\nHost:") == []
    quiet()


@pytest.mark.parametrize("cut", [-5, 40], ids=["in-the-body", "in-the-headers"])
async def test_a_client_that_goes_in_the_middle_leaves_no_trace(idle, hot_lane, cut, quiet):
    await idle.start(**{"http.hot_lane": hot_lane})
    _, writer = await asyncio.open_connection("127.0.0.1", idle.port)
    writer.write(sized(b"")[:cut])
    await writer.drain()
    while idle.app._server.open_connections == 0:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)

    writer.transport.abort()
    while idle.app._server.open_connections:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)

    assert idle.ids() == []
    quiet()


async def test_nothing_a_client_sent_gets_into_the_log(idle, talk, caplog):
    await idle.start()
    caplog.set_level("DEBUG")

    await talk(idle.port, b"GET /c.gif HTTP/1.1\r\nX-Secret\0: hunter2\r\n\r\n")
    await talk(idle.port, b"hunter2\r\n\r\n")

    assert "hunter2" not in caplog.text


async def test_a_connection_beyond_the_cap_is_closed_at_once(idle, talk):
    await idle.start(**{"http.max_connections": 1})
    _, writer = await asyncio.open_connection("127.0.0.1", idle.port)

    assert await talk(idle.port, sized(b"")) == []
    assert idle.app.metrics.refused_connections == 1
    writer.close()
