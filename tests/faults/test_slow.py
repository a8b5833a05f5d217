"""Clients that hold connections by slowness: they are put out in time, and honest ones do not
notice. FAULT_ROUNDS sets how many of each kind."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from bench.load import offered
from bench.process import Collector
from bench.result import Run
from tests.faults.results import record, recording, rounds_of

EACH = rounds_of(20, 1000)
RATE, SECONDS, CONNECTIONS = (300.0, 36.0, 32) if recording() else (50.0, 4.0, 8)
DEADLINES = {
    "headers": ("keepalive_s", 20.0 if recording() else 3.0),
    "bodies": ("body_timeout_s", 10.0 if recording() else 2.0),
    "readers": ("unread_timeout_s", 20.0 if recording() else 2.0),
}
OVER_S = 8.0 if recording() else 0.5  # they arrive; then all are there
GRACE = 1.5  # times the deadline; the unread are looked for four times within theirs
LONGEST_S = 60.0


@contextmanager
def attack(target: Collector) -> Iterator[IO[str]]:
    """While it is entered, all attackers are at it; gives what they will say at the end."""
    given = (target.address[1], EACH, OVER_S, LONGEST_S)
    command = [sys.executable, "-m", "tests.faults.slow", *map(str, given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as them:
        assert them.stdout
        assert them.stdout.readline() == "ready\n"
        try:
            yield them.stdout
        finally:
            them.kill()


def honest(target: Collector) -> Run:
    return offered(target, "single", target.pool("single"), RATE, SECONDS, CONNECTIONS)


def room_for_connections() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if 0 < most < 6 * EACH + 200:
        pytest.skip(f"{most} open files are too few for {3 * EACH} attackers")


@pytest.mark.timeout(300)
def test_slow_clients_are_put_out_and_honest_ones_do_not_notice() -> None:
    room_for_connections()
    settings = {f"COLLECTOR__HTTP__{name.upper()}": str(s) for name, s in DEADLINES.values()}
    with Collector(settings) as target:
        before = honest(target)
        with attack(target) as them:
            during = honest(target)
            held = json.loads(them.read())
    note(before, during, held)
    for run in (before, during):
        assert (run.errors, run.lost, run.repeated) == (0, 0, 0)
        assert set(run.answers) <= {"200"}, run.answers
    for kind, (_, deadline) in DEADLINES.items():
        assert all(seconds is not None for seconds in held[kind]), kind
        if recording():
            assert max(held[kind]) < GRACE * deadline, kind


def note(before: Run, during: Run, held: dict[str, list[float | None]]) -> None:
    assert before.latency
    assert during.latency
    out = [seconds for some in held.values() for seconds in some if seconds is not None]
    errors = float(before.errors + during.errors)
    sums = {
        "acknowledged": before.events + during.events,
        "failed": errors,
        "put_out": float(len(out)),
    }
    highest = {
        f"{kind}_held_s": max((s or LONGEST_S for s in some), default=0.0)
        for kind, some in held.items()
    }
    highest |= {
        "honest_requests_a_second": RATE,
        "p99_ms_before": before.latency.p99,
        "p99_ms_during": during.latency.p99,
        "p99_times_as_long": during.latency.p99 / before.latency.p99,
        "load_of_the_machine": os.getloadavg()[0],
        "rss_mb_during": (during.rss_end or 0) / 1e6,
    }
    print(sums, highest)
    record("slow", rounds=3 * EACH, seed=0, sums=sums, highest=highest)
