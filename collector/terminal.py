"""Text for a terminal: what strangers sent made harmless, colours, bars."""

import os
import sys
from collections.abc import Sequence

import click

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"


def safe(text: str) -> str:
    """Without what would move the cursor, colour the screen or turn the writing round: an event's
    name comes from anybody."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def colour(text: str, **style: object) -> str:
    """Styled on a terminal; never where NO_COLOR is set (no-color.org)."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return click.style(text, **style)  # type: ignore[arg-type]


def bar(value: float, most: float, width: int) -> str:
    """A bar of `value` where `most` is as long as `width` characters."""
    if not _blocks():
        return "#" * round(width * value / (most or 1))
    eighths = round(8 * width * value / (most or 1))
    return _EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def line(values: Sequence[float]) -> str:
    """A small chart in one line."""
    most = max(values, default=0) or 1
    marks = _HEIGHTS if _blocks() else "_.-=#"
    return "".join(marks[round((len(marks) - 1) * value / most)] for value in values)


def _blocks() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
