"""Processes under load: started, waited for, accounted for, stopped."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pysqlite3 import dbapi2 as sqlite

from bench.machine import scratch_root
from bench.procfs import TICKS_PER_S, rss, ticks, tree
from bench.traffic import Traffic

KEY = "wk_bench_0123456789abcdef"
_START_S = 60.0
# The collector's table is emptied at times and its numbers go on; a peer's may not be there yet.
_LAST_SEQ = (
    "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'",
    "SELECT coalesce(max(seq), 0) FROM events",
)
_POOL = {"single": 2000, "batch20": 300, "gif": 2000}


class Target:
    """What is loaded. Of one that runs elsewhere nothing is known but what it answers."""

    name = "remote"
    defers = True  # answers first and stores later, which is part of an event's cost

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self.key = key

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def pool(self, shape: str, headers: str = "browser") -> list[bytes]:
        """Requests as it takes them."""
        host, port = self.address
        return Traffic(self.key, f"{host}:{port}", headers).pool(shape, _POOL[shape])

    def cpu_s(self) -> float | None:
        return None

    def rss(self) -> tuple[int, int] | None:
        """Bytes now and at most."""
        return None

    def last_seq(self) -> int | None:
        return None

    def wait_idle(self) -> None:
        """Until what was taken is stored."""


class Served(Target):
    """A process of our own with a folder of its own, ended and cleared away by `with`."""

    name = "served"
    database = "collector.db"
    readable = True  # its database holds what the collector's holds

    def __init__(self, command: list[str], folder: Path, port: int, env: Mapping[str, str] = {}):
        super().__init__(f"http://127.0.0.1:{port}", KEY)
        self.folder = folder
        self._command = command
        self._env = {**os.environ, **env}

    def __enter__(self) -> Self:
        log = (self.folder / "output.txt").open("ab")
        with log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._env, start_new_session=True
            )
        try:
            self._await_start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        """End it the orderly way, at most 30 s."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _await_start(self) -> None:
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(*self.address, timeout=5)
                connection.request("GET", "/readyz")
                connection.getresponse().read()
                connection.close()
                return
            time.sleep(0.02)
        said = (self.folder / "output.txt").read_text("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{' '.join(self._command)} did not start:\n{said}")

    def cpu_s(self) -> float:
        """User and system time of the process, its threads and its children."""
        return sum(ticks(pid) for pid in tree(self.process.pid)) / TICKS_PER_S

    def rss(self) -> tuple[int, int]:
        pairs = [rss(pid) for pid in tree(self.process.pid)]
        return sum(now for now, _ in pairs), sum(peak for _, peak in pairs)

    def last_seq(self) -> int | None:
        return _last_seq(self.folder / self.database)

    def wait_idle(self, limit_s: float = 10.0) -> None:
        """The log does not grow and the processor rests for a fifth of a second."""
        until = time.monotonic() + limit_s
        before = (self.last_seq(), self.cpu_s())
        while time.monotonic() < until:
            time.sleep(0.2)
            now = (self.last_seq(), self.cpu_s())
            if now[0] == before[0] and now[1] - before[1] < 0.03:
                return
            before = now


class Collector(Served):
    """The real collector, by its own command, with its own defaults."""

    name = "collector"
    defers = False

    def __init__(self, env: Mapping[str, str] = {}, folder: Path | None = None) -> None:
        folder = folder or scratch_folder()
        port, admin = free_ports(2)
        command = [
            sys.executable,
            "-m",
            "collector",
            "serve",
            "--data",
            str(folder),
            "--listen",
            f"127.0.0.1:{port}",
            "--admin",
            f"127.0.0.1:{admin}",
        ]
        self.admin = f"127.0.0.1:{admin}"
        site = {"COLLECTOR__SITE__0__NAME": "bench", "COLLECTOR__SITE__0__KEY": KEY}
        super().__init__(command, folder, port, {**site, **env})


def scratch_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="collector-bench-", dir=scratch_root()))


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]


def read_ids(database: Path, after_seq: int) -> Iterator[str]:
    """The message ids stored after `after_seq`."""
    with contextlib.closing(open_database(database)) as connection:
        rows = connection.execute("SELECT message_id FROM events WHERE seq > ?", (after_seq,))
        for (message_id,) in rows:
            yield message_id


def open_database(database: Path) -> sqlite.Connection:
    return sqlite.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=30)


def _last_seq(database: Path) -> int:
    if not database.exists():
        return 0
    with contextlib.closing(open_database(database)) as connection:
        for query in _LAST_SEQ:
            with contextlib.suppress(sqlite.OperationalError):
                return int(connection.execute(query).fetchone()[0])
    return 0
