"""Funnels: how many visitors did one thing after another, and how long it took them."""

from typing import Any, NamedTuple

from pysqlite3 import dbapi2 as sqlite

from collector.errors import CollectorError
from collector.store.reports import Question, _number, _where

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
    reached: dict[int, tuple[int, int]] = {}
    told = []
    for number, step in enumerate(steps):
        done: dict[int, tuple[int, int]] = {}
        for visitor, at, seq in _times(connection, question, step):
            after = reached.get(visitor) if number else (-1, -1)
            if after is not None and visitor not in done and (at, seq) > after:
                done[visitor] = (at, seq)
        waits = sorted(at - reached[v][0] for v, (at, _) in done.items()) if number else []
        median = waits[len(waits) // 2] / 1000 if waits else None
        told.append({"step": f"{step.kind}:{step.value}", "visitors": len(done), "wait_s": median})
        reached = done
    return told


def _times(
    connection: sqlite.Connection, question: Question, step: Step
) -> list[tuple[int, int, int]]:
    """Visitor, time and number of the step's events, in order of time."""
    where, values = _where(connection, question)
    view = " AND view = 1" if step.kind == "path" else ""
    number = _number(connection, step.value)
    rows: list[tuple[int, int, int]] = connection.execute(
        f"""SELECT h.visitor, e.timestamp, e.seq FROM (SELECT visitor, seq FROM hits
          WHERE {where} AND {step.kind} = ?{view} AND visitor <> 0) AS h
        CROSS JOIN events AS e ON e.seq = h.seq ORDER BY 2, 3""",
        [*values, number],
    ).fetchall()
    return rows
