"""Does a person belong, and until when is that certain without a new event. Pure.

At the time t a happening counts when it is not later than t and lies in the window: on or
after a fixed `from` and before a fixed `to`; less than `from` ago, and `to` ago or longer,
where these are distances. So `within = "7d"` and `to = "7d"` together cover everything once.

Invariant: between `now` and the returned `until` (None: for ever) the answer stays what it is,
as long as the history does. It may be earlier than need be, never later.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from collections.abc import Sequence as List
from fractions import Fraction
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any as Anything
from typing import NamedTuple

from msgspec import Struct

from collector.audience import nodes
from collector.audience.match import looking_at, meets, ordered
from collector.audience.nodes import Node, Pattern, Window


class Hit(NamedTuple):
    """An event that fits a pattern; `seq` tells it from others of the same time."""

    at: int
    seq: int
    amount: Fraction | None = None
    currency: str | None = None


class History(Struct, frozen=True):
    """What is known of a person. `hits` of a pattern are in order of time."""

    hits: Mapping[Pattern, List[Hit]]
    traits: Mapping[str, Anything]
    first_seen: int | None = None
    last_seen: int | None = None


Verdict = tuple[bool, int | None]
_at = attrgetter("at")


def evaluate(node: Node, history: History, now: int) -> Verdict:
    """Whether the person belongs at `now`, and the first time at which that may change by
    itself (None: never)."""
    return _EVALUATE[type(node)](node, history, now)


def _all(node: nodes.All, history: History, now: int) -> Verdict:
    return _together([evaluate(rule, history, now) for rule in node.rules], True)


def _any(node: nodes.Any, history: History, now: int) -> Verdict:
    return _together([evaluate(rule, history, now) for rule in node.rules], False)


def _together(verdicts: list[Verdict], usual: bool) -> Verdict:
    """`usual` unless one says otherwise; then it stays otherwise as long as one of them does."""
    others = [until for value, until in verdicts if value is not usual]
    if others:
        return not usual, None if None in others else max(filter(None, others))
    return usual, _first(until for _, until in verdicts)


def _not(node: nodes.Not, history: History, now: int) -> Verdict:
    value, until = evaluate(node.rule, history, now)
    return not value, until


def _member(node: nodes.Member, history: History, now: int) -> Verdict:
    raise AssertionError(f"audience {node.audience} was not linked")


def _trait(node: nodes.Trait, history: History, now: int) -> Verdict:
    condition = node.condition
    if condition.property.startswith("$"):
        seen = history.first_seen if condition.property == "$first_seen" else history.last_seen
        return _seen(seen, node, now)
    return meets(condition, looking_at(history.traits)), None


def _seen(seen: int | None, node: nodes.Trait, now: int) -> Verdict:
    op, ago = node.condition.op, node.ago
    if seen is None:
        return False, None
    if ago is None:
        return ordered(seen, op, node.condition.value), None
    turns = seen + ago + (op in ("gte", "lt"))
    return ordered(seen, op, now - ago), turns if turns > now else None


class _Span(NamedTuple):
    """Which hits lie in a window now, as a slice, and when the next one enters or leaves."""

    start: int
    stop: int
    enters: int | None
    ago: int | None


def _span(hits: List[Hit], window: Window, now: int) -> _Span:
    begin, end = window.begin, window.end
    delay = end.ago if end and end.ago is not None else 0
    stop = bisect_right(hits, now - delay, key=_at)
    enters = hits[stop].at + delay if stop < len(hits) else None
    if end and end.at is not None:
        stop = min(stop, bisect_left(hits, end.at, key=_at))
        enters = enters if stop < len(hits) and hits[stop].at < end.at else None
    start, ago = 0, None
    if begin and begin.ago is not None:
        ago = begin.ago
        start = bisect_right(hits, now - ago, key=_at)
    elif begin and begin.at is not None:
        start = bisect_left(hits, begin.at, key=_at)
    return _Span(start, max(start, stop), enters, ago)


def _did(node: nodes.Did, history: History, now: int) -> Verdict:
    hits = history.hits.get(node.pattern, ())
    span, op = _span(hits, node.window, now), node.measure.op
    if node.pattern.amount is not None:
        value = _sums_up(hits[span.start : span.stop], node.measure)
    elif op in ("gte", "gt", "lt", "lte"):
        return _at_least(hits, span, node.measure)
    else:
        value = ordered(span.stop - span.start, op, node.measure.value)
    leaves = hits[span.start].at + span.ago if span.ago and span.start < len(hits) else None
    return value, _first((span.enters, leaves))


def _at_least(hits: List[Hit], span: _Span, measure: nodes.Measure) -> Verdict:
    """A count against a bound: reached, it stays so until too many have left; not reached,
    until one more enters."""
    count, op = span.stop - span.start, measure.op
    bound = measure.value if op in ("gte", "lt") else int(measure.value // 1) + 1
    reached, wanted = count >= bound, op in ("gte", "gt")
    if not reached:
        return not wanted, span.enters
    needed = span.stop - int(-(-bound // 1))
    until = hits[needed].at + span.ago if span.ago and span.start <= needed < span.stop else None
    return wanted, until


def _sums_up(hits: List[Hit], measure: nodes.Measure) -> bool:
    """Currencies are kept apart: any one of them may meet the measure."""
    sums: dict[str | None, Fraction] = {}
    for hit in hits:
        sums[hit.currency] = sums.get(hit.currency, Fraction(0)) + (hit.amount or 0)
    wanted = Fraction(repr(measure.value))
    return any(ordered(value, measure.op, wanted) for value in sums.values() or (Fraction(0),))


def _sequence(node: nodes.Sequence, history: History, now: int) -> Verdict:
    present = [i for i, step in enumerate(node.steps) if not step.absent]
    first = history.hits.get(node.steps[0].pattern, ())
    span = _span(first, node.window, now)
    happenings, later = _happenings(node, history, now, span)
    ends = _chains(happenings, present, node.within)
    absent = _absent_after(node, history, present[-1])
    open_until = None
    if absent is not None:
        finished = []
        for end in ends:
            i = bisect_right(absent, end)
            broken = i < len(absent) and absent[i] <= min(end + node.within, now)
            if not broken and now > end + node.within:
                finished.append(end)
            elif not broken:
                open_until = _first((open_until, end + node.within + 1))
        ends = finished
    if not ends:
        return False, _first((later, span.enters, open_until))
    return True, first[span.start].at + span.ago if span.ago else None


def _absent_after(node: nodes.Sequence, history: History, last: int) -> list[int] | None:
    """Times of what must not follow the last step; None where nothing is said of it."""
    steps = node.steps[last + 1 :]
    if not steps:
        return None
    return sorted(hit.at for step in steps for hit in history.hits.get(step.pattern, ()))


def _happenings(
    node: nodes.Sequence, history: History, now: int, span: _Span
) -> tuple[list[tuple[int, int, int]], int | None]:
    """(time, step, seq) of everything that the steps look at until now, in order; and when the
    first thing lies that is later than now."""
    found: list[tuple[int, int, int]] = []
    later = None
    for i, step in enumerate(node.steps):
        hits = history.hits.get(step.pattern, ())
        stop = bisect_right(hits, now, key=_at)
        if stop < len(hits):
            later = _first((later, hits[stop].at))
        chosen = hits[span.start : span.stop] if i == 0 else hits[:stop]
        found += [(hit.at, i, hit.seq) for hit in chosen]
    found.sort()
    return found, later


def _chains(happenings: list[tuple[int, int, int]], present: list[int], within: int) -> list[int]:
    """The times at which the last of the `present` steps was reached, in one pass.

    For each step the latest start of a chain that has come so far is kept: it leaves the most
    room. Of the same millisecond either may come first, but one event is not two steps in a
    row; what must not happen breaks a chain only when it lies between two steps in time.
    """
    stage = {step: k for k, step in enumerate(present)}
    best: list[int | None] = [None] * len(present)
    ends = []
    for at, group in groupby(happenings, itemgetter(0)):
        fresh: list[list[tuple[int, int]]] = [[] for _ in present]
        broken = []
        for _, step, seq in group:
            k = stage.get(step)
            if k is None:
                broken.append(sum(other < step for other in present) - 1)
                continue
            starts = [at] if k == 0 else _starts(best[k - 1], fresh[k - 1], seq)
            start = max(starts, default=None)
            if start is not None and at - start <= within:
                fresh[k] = sorted([*fresh[k], (start, seq)], reverse=True)[:2]
        for k in broken:
            best[k] = None
        for k, reached in enumerate(fresh):
            if reached:
                known, start = best[k], reached[0][0]
                best[k] = start if known is None else max(known, start)
        if fresh[-1]:
            ends.append(at)
    return ends


def _starts(best: int | None, fresh: list[tuple[int, int]], seq: int) -> list[int]:
    before = [] if best is None else [best]
    return before + [start for start, other in fresh if other != seq]


def _first(times: "Anything") -> int | None:
    return min((time for time in times if time is not None), default=None)


_EVALUATE: dict[type, Callable[[Anything, History, int], Verdict]] = {
    nodes.All: _all,
    nodes.Any: _any,
    nodes.Not: _not,
    nodes.Member: _member,
    nodes.Trait: _trait,
    nodes.Did: _did,
    nodes.Sequence: _sequence,
}
