"""One harness for every fault: the real process, what was stored, and the judgement.

`Collector` runs the process on one data folder and fixed ports, as an operator would. `Load`
(load.py) is its clients. `Oracle` compares what the clients know with the database's rows. A
test of a new fault starts a collector, lays load on it, does its harm, and asks the oracle.
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sqlite3
import sys
from asyncio.subprocess import Process
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from tests.faults.load import Load

Row = dict[str, Any]
_SHOWN = 5  # ids named in a failure


class Collector:
    """The real process, started again and again on the same folder and ports."""

    def __init__(
        self,
        folder: Path,
        data: Path | None = None,
        env: dict[str, str] | None = None,
        **settings: object,
    ) -> None:
        """`settings`: `store__buffer_events=10` is COLLECTOR__STORE__BUFFER_EVENTS=10."""
        self.data = data or folder / "data"
        self.settings = settings
        self.env = env or {}
        self._log = folder / "collector.log"
        listen, admin = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.url, self.admin_url = f"http://{listen}", f"http://{admin}"
        self.address = ("127.0.0.1", int(listen.rpartition(":")[2]))
        self._command = [sys.executable, "-m", "collector", "serve", "--data", str(self.data)]
        self._command += ["--listen", listen, "--admin", admin]
        self._fds: tuple[int, ...] = ()
        self.process: Process | None = None

    async def __aenter__(self) -> "Collector":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.running:
            self.kill(signal.SIGKILL)
            await self.wait()

    async def spawn(self) -> None:
        """Start the process without waiting for anything."""
        given = {f"COLLECTOR__{name.upper()}": str(v) for name, v in self.settings.items()}
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._command,
                stdout=log,
                stderr=log,
                env=os.environ | given | self.env,
                pass_fds=self._fds,
            )

    async def start(self) -> None:
        """Start the process; returns when it has greeted and /healthz answers."""
        greeted = self._greetings()
        await self.spawn()
        async with aiohttp.ClientSession() as session:
            while self._greetings() == greeted or not await self._healthy(session):
                if not self.running:
                    raise AssertionError(f"did not start, it says:\n{self.said()}")
                await asyncio.sleep(0.02)

    def _greetings(self) -> int:
        return self.said().count("Listening for events on") if self._log.exists() else 0

    async def _healthy(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{self.url}/healthz") as response:
                return response.status == 200
        return False

    def kill(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    async def wait(self, seconds: float = 30) -> int:
        """The exit code; raises TimeoutError when the process is still there."""
        assert self.process
        async with asyncio.timeout(seconds):
            return await self.process.wait()

    async def stop(self) -> None:
        self.kill(signal.SIGTERM)
        assert await self.wait() == 0, self.said()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def key(self) -> str:
        """The site's write key, as a person finds it: in the snippet that `serve` prints."""
        return re.findall(r'"(wk_[\w-]+)"', self.said())[-1]

    def said(self) -> str:
        """Everything printed and logged, by all starts."""
        return self._log.read_text("utf-8")

    def rows(self, sql: str = "SELECT * FROM events ORDER BY seq") -> list[Row]:
        """The rows of `events`, in order, through the machine's own sqlite3."""
        uri = f"{(self.data / 'collector.db').absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]


class Verdict(NamedTuple):
    """What became of the events. The last four are message ids, and should be empty."""

    seed: int
    sent: int
    acknowledged: int
    stored: int
    lost: list[str]
    duplicated: list[str]
    invented: list[str]
    altered: list[str]

    @property
    def sound(self) -> bool:
        return not (self.lost or self.duplicated or self.invented or self.altered)

    def sums(self) -> dict[str, float]:
        """As figures to record."""
        wrong = {n: len(getattr(self, n)) for n in ("lost", "duplicated", "invented", "altered")}
        return {"acknowledged": self.acknowledged, **wrong}

    def __str__(self) -> str:
        wrong = {n: getattr(self, n) for n in ("lost", "duplicated", "invented", "altered")}
        figures = [f"{name} {len(ids)} {ids[:_SHOWN] or ''}".strip() for name, ids in wrong.items()]
        return (
            f"seed {self.seed}: sent {self.sent}, acknowledged {self.acknowledged}, "
            f"stored {self.stored}, {', '.join(figures)}"
        )


class Oracle:
    """Knows what was sent and acknowledged, and holds the database to it."""

    def __init__(self, load: Load, collector: Collector) -> None:
        self._load = load
        self._collector = collector

    def judge(self) -> Verdict:
        """lost: acknowledged, not there. duplicated: more than one row. invented: never sent.
        altered: another event or other properties than were sent."""
        load, rows = self._load, self._collector.rows()
        counts = Counter(row["message_id"] for row in rows)
        return Verdict(
            load.seed,
            len(load.sent),
            len(load.acknowledged),
            len(rows),
            lost=sorted(load.acknowledged - counts.keys()),
            duplicated=[i for i, count in counts.items() if count > 1],
            invented=[i for i in counts if i not in load.sent],
            altered=[row["message_id"] for row in rows if not load.as_sent(row)],
        )

    def check(self) -> Verdict:
        """Nothing acknowledged is missing, and every row is one event as it was sent."""
        verdict = self.judge()
        assert verdict.sound, verdict
        assert not self._load.refused, f"seed {self._load.seed}: {self._load.refused[:_SHOWN]}"
        return verdict

    def check_all(self) -> Verdict:
        """`check`, and everything that was ever sent has been acknowledged by now."""
        verdict = self.check()
        assert verdict.sent == verdict.acknowledged == verdict.stored, verdict
        return verdict


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
