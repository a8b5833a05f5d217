"""Bodies that are small on the way and large inside, in every encoding that is accepted."""

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Iterator

import brotli

try:
    from compression import zstd
except ImportError:
    from backports import zstd

_BLOCK = b" " * (1 << 20)
_WINDOW_LOG = 27  # 128 MB, the most that a decoder takes by default


def _blocks(size: int) -> Iterator[bytes]:
    for _ in range(size // len(_BLOCK)):
        yield _BLOCK


def of_gzip(size: int) -> bytes:
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb", compresslevel=9, mtime=0) as packer:
        for block in _blocks(size):
            packer.write(block)
    return made.getvalue()


def of_members(size: int) -> bytes:
    """Many small gzip files, one behind the other."""
    member = gzip.compress(_BLOCK[:16384], 9, mtime=0)
    return member * (size // 16384)


def of_zlib(size: int, raw: bool = False) -> bytes:
    packer = zlib.compressobj(9, wbits=-15 if raw else 15)
    return b"".join([packer.compress(block) for block in _blocks(size)]) + packer.flush()


def of_brotli(size: int) -> bytes:
    packer = brotli.Compressor(quality=5, lgwin=24)
    made = [packer.process(block) for block in _blocks(size)]
    return b"".join([*made, packer.finish()])


def of_zstd(size: int, window_log: int = 17) -> bytes:
    options = {
        zstd.CompressionParameter.compression_level: 1,
        zstd.CompressionParameter.window_log: window_log,
    }
    packer = zstd.ZstdCompressor(options=options)
    made = [packer.compress(block) for block in _blocks(size)]
    return b"".join([*made, packer.flush()])


def of_frames(size: int) -> bytes:
    """Many small frames of zstd, and between them frames that are to be skipped."""
    frame = zstd.compress(_BLOCK[:65536], 1)
    skipped = struct.pack("<II", 0x184D2A50, 16) + b"\0" * 16
    return (frame + skipped) * (size // 65536)


def _over_the_limit(bomb: bytes) -> bytes:
    """Too large already before it is inflated a second time, which nobody does."""
    return bomb * (600_000 // len(bomb) + 1)


# The name, the encoding it is sent under, and how it is made of so many bytes.
BOMBS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "gzip": ("gzip", of_gzip),
    "gzip-in-gzip": ("gzip", lambda size: gzip.compress(_over_the_limit(of_gzip(size)), 1)),
    "gzip-of-many-members": ("gzip", of_members),
    "deflate": ("deflate", of_zlib),
    "deflate-raw": ("deflate", lambda size: of_zlib(size, raw=True)),
    "br": ("br", of_brotli),
    "br-in-br": ("br", lambda size: bytes(brotli.compress(_over_the_limit(of_brotli(size))))),
    "zstd": ("zstd", of_zstd),
    "zstd-wide-window": ("zstd", lambda size: of_zstd(size, _WINDOW_LOG)),
    "zstd-of-many-frames": ("zstd", of_frames),
}
