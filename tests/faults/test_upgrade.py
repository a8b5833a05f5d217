"""One version replaced by another under load, the listening socket held by the service manager
meanwhile: no request fails, nothing is lost, nothing is there twice."""

import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.harness import Collector, Oracle
from tests.faults.load import Load
from tests.faults.results import record, rounds_of, seed_of

SEED = seed_of()
ROUNDS = rounds_of(4, 50)


class Activated(Collector):
    """Started as a socket unit's service is: the sockets are made outside and stay open."""

    def __init__(self, folder: Path, sockets: list[socket.socket]) -> None:
        super().__init__(folder)
        ports = [s.getsockname()[1] for s in sockets]
        self.url, self.admin_url = (f"http://127.0.0.1:{port}" for port in ports)
        self.address = ("127.0.0.1", ports[0])
        hand = " ".join(f"{3 + i}<&{s.fileno()}" for i, s in enumerate(sockets))
        self._fds = tuple(s.fileno() for s in sockets)
        self._command = [
            "bash",
            "-c",
            f'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=public:admin exec "$@" {hand}',
            "bash",
            *(sys.executable, "-m", "collector", "serve", "--data", str(self.data)),
        ]


@pytest.mark.timeout(120 + 20 * ROUNDS)
async def test_restarts_under_load_fail_no_request(tmp_path: Path) -> None:
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
            for _ in range(2)
        ]
        async with Activated(tmp_path, sockets) as collector:
            load = Load(collector.url, collector.key, SEED, clients=16)
            load.start()
            for _ in range(ROUNDS):
                await load.acknowledges(1000)
                collector.kill(signal.SIGTERM)
                assert await collector.wait() == 0, collector.said()
                await collector.start()
            await load.acknowledges(1000)
            await load.finish()
            print(f"seed {SEED}, {ROUNDS} upgrades: {dict(load.answers)}, {len(load.sent)} sent")
            verdict = Oracle(load, collector).judge()
            failed = {"failed": sum(n for answer, n in load.answers.items() if answer != "200")}
            record("upgrade", rounds=ROUNDS, seed=SEED, sums=verdict.sums() | failed)
            assert set(load.answers) == {"200"}
            Oracle(load, collector).check_all()
