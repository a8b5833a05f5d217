"""Funnels: how many visitors did one thing after another, and how long it took them."""

from typing import Any, NamedTuple

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.errors import CollectorError
from collector.store import hits
from collector.store.reader import snapshot
from collector.store.reports import Question, condition, number_of

_MOST_STEPS = 8


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
    with snapshot(connection):
        marks = [_mark(connection, step) for step in steps]
        happened = _happened(connection, question, marks)
    reached: dict[int, tuple[int, int]] = {}
    told = []
    for number, (step, mark) in enumerate(zip(steps, marks, strict=True)):
        times = happened.get(mark, [])
        done = _following(times, reached) if number else {v: (at, n) for at, n, v in times[::-1]}
        waits = sorted(at - reached[v][0] for v, (at, _) in done.items()) if number else []
        median = waits[len(waits) // 2] / 1000 if waits else None
        told.append({"step": f"{step.kind}:{step.value}", "visitors": len(done), "wait_s": median})
        reached = done
    return told


def _following(
    times: list[tuple[int, int, int]], reached: dict[int, tuple[int, int]]
) -> dict[int, tuple[int, int]]:
    """When each of those who were there came here, the first time after it."""
    done: dict[int, tuple[int, int]] = {}
    for at, seq, visitor in times:
        before = reached.get(visitor)
        if before and visitor not in done and (at, seq) > before:
            done[visitor] = at, seq
    return done


def _mark(connection: sqlite.Connection, step: Step) -> int:
    """The path's number, or the event's with a minus."""
    number = number_of(connection, step.value)
    return number if step.kind == "path" else -number


_MARK = "iif(view = 1, path, -event)"


def _happened(
    connection: sqlite.Connection, question: Question, marks: list[int]
) -> dict[int, list[tuple[int, int, int]]]:
    """Time, number and visitor of the steps' events, in order of time."""
    where = condition(connection, question)
    among = ", ".join(map(str, marks))
    where = msgspec.structs.replace(
        where, said=f"{where.said} AND visitor <> 0 AND {_MARK} IN ({among})"
    )
    found: dict[int, list[tuple[int, int, int]]] = {}
    for columns in hits.scan(connection, where, (_MARK, "at", "seq", "visitor")):
        for mark, *hit in zip(*columns, strict=True):
            found.setdefault(mark, []).append(tuple(hit))
    for times in found.values():
        times.sort()
    return found
