"""From a person's events to the hits that rules look at. Pure."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any as Anything

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

    @property
    def said(self) -> dict[str, Anything]:
        """The properties that the projections know better: typed, in one form."""
        if self.kind == "lead":
            return {}
        return {"total": self.total, "currency": self.currency}


class Happening(Struct, frozen=True):
    """An event of a person; `counted` where it is a purchase or a lead that counts. `event` may
    be missing there, when nothing is asked of it."""

    seq: int
    at: int
    event: Event | None
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
        return (
            counted is not None
            and counted.kind == pattern.kind
            and fits(pattern.where, event, counted.said)
        )
    assert event is not None
    return named(pattern, event.type, event.event, event.path) and fits(pattern.where, event)


def hit(pattern: Pattern, happening: Happening) -> Hit:
    counted, amount = happening.counted, None
    if pattern.amount is not None:
        if counted is not None and counted.kind == "purchase" and pattern.amount == "total":
            amount = counted.total or Fraction(0)
        else:
            amount = amounts(pattern, happening.event)
    currency = counted.currency if counted is not None and pattern.kind == "purchase" else None
    return Hit(happening.at, happening.seq, amount, currency)
