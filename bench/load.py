"""One measured run over HTTP: load put on a target, what came of it as a Run."""

import os
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter
from typing import IO

import msgspec

from bench import outcome, wrk
from bench.account import Account
from bench.console import Progress
from bench.job import Job, Report
from bench.process import Target
from bench.result import Run, latency_of
from bench.traffic import SHAPES


def peak(
    target: Target,
    shape: str,
    pool: list[bytes],
    seconds: float,
    connections: int,
    warm_up_s: float = 1.0,
) -> Run:
    """As much as it takes: by wrk where it is installed, else by generators of our own."""
    if not wrk.installed():
        processes = max(1, min(4, len(os.sched_getaffinity(0))))
        return offered(target, shape, pool, 0, seconds, connections, processes)
    progress = Progress(f"{target.name} {shape} peak", seconds + warm_up_s)
    with wrk.Wrk(pool) as sender:
        if warm_up_s:
            sender.load(target, warm_up_s, connections, progress.tick)
            target.wait_idle()
        account = Account(target)
        loaded = sender.load(target, seconds, connections, progress.tick)
    run = Run(
        subject=target.name,
        shape=shape,
        load="peak",
        seconds=round(loaded.seconds, 3),
        events=loaded.answered * SHAPES[shape],
        events_per_s=round(loaded.answered * SHAPES[shape] / loaded.seconds),
        requests_per_s=round(loaded.answered / loaded.seconds),
        generator_cpu_s=round(loaded.cpu_s, 2),
        generator_cpu_share=round(loaded.cpu_s / loaded.seconds, 3),
        answers={"200": loaded.answered, "other": loaded.refused},
        errors=loaded.errors,
    )
    account.fill(run)
    account.count(run)
    progress.end(described(run))
    return run


def offered(
    target: Target,
    shape: str,
    pool: list[bytes],
    rate: float,
    seconds: float,
    connections: int,
    processes: int = 1,
    give_up_s: float = 10.0,
) -> Run:
    """Requests at `rate` a second from `processes` generators; with rate 0 a closed loop."""
    kind = f"open loop, {rate:,.0f} requests/s" if rate else "peak"
    progress = Progress(f"{target.name} {shape} {kind}", seconds)
    number = int.from_bytes(os.urandom(2), "big") & 0xFFF
    host, port = target.address
    account = Account(target)
    start_at = time.monotonic() + 0.5 + connections / 2000
    reports = _generate(
        [
            Job(
                host=host,
                port=port,
                pool=pool,
                sender=sender,
                run=number,
                rate=rate / processes,
                seconds=seconds,
                connections=max(1, connections // processes),
                start_at=start_at,
                give_up_s=give_up_s,
            )
            for sender in range(processes)
        ],
        progress,
    )
    run = _run_of(target, shape, rate, reports)
    account.fill(run)
    account.compare(run, reports, shape)
    progress.end(described(run))
    return run


def _run_of(target: Target, shape: str, rate: float, reports: list[Report]) -> Run:
    outcomes: Counter[int] = Counter()
    micros, lag = array("I"), array("I")
    for report in reports:
        outcomes.update(report.outcomes)
        micros.frombytes(report.micros)
        lag.frombytes(report.lag)
    seconds = max(report.seconds for report in reports)
    cpu_s = sum(report.cpu_s for report in reports)
    stored, late = outcomes[outcome.STORED], latency_of(lag)
    in_time = sum(report.in_time for report in reports)
    return Run(
        subject=target.name,
        shape=shape,
        load="open" if rate else "peak",
        seconds=round(seconds, 3),
        events=stored * SHAPES[shape],
        events_per_s=round(in_time * SHAPES[shape] / seconds),
        requests_per_s=round(in_time / seconds),
        offered_per_s=rate * SHAPES[shape] if rate else None,
        latency=latency_of(micros) if rate else None,
        generator_cpu_s=round(cpu_s, 2),
        generator_cpu_share=round(cpu_s / seconds, 3),
        generator_late_p99_ms=late.p99 if late else None,
        answers={outcome.NAMES[code]: count for code, count in sorted(outcomes.items())},
        errors=outcomes[outcome.BROKEN] + outcomes[outcome.UNANSWERED],
    )


def _generate(jobs: list[Job], progress: Progress) -> list[Report]:
    running: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
    try:
        for job in jobs:
            out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed below)
            with tempfile.TemporaryFile() as given:
                given.write(msgspec.msgpack.encode(job))
                given.seek(0)
                command = [sys.executable, "-m", "bench.generator"]
                running.append((subprocess.Popen(command, stdin=given, stdout=out), out))
        while any(process.poll() is None for process, _ in running):
            time.sleep(0.05)
            progress.tick()
        return [_read(process, out) for process, out in running]
    finally:
        for process, out in running:
            if process.poll() is None:
                process.kill()
            process.wait()
            out.close()


def _read(process: "subprocess.Popen[bytes]", out: IO[bytes]) -> Report:
    if process.returncode:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    out.seek(0)
    return msgspec.msgpack.decode(out.read(), type=Report)


def described(run: Run) -> str:
    text = f"{run.events_per_s:,.0f} events/s"
    if run.events_per_cpu_s:
        text += f", {run.events_per_cpu_s:,.0f} per CPU s"
    if run.latency:
        found = run.latency
        text += f", p50 {found.p50:.1f} p99 {found.p99:.1f} p99.9 {found.p999:.1f} ms"
    if run.lost or run.repeated:
        text += f", LOST {run.lost}, REPEATED {run.repeated}"
    return text
