"""Requests that two servers may read differently. Each has the id `outer` in its line;
what is hidden in it, or follows it, has the id `inner`."""

KEY = "wk_smuggled"

INNER = b"GET /c.gif?id=inner&k=wk_smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
_LONG = b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)


def _post(*headers: bytes, body: bytes = b"") -> bytes:
    line = b"POST /v1/batch?id=outer&writeKey=wk_smuggled HTTP/1.1\r\n"
    return line + b"".join(h + b"\r\n" for h in (b"Host: x", *headers)) + b"\r\n" + body


def _coded(*headers: bytes, chunks: bytes = b"0\r\n\r\n" + INNER) -> bytes:
    return _post(*headers, body=chunks)


def _chunks(chunks: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked", body=chunks)


_CL_ALL = b"Content-Length: %d" % len(INNER)
_GET = b"GET /c.gif?id=outer&k=wk_smuggled HTTP/1.1\r\nHost: x\r\n"
_TE = b"Transfer-Encoding: chunked"
CASES: dict[str, bytes] = {
    "length-0-then-all": _post(b"Content-Length: 0", _CL_ALL, body=INNER),
    "length-all-then-0": _post(_CL_ALL, b"Content-Length: 0", body=INNER),
    "length-twice-the-same": _post(_CL_ALL, _CL_ALL, body=INNER),
    "length-list": _post(b"Content-Length: 0, %d" % len(INNER), body=INNER),
    "length-plus": _post(b"Content-Length: +0", body=INNER),
    "length-hex": _post(b"Content-Length: 0x0", body=INNER),
    "length-zeros": _post(b"Content-Length: 000", body=INNER),
    "length-tab": _post(b"Content-Length:\t0", body=INNER),
    "length-vertical-tab": _post(b"Content-Length: \x0b0", body=INNER),
    "length-space-inside": _post(b"Content-Length: 0 0", body=INNER),
    "length-minus-0": _post(b"Content-Length: -0", body=INNER),
    "length-overflow": _post(b"Content-Length: 18446744073709551616", body=INNER),
    "length-underscore": _post(b"Content_Length: %d" % len(INNER), body=INNER),
    "length-space-before-colon": _post(b"Content-Length : %d" % len(INNER), body=INNER),
    "length-nul-in-name": _post(b"Content-Length\0: %d" % len(INNER), body=INNER),
    "length-behind-bare-cr": _post(b"X: a\rContent-Length: %d" % len(INNER), body=INNER),
    "length-behind-bare-lf": _post(b"X: a\nContent-Length: %d" % len(INNER), body=INNER),
    "length-behind-nul": _post(b"X: a\0Content-Length: %d" % len(INNER), body=INNER),
    "length-folded": _post(b"Content-Length:\r\n %d" % len(INNER), body=INNER),
    "chunked-and-length": _coded(_TE, b"Content-Length: 5"),
    "length-and-chunked": _coded(b"Content-Length: %d" % (5 + len(INNER)), _TE),
    "chunked-twice": _coded(_TE, _TE),
    "chunked-then-identity": _coded(_TE, b"Transfer-Encoding: identity"),
    "chunked-list": _coded(b"Transfer-Encoding: chunked, identity", _CL_ALL),
    "chunked-upper-case": _coded(b"TRANSFER-ENCODING: CHUNKED"),
    "chunked-quoted": _coded(b'Transfer-Encoding: "chunked"', b"Content-Length: 5"),
    "chunked-tab": _coded(b"Transfer-Encoding:\tchunked"),
    "chunked-vertical-tab": _coded(b"Transfer-Encoding: \x0bchunked", b"Content-Length: 5"),
    "chunked-trailing-byte": _coded(b"Transfer-Encoding: chunked\x01", b"Content-Length: 5"),
    "chunked-misspelt": _coded(b"Transfer-Encoding: xchunked", b"Content-Length: 5"),
    "chunked-space-before-colon": _coded(b"Transfer-Encoding : chunked", b"Content-Length: 5"),
    "chunked-space-before-name": _coded(b" Transfer-Encoding: chunked", b"Content-Length: 5"),
    "chunked-folded": _coded(b"Transfer-Encoding:\r\n chunked", b"Content-Length: 5"),
    "chunked-underscore": _coded(b"Transfer_Encoding: chunked", b"Content-Length: 5"),
    "chunked-behind-bare-cr": _coded(b"X: a\rTransfer-Encoding: chunked", b"Content-Length: 5"),
    "chunked-in-1.0": _coded(_TE).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "chunk-extension": _chunks(b"2;a=b\r\n{}\r\n0;c\r\n\r\n" + INNER),
    "chunk-extension-quoted": _chunks(b'2;a="\r\n0\r\n\r\n"\r\n{}\r\n0\r\n\r\n' + INNER),
    "chunk-extension-with-lf": _chunks(b"2;\n{}\r\n0\r\n\r\n" + INNER),
    "chunk-extension-with-cr": _chunks(b"2;\rx\r\n{}\r\n0\r\n\r\n" + INNER),
    "chunk-size-space": _chunks(b"2 \r\n{}\r\n0\r\n\r\n" + INNER),
    "chunk-size-zeros": _chunks(b"0000000000000000000002\r\n{}\r\n00\r\n\r\n" + INNER),
    "chunk-size-overflow": _chunks(b"10000000000000002\r\n{}\r\n0\r\n\r\n" + INNER),
    "chunk-size-plus": _chunks(b"+2\r\n{}\r\n0\r\n\r\n" + INNER),
    "chunk-size-underscore": _chunks(b"0_2\r\n{}\r\n0\r\n\r\n" + INNER),
    "chunk-bare-lf": _chunks(b"2\n{}\n0\n\n" + INNER),
    "chunk-end-is-two-bytes": _chunks(b"2\r\n{}XX0\r\n\r\n" + INNER),
    "chunk-end-is-missing": _chunks(b"2\r\n{}0\r\n\r\n" + INNER),
    "chunk-is-the-inner-one": _chunks(_LONG),
    "trailer-with-length": _chunks(b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n" + INNER),
    "trailer-with-bare-cr": _chunks(b"2\r\n{}\r\n0\r\nX: a\r\r\n\r\n" + INNER),
    "last-chunk-unfinished": _chunks(b"2\r\n{}\r\n0\r\n" + INNER),
    "get-with-a-body": b"GET /c.gif?id=outer&k=wk_smuggled HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s"
    % (_CL_ALL, INNER),
    "head-with-a-body": b"HEAD /healthz?id=outer HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s"
    % (_CL_ALL, INNER),
    "absolute-target": b"GET http://y/c.gif?id=outer&k=wk_smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "two-hosts": b"GET /c.gif?id=outer&k=wk_smuggled HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "bare-lf-everywhere": b"GET /c.gif?id=outer&k=wk_smuggled HTTP/1.1\nHost: x\n\n",
    "bare-cr-everywhere": b"GET /c.gif?id=outer&k=wk_smuggled HTTP/1.1\rHost: x\r\r",
    "cr-lf-in-front": b"\r\n\r\nGET /c.gif?id=outer&k=wk_smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "nul-in-the-target": b"GET /c.gif?id=outer\0&k=wk_smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "lf-in-the-target": b"GET /c.gif?id=outer&k=wk_smuggled\n HTTP/1.1\r\nHost: x\r\n\r\n",
    "version-0.9": b"GET /c.gif?id=outer&k=wk_smuggled\r\n\r\n" + INNER,
    "version-2": b"GET /c.gif?id=outer&k=wk_smuggled HTTP/2.0\r\nHost: x\r\n\r\n" + INNER,
    "expect": _post(b"Expect: 100-continue", b"Content-Length: 2", body=b"{}" + INNER),
    "expect-unknown": _post(b"Expect: 200-ok", b"Content-Length: 2", body=b"{}" + INNER),
    "close-and-more": _GET + b"Connection: close\r\n\r\n" + INNER,
    "websocket": _GET + b"Connection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    b"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + INNER,
    "h2c": _GET + b"Connection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + INNER,
    "connect": b"CONNECT x:1?id=outer HTTP/1.1\r\nHost: x\r\n\r\n" + INNER,
    "pipelined": b"GET /c.gif?id=outer&k=wk_smuggled HTTP/1.1\r\nHost: x\r\n\r\n" + INNER,
}
