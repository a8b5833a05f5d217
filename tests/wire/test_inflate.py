"""Compressed bodies, from the clients that compress and from those that mean harm."""

import gzip
import time
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import Refused
from collector.wire.inflate import ENCODINGS, inflated, zstd

PACK = {
    "gzip": [gzip.compress],
    "deflate": [zlib.compress, lambda raw: zlib.compress(raw, wbits=-15)],
    "br": [brotli.compress, lambda raw: brotli.compress(raw, lgwin=24)],
    "zstd": [zstd.compress, lambda raw: zstd.compress(raw, 19)],
}
WAYS = [(encoding, pack) for encoding, packs in PACK.items() for pack in packs]


@pytest.mark.parametrize(("encoding", "pack"), WAYS)
@given(body=st.binary(max_size=300) | st.integers(0, 20_000).map(bytes))
def test_what_was_packed_comes_out(encoding, pack, body):
    assert inflated(pack(body), encoding, 20_000) == body


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_several_streams_are_one_body(encoding):
    (pack, *_) = PACK[encoding]
    parts = [bytes([number]) * number for number in range(200)]
    assert inflated(b"".join(map(pack, parts)), encoding, 100_000) == b"".join(parts)


@pytest.mark.parametrize(("encoding", "pack"), WAYS)
def test_a_byte_over_the_limit_is_413_and_at_it_is_taken(encoding, pack):
    assert len(inflated(pack(bytes(5000)), encoding, 5000)) == 5000
    with pytest.raises(Refused) as caught:
        inflated(pack(bytes(5001)), encoding, 5000)
    assert (caught.value.status, caught.value.code) == (413, "too_large")


@given(body=st.binary(max_size=300), encoding=st.sampled_from(sorted(ENCODINGS)))
def test_any_bytes_are_inflated_or_refused(body, encoding):
    try:
        assert len(inflated(body, encoding, 1000)) <= 1000
    except Refused as error:
        assert error.status in (400, 413)


@pytest.mark.parametrize(("encoding", "pack"), WAYS)
def test_nothing_is_taken_of_what_was_cut_off(encoding, pack):
    packed = pack(b"abcdefgh" * 50)
    for end in range(len(packed)):
        with pytest.raises(Refused, match="inflated"):
            inflated(packed[:end], encoding, 1000)


@pytest.mark.parametrize("empty", [gzip.compress(b""), zstd.compress(b"")], ids=["gzip", "zstd"])
def test_a_body_of_empty_streams_takes_no_time_to_speak_of(empty):
    """Each costs a decoder, and had the rest of the body copied."""
    body = empty * (500_000 // len(empty))
    began = time.process_time()
    with pytest.raises(Refused, match="inflated"):
        inflated(body, "gzip" if empty[:1] == b"\x1f" else "zstd", 512_000)
    assert time.process_time() - began < 1
