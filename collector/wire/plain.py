"""What Segment's clients and the pixel send, in compiled code where nothing in it is unusual.

The rules are those of segment.py, native.py, decode.py and build.py, which decide everything
else: a request that would take another turn there is not plain (c/call.h and c/query.h say
which), and goes there as it came.
"""

from collections.abc import Callable

from collector.compiled import COMPILED, Decoder, Plain
from collector.config import Limits
from collector.wire import bots, native
from collector.wire.scrub import Scrubber

_LARGEST = 2**62


def decoder(
    limits: Limits,
    scrubber: Scrubber,
    purchases: frozenset[str],
    leads: frozenset[str],
    known: frozenset[str],
    judge: Callable[[str, str | None], str | None],
) -> Decoder | None:
    """For these settings; None where the compiled part is missing. `judge` is asked what is wrong
    in an event that is called as one of `known`: its name, its properties as JSON text; not where
    nothing can be, in one of the `purchases` or `leads`."""
    if not COMPILED:
        return None
    return Decoder(
        event_bytes=min(limits.event_bytes, _LARGEST),
        message_id_chars=min(limits.message_id_chars, _LARGEST),
        batch_events=min(limits.batch_events, _LARGEST),
        depth=min(limits.depth, 1000),
        skew_ms=int(min(limits.clock_skew_s * 1000, _LARGEST)),
        scrub=scrubber.text,
        scrub_all=scrubber.own,
        harmless=scrubber.harmless,
        purchases=purchases,
        leads=leads,
        known=known,
        judge=judge,
        is_bot=bots.known,
    )


def single(
    decoder: Decoder, kind: str, body: bytes, query: str | None, referer: str | None
) -> Plain | None:
    return decoder.single(body, kind)


def batch(
    decoder: Decoder, kind: str, body: bytes, query: str | None, referer: str | None
) -> Plain | None:
    return decoder.batch(body)


def gif(
    decoder: Decoder, kind: str, body: bytes, query: str | None, referer: str | None
) -> Plain | None:
    if not query or not query.isascii():
        return None
    return decoder.query(query, native.own_page(referer))
