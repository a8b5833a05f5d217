"""Files of Segment's calls: a call a line, or a batch a line, as archives and queues hold them."""

import hashlib

import msgspec

from collector.wire.decode import said
from collector.wire.message import ABSENT, invalid


class _Line(msgspec.Struct, rename="camel", gc=False):
    message_id: msgspec.Raw = ABSENT
    timestamp: msgspec.Raw = ABSENT
    original_timestamp: msgspec.Raw = ABSENT
    received_at: msgspec.Raw = ABSENT
    batch: msgspec.Raw = ABSENT


_LINE = msgspec.json.Decoder(_Line)
_CALLS = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODE = msgspec.json.Encoder().encode
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOTHING = (b"", b"null", b'""')


def calls(line: bytes, place: int) -> list[bytes]:
    """The calls of the line that begins at byte `place`, each sound JSON with a message id: of a
    call without one, the same each time that the line is read. Raises Refused."""
    try:
        read = _LINE.decode(line)
        if bytes(read.batch) in _NOTHING:
            return [_named(line, read, place, 0)]
        batch = [bytes(raw) for raw in _CALLS.decode(read.batch)]
        return [_named(raw, _LINE.decode(raw), place, n) for n, raw in enumerate(batch)]
    except _ERRORS as error:
        raise invalid(said(error, "$"), code="invalid_json") from None


def _named(raw: bytes, read: _Line, place: int, number: int) -> bytes:
    if bytes(read.message_id) not in _NOTHING and bytes(read.timestamp) not in _NOTHING:
        return raw
    fields = _FIELDS.decode(raw)
    if bytes(read.message_id) in _NOTHING:
        identity = b"%d %d\0" % (place, number) + raw
        said = hashlib.blake2b(identity, digest_size=16).hexdigest()
        fields["messageId"] = msgspec.Raw(_ENCODE(said))
    if bytes(read.timestamp) in _NOTHING:  # of an archive, when Segment received it
        at = next((t for t in (read.original_timestamp, read.received_at) if bytes(t)), None)
        if at is not None:
            fields["timestamp"] = at
    return _ENCODE(fields)
