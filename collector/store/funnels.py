"""Funnels: how many visitors did one thing after another, and how long it took them."""

from typing import Any, NamedTuple

from pysqlite3 import dbapi2 as sqlite

from collector.errors import CollectorError
from collector.store.marks import of_question
from collector.store.question import Question
from collector.store.reader import snapshot
from collector.store.sums import Marks

_MOST_STEPS = 8
Reached = dict[int, tuple[int, int]]  # by visitor: time and number


class Step(NamedTuple):
    """`path` and its page views, or `event` and its tracks."""

    kind: str
    value: str


def parse(texts: list[str]) -> list[Step]:
    """From `path:/pricing` or `event:Purchase`. Raises CollectorError."""
    steps = [Step(*text.partition(":")[::2]) for text in texts]
    if not 2 <= len(steps) <= _MOST_STEPS or any(s.kind not in ("path", "event") for s in steps):
        raise CollectorError(
            f"step: expected 2 to {_MOST_STEPS} of them, each as path:/pricing or event:Purchase"
        )
    return steps


def funnel(
    connection: sqlite.Connection, question: Question, steps: list[Step]
) -> list[dict[str, Any]]:
    """For each step how many came so far, and the median of the seconds since the step before:
    each visitor takes each step at the first time after the one before."""
    reached: Reached = {}
    told = []
    with snapshot(connection):
        for number, step in enumerate(steps):
            who = reached if number else None
            found = of_question(connection, question, step.kind, step.value, who)
            done = _following(found, reached) if number else _first(found)
            waits = sorted(at - reached[v][0] for v, (at, _) in done.items()) if number else []
            median = waits[len(waits) // 2] / 1000 if waits else None
            what = f"{step.kind}:{step.value}"
            told.append({"step": what, "visitors": len(done), "wait_s": median})
            reached = done
    return told


def _first(found: Marks) -> Reached:
    """When each visitor came first."""
    visitors, at, seqs = (column.tolist() for column in found.columns)
    latest_first = sorted(range(len(at)), key=at.__getitem__)[::-1]
    places = dict(zip(map(visitors.__getitem__, latest_first), latest_first, strict=True))
    places.pop(0, None)
    return {visitor: (at[i], seqs[i]) for visitor, i in places.items()}


def _following(found: Marks, reached: Reached) -> Reached:
    """When each of those who were there came here, the first time after it."""
    visitors, at, seqs = (column.tolist() for column in found.columns)
    places = [i for i, visitor in enumerate(visitors) if visitor in reached]
    done: Reached = {}
    for i in sorted(places, key=at.__getitem__):
        visitor, when = visitors[i], (at[i], seqs[i])
        if visitor not in done and when > reached[visitor]:
            done[visitor] = when
    return done
