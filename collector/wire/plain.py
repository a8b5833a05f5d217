"""What Segment's clients and the pixel send, in compiled code where nothing in it is unusual.

The rules are those of segment.py, native.py, decode.py and build.py, which decide everything
else: a request that would take another turn there is not plain (c/call.h and c/query.h say
which), and goes there as it came.
"""

from collections.abc import Callable

from collector.compiled import COMPILED, Decoder, Plain
from collector.config import Limits
from collector.wire import bots, native, segment
from collector.wire.message import ANONYMOUS_ID, Request
from collector.wire.scrub import Scrubber

Keyed = tuple[str, Plain]  # a write key, and what came under it


def decoder(
    limits: Limits,
    scrubber: Scrubber,
    known: frozenset[str],
    judge: Callable[[str, str | None], str | None],
) -> Decoder | None:
    """For these settings; None where the compiled part is missing. `judge` is asked what is wrong
    in an event that is called as one of `known`: its name, its properties as JSON text."""
    if not COMPILED:
        return None
    return Decoder(
        event_bytes=limits.event_bytes,
        message_id_chars=limits.message_id_chars,
        batch_events=limits.batch_events,
        depth=limits.depth,
        skew_ms=int(limits.clock_skew_s * 1000),
        scrub=scrubber.text,
        scrub_all=scrubber.own,
        harmless=scrubber.harmless,
        known=known,
        judge=judge,
        is_bot=bots.known,
    )


def single(decoder: Decoder, request: Request, kind: str) -> Keyed | None:
    return _keyed(decoder.single(request.body, kind), request)


def batch(decoder: Decoder, request: Request, kind: str) -> Keyed | None:
    return _keyed(decoder.batch(request.body), request)


def gif(decoder: Decoder, request: Request, kind: str) -> Keyed | None:
    query = request.url.raw_query_string
    if not query.isascii():
        return None
    plain = decoder.query(query, native.own_page(request))
    return (plain.key, plain) if plain is not None and plain.key else None


def _keyed(plain: Plain | None, request: Request) -> Keyed | None:
    if plain is None or ANONYMOUS_ID in request.headers:
        return None
    key = segment.basic_user(request) or plain.key
    return (key, plain) if key else None
