"""Time and the ids that grow with it."""

import os
import time
from datetime import datetime, timedelta


def now_ms() -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def uuid7(at_ms: int) -> str:
    """A time-ordered UUID (RFC 9562, version 7) for the millisecond `at_ms`."""
    rand = int.from_bytes(os.urandom(10), "big")
    number = (at_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (rand >> 68) << 64
    number |= 0b10 << 62 | rand & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def iso(at_ms: int) -> str:
    """The millisecond as text, `2026-11-24T19:00:00.123Z`."""
    seconds, ms = divmod(at_ms, 1000)
    at = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    return f"{at.isoformat()}.{ms:03d}Z"
