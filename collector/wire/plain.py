"""Bodies of Segment's API and the pixel's in compiled code, where nothing in them is unusual.

The rules are those of decode.py and build.py, which decide everything else: a body that would
take another turn there is not plain (c/call.h says which), and goes there as it came.
"""

from collections.abc import Callable

from collector import rows
from collector.config import Limits
from collector.rows import Decoder, Plain
from collector.wire import bots
from collector.wire.message import Request
from collector.wire.scrub import Scrubber


def decoder(
    limits: Limits,
    scrubber: Scrubber,
    known: frozenset[str],
    judge: Callable[[str, str | None], str | None],
) -> Decoder | None:
    """For these settings; None where the compiled part is missing. `judge` is asked what is wrong
    in an event that is called as one of `known`: its name, its properties as JSON text."""
    if not rows.COMPILED:
        return None
    return Decoder(
        event_bytes=limits.event_bytes,
        message_id_chars=limits.message_id_chars,
        batch_events=limits.batch_events,
        depth=limits.depth,
        skew_ms=int(limits.clock_skew_s * 1000),
        scrub=scrubber.text,
        scrub_all=scrubber.own,
        known=known,
        judge=judge,
        is_bot=bots.known,
    )


def single(decoder: Decoder, request: Request, kind: str) -> Plain | None:
    return decoder.single(request.body, kind)


def batch(decoder: Decoder, request: Request, kind: str) -> Plain | None:
    return decoder.batch(request.body)
