"""Bodies that are unsound as a whole, and the ways they are packed."""

import gzip
import resource
import zlib
from typing import Any, NamedTuple

import brotli
import pytest
from backports import zstd

GOOD = b'{"batch":[{"type":"track","event":"E","messageId":"good"}]}'


class Bad(NamedTuple):
    body: bytes
    said: str
    status: int = 400
    code: str = "invalid_json"
    encoding: str = ""
    kept: int = 1  # rows of `rejected`


def events(count: int) -> bytes:
    return b'{"batch":[%s]}' % b",".join([b'{"type":"track","event":"E"}'] * count)


def coded(body: bytes, encoding: str, said: str = "inflated", **more: object) -> Bad:
    return Bad(body, said, **{"code": "bad_encoding", "kept": 0, **more}, encoding=encoding)


BOMB = b" " * 20_000_000
LARGE = {"status": 413, "code": "too_large", "said": "over 512000 bytes"}
BODIES = {
    "empty": Bad(b"", "truncated - at `$`"),
    "blank": Bad(b" \r\n\t ", "truncated - at `$`"),
    "words": Bad(b"hello", "malformed"),
    "form": Bad(b"writeKey=wk&batch=%5B%5D", "malformed"),
    "html": Bad(b"<script>", "malformed"),
    "null": Bad(b"null", "got `null` - at `$`", code="invalid_event"),
    "number": Bad(b"1", "got `int` - at `$`", code="invalid_event"),
    "text": Bad(b'"batch"', "got `str` - at `$`", code="invalid_event"),
    "array": Bad(b'[{"type":"track","event":"E"}]', "got `array` - at `$`", code="invalid_event"),
    "no-batch": Bad(b"{}", "missing required field `batch` - at `$`", code="invalid_event"),
    "batch-null": Bad(b'{"batch":null}', "got `null` - at `$.batch`", code="invalid_event"),
    "batch-object": Bad(b'{"batch":{}}', "got `object` - at `$.batch`", code="invalid_event"),
    "batch-text": Bad(b'{"batch":"x"}', "got `str` - at `$.batch`", code="invalid_event"),
    "batch-not-closed": Bad(GOOD[:-2], "batch is not closed - at `$.batch`"),
    "batch-closed-by-brace": Bad(GOOD[:-2] + b"}}", "not closed - at `$.batch`"),
    "event-not-closed": Bad(b'{"batch":[{"type":"track"', "not closed - at `$.batch`"),
    "text-not-closed": Bad(b'{"batch":[{"type":"track]}', "not closed - at `$.batch`"),
    "object-not-closed": Bad(GOOD[:-1], "at `$`"),
    "two-bodies": Bad(GOOD + GOOD, "trailing characters"),
    "byte-order-mark": Bad(b"\xef\xbb\xbf" + GOOD, "at `$`"),
    "utf-16": Bad(GOOD.decode().encode("utf-16"), "at `$`"),
    "latin-1-key": Bad(b'{"writeKey":"\xe9",' + GOOD[1:], "not UTF-8 - at `$"),
    "nul-behind": Bad(GOOD + b"\0", "at `$`"),
    "depth-2000-envelope": Bad(b'{"batch":' + b"[" * 2000 + b"]" * 2000 + b"}", "deeper than 64",
                               code="invalid_event"),
    "depth-2000-never-closed": Bad(b'{"batch":' + b"[" * 2000, "not closed"),
    "depth-2000-beside": Bad(b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"," + GOOD[1:], "too deep"),
    "key-number": Bad(b'{"writeKey":7,' + GOOD[1:], "at `$.writeKey`"),
    "sent-at-words": Bad(b'{"sentAt":"now",' + GOOD[1:], "at `$.sentAt`"),
    "context-array": Bad(b'{"context":[],' + GOOD[1:], "at `$.context`", code="invalid_event"),
    "surrogate-beside": Bad(b'{"x":"\\ud800",' + GOOD[1:], "at `$`"),
    "nul-beside": Bad(b'{"x":"\\u0000",' + GOOD[1:], "NUL", code="invalid_event"),
    "events-2501": Bad(events(2501), "over 2500 events - at `$.batch`", 413, "too_large"),
    "events-2501-one-broken": Bad(
        events(2501).replace(b'"E"', b"NaN", 1), "over 2500 events", 413, "too_large"
    ),
    "large": Bad(b" " * 512_001, **LARGE, kept=0),
    "gzip-of-nothing-known": coded(b"\x1f\x8b\x08garbage that is no gzip", "gzip"),
    "gzip-that-is-plain": coded(GOOD, "gzip"),
    "gzip-crc": coded(gzip.compress(GOOD)[:-8] + b"\0" * 8, "gzip"),
    "gzip-cut": coded(gzip.compress(GOOD)[:-25], "gzip"),
    "gzip-of-nothing-a-thousand-times": coded(gzip.compress(b"") * 1001, "gzip"),
    "gzip-and-more": coded(gzip.compress(GOOD) + b"more", "gzip"),
    "gzip-bomb": coded(gzip.compress(BOMB), "gzip", **LARGE),
    "gzip-upper-case": coded(GOOD, "GZIP"),
    "deflate-garbage": coded(b"\xff\xff\xff garbage", "deflate"),
    "deflate-cut": coded(zlib.compress(GOOD)[:-12], "deflate"),
    "deflate-bomb": coded(zlib.compress(BOMB), "deflate", **LARGE),
    "br-cut": coded(brotli.compress(GOOD)[:-3], "br"),
    "br-garbage": coded(b"\xff\xff\xff garbage", "br"),
    "br-bomb": coded(brotli.compress(BOMB, quality=1), "br", **LARGE),
    "zstd-cut": coded(zstd.compress(GOOD)[:-3], "zstd"),
    "zstd-garbage": coded(b"\x28\xb5\x2f\xfd garbage!!", "zstd"),
    "zstd-bomb": coded(zstd.compress(BOMB), "zstd", **LARGE),
    "encoding-unknown": coded(GOOD, "lzma", "expected one of br, deflate, gzip, zstd", status=415,
                              code="unsupported_encoding"),
    "encoding-twice": coded(GOOD, "gzip, gzip", "expected one of", status=415,
                            code="unsupported_encoding"),
    "encoding-junk": coded(GOOD, "\x80;;", "expected one of", status=415,
                           code="unsupported_encoding"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BODIES.values(), ids=BODIES.keys())
async def test_it_gets_its_4xx_and_the_next_request_is_stored(idle, hot_lane, bad, quiet):
    await idle.start(**{"http.hot_lane": hot_lane})
    headers = {"Content_Encoding": bad.encoding} if bad.encoding else {}

    status, answer = await idle.post(
        "/v1/batch", bad.body, Origin="https://shop.example", **headers
    )

    assert (status, answer["success"]) == (bad.status, False)
    assert answer["code"] == bad.code or not bad.code
    assert bad.said in answer["message"]
    assert idle.ids() == []
    metrics = idle.app.metrics
    if bad.kept >= 0:
        assert len(idle.rejected()) == bad.kept
        assert metrics.refused_requests + metrics.malformed_requests == 1 - bad.kept
    assert (await idle.post("/v1/batch", GOOD))[0] == 200
    assert idle.ids() == ["good"]
    quiet()


async def test_an_unsound_body_is_kept_under_the_key_beside_it(collector):
    await collector.post("/v1/batch", GOOD[:-2])

    (row,) = collector.rejected()
    assert (row["site"], row["body"], row["code"]) == ("shop", GOOD[:-2], "invalid_json")


async def test_an_unsound_body_without_a_key_has_no_owner_and_is_counted_only(collector):
    status, _ = await collector.post("/v1/batch", GOOD[:-2], auth=False)

    assert status == 400
    assert collector.rejected() == []
    assert collector.app.metrics.refused_requests == 1


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("zstd", zstd.compress),
        ("identity", bytes),
    ],
)
async def test_a_packed_body_is_taken(collector, encoding, pack):
    status, answer = await collector.post(
        "/v1/batch", pack(GOOD), Content_Encoding=encoding, Content_Type="text/plain"
    )

    assert (status, answer) == (200, {"success": True})
    assert collector.ids() == ["good"]


def zeros(pack: Any, megabytes: int) -> bytes:
    """Many megabytes packed, without ever having them here."""
    return b"".join([pack.compress(b"\0" * 1_000_000) for _ in range(megabytes)]) + pack.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", zlib.compressobj(9, zlib.DEFLATED, 31)), ("zstd", zstd.ZstdCompressor())],
)
async def test_a_bomb_is_let_go_before_it_fills_the_memory(collector, encoding, pack):
    body = zeros(pack, 300)
    assert len(body) < 500_000
    before = peak_bytes()

    status, _ = await collector.post("/c", body, Content_Encoding=encoding)

    assert status == 413
    assert peak_bytes() - before < 50_000_000


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
