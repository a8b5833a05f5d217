"""From a person's events to the hits that rules look at. Pure."""

from collections.abc import Iterable
from fractions import Fraction

from msgspec import Struct

from collector.audience.evaluate import Hit
from collector.audience.match import amounts, fits, named
from collector.audience.nodes import Pattern
from collector.event import Event


class Counted(Struct, frozen=True):
    """What the projections made of a known event: `lead`, or a purchase and its value."""

    kind: str
    total: Fraction | None = None
    currency: str | None = None


class Happening(Struct, frozen=True):
    """An event of a person; `counted` where it is a purchase or a lead that counts."""

    seq: int
    event: Event
    counted: Counted | None = None


def hits(patterns: Iterable[Pattern], happenings: Iterable[Happening]) -> dict[Pattern, list[Hit]]:
    """Per pattern what fits it, in order of time."""
    happenings = list(happenings)
    return {
        pattern: sorted(
            hit(pattern, happening) for happening in happenings if belongs(pattern, happening)
        )
        for pattern in patterns
    }


def belongs(pattern: Pattern, happening: Happening) -> bool:
    event, counted = happening.event, happening.counted
    if pattern.kind in ("purchase", "lead"):
        return counted is not None and counted.kind == pattern.kind and fits(pattern.where, event)
    return named(pattern, event.type, event.event, event.path) and fits(pattern.where, event)


def hit(pattern: Pattern, happening: Happening) -> Hit:
    event, counted = happening.event, happening.counted
    if pattern.amount is None:
        return Hit(event.timestamp, happening.seq)
    if counted is not None and pattern.kind == "purchase":
        value = counted.total if pattern.amount == "total" else amounts(pattern, event)
        return Hit(event.timestamp, happening.seq, value or Fraction(0), counted.currency)
    return Hit(event.timestamp, happening.seq, amounts(pattern, event))
