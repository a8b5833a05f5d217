"""Compressed bodies, inflated whole and in one go.

One decoder is at work at a time, and it is gone before the next request is looked at: a stream of
14 bytes makes brotli fill a window of 16 MB, and a thousand senders would each hold one of those.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Any

import brotli

from collector.errors import Refused

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PIECE = 4096  # what follows a member's end is copied: of a piece, not of the whole body
_MEMBERS = 1000  # each costs a decoder
# The widest window that zstd may have as a content coding, 8 MB (RFC 9659).
_ZSTD: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
_ERRORS = (zlib.error, brotli.error, zstd.ZstdError)


def inflated(body: bytes, encoding: str, limit: int) -> bytes:
    """`encoding`: one of ENCODINGS. Raises Refused 400 where it is damaged, 413 where there are
    more than `limit` bytes in it."""
    try:
        plain = _INFLATE[encoding](body, limit + 1)
    except _ERRORS:
        plain = None
    if plain is None:
        raise Refused(400, "bad_encoding", "the body cannot be inflated")
    if len(plain) > limit:
        raise too_large(limit)
    return plain


def too_large(limit: int) -> Refused:
    return Refused(413, "too_large", f"the body is over {limit} bytes")


def _gzip(body: bytes, most: int) -> bytes | None:
    return _members(body, most, lambda: zlib.decompressobj(wbits=31))


def _zstd(body: bytes, most: int) -> bytes | None:
    return _members(body, most, lambda: zstd.ZstdDecompressor(options=_ZSTD))


def _deflate(body: bytes, most: int) -> bytes | None:
    """With zlib's header, as the specification says, or without it, as some clients send it."""
    decoder = zlib.decompressobj(wbits=15 if body[:1] and body[0] & 15 == 8 else -15)
    plain = decoder.decompress(body, most)
    return plain if decoder.eof or len(plain) >= most else None


def _brotli(body: bytes, most: int) -> bytes | None:
    decoder = brotli.Decompressor()
    plain = bytes(decoder.process(body, output_buffer_limit=most))
    while len(plain) < most and not decoder.is_finished():
        more = decoder.process(b"", output_buffer_limit=most - len(plain))
        if not more:
            return None
        plain += more
    return plain


def _members(body: bytes, most: int, make: Callable[[], Any]) -> bytes | None:
    """Of one or more whole streams, one behind the other: at least `most` bytes where there are
    so many; None where one is cut off."""
    plain, at = bytearray(), 0
    for _ in range(_MEMBERS):
        decoder = make()
        while not decoder.eof:
            piece = body[at : at + _PIECE]
            if not piece:
                return None
            plain += decoder.decompress(piece, most - len(plain))
            if len(plain) >= most:
                return bytes(plain)
            at += len(piece)
        at -= len(decoder.unused_data)
        if at == len(body):
            return bytes(plain)
    return None


_INFLATE: dict[str, Callable[[bytes, int], bytes | None]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
ENCODINGS = frozenset(_INFLATE)
