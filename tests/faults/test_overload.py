"""More than it can take: requests, connections, open files. What was answered 200 is there, memory
stays bounded, and it works again when the crowd has gone."""

import asyncio
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.load import offered, peak
from bench.process import Collector as Served
from bench.procfs import rss
from bench.result import Run
from tests.faults.harness import Collector, Oracle
from tests.faults.load import Load
from tests.faults.results import record, recording, rounds_of, seed_of

SEED = seed_of()
SHAPE = "batch20"
FACTORS = (2, 5, 10) if recording() else (10,)
SECONDS = 8.0 if recording() else 0.5
ROUNDS = rounds_of(1, 4)
RSS_MB = 400
IDLE = rounds_of(300, 10_000)
OWN_MB = 50  # a collector under load grows by 30 MB in its first minute, whoever is connected


@pytest.mark.timeout(120 + 200 * ROUNDS)
def test_up_to_ten_times_its_peak_loses_nothing_and_memory_is_bounded() -> None:
    for number in range(ROUNDS):
        with Served() as target:
            most = peak(target, SHAPE, target.pool(SHAPE), SECONDS, 64).requests_per_s or 1
        for factor in FACTORS:
            with Served() as target:
                pool = target.pool(SHAPE)
                run = offered(
                    target, SHAPE, pool, factor * most, SECONDS, 64 * factor, give_up_s=1.0
                )
            note(run, factor)
            print(f"round {number + 1}, {factor} times the peak of {most:.0f} batches/s: {run}")
            assert (run.lost, run.repeated) == (0, 0)
            assert not run.answers.get("503 without Retry-After")
            assert (run.rss_peak or 0) < RSS_MB * 1e6


def note(run: Run, factor: int) -> None:
    sums: dict[str, float] = {
        "acknowledged": run.events,
        "lost": run.lost or 0,
        "duplicated": run.repeated or 0,
        "refused_requests": sum(n for name, n in run.answers.items() if name.startswith("503")),
    }
    highest = {"times_the_peak": factor, "rss_mb": (run.rss_peak or 0) / 1e6}
    record("overload", rounds=1, seed=SEED, sums=sums, highest=highest)


def connect(stack: ExitStack, collector: Collector, count: int) -> list[socket.socket]:
    return [stack.enter_context(socket.create_connection(collector.address)) for _ in range(count)]


def closed(connection: socket.socket) -> bool:
    """Whether the other end has closed it, within 3 s."""
    connection.settimeout(3)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.mark.timeout(300)
async def test_thousands_of_idle_connections_cost_little_and_further_ones_are_closed(
    tmp_path: Path,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(IDLE, hard - 500)
    settings = {"http__max_connections": count, "http__keepalive_s": 300}
    try:
        async with Collector(tmp_path, **settings) as collector:
            load = Load(collector.url, collector.key, SEED, clients=4, pause=0.02)
            load.start()
            await load.acknowledges(100)
            before = rss(collector.pid)[0]
            with ExitStack() as stack:
                await asyncio.to_thread(connect, stack, collector, count - 4)
                await load.acknowledges(100)
                used_mb = (rss(collector.pid)[0] - before) / 1e6
                further = connect(stack, collector, 5)  # a client may just have had none
                assert await asyncio.to_thread(lambda: any(map(closed, further)))
                await load.acknowledges(100)
            await load.finish()
            verdict = Oracle(load, collector).check_all()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    record(
        "idle",
        rounds=1,
        seed=SEED,
        sums=verdict.sums(),
        highest={"idle_connections": count - 4, "their_memory_mb": used_mb},
    )
    assert used_mb < OWN_MB + count * 0.02


async def test_no_more_files_can_be_opened(tmp_path: Path) -> None:
    """Clients that are connected are served all the while, others when there is room again."""
    async with Collector(tmp_path) as collector:
        load = Load(collector.url, collector.key, SEED, clients=4, pause=0.02)
        load.start()
        await load.acknowledges(100)
        used = len(list(Path(f"/proc/{collector.pid}/fd").iterdir()))
        hard = resource.prlimit(collector.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(collector.pid, resource.RLIMIT_NOFILE, (used + 20, hard))
        with ExitStack() as stack:
            await asyncio.to_thread(connect, stack, collector, 60)
            await load.acknowledges(300)
        late = Load(collector.url, collector.key, SEED + 1, clients=2, pause=0.02)
        late.start()
        await late.acknowledges(50)
        await late.pause()
        resource.prlimit(collector.pid, resource.RLIMIT_NOFILE, (hard, hard))
        await late.finish()
        await load.finish()
        rows = {row["message_id"] for row in collector.rows()}
        lost = (load.acknowledged | late.acknowledged) - rows
        acknowledged = len(load.acknowledged | late.acknowledged)
        record(
            "open_files",
            rounds=1,
            seed=SEED,
            sums={"acknowledged": acknowledged, "lost": len(lost)},
        )
        assert not lost
        assert set(load.answers) == {"200"}
        await collector.stop()
        assert len(collector.said()) < 50_000
