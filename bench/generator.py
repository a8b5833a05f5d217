"""The load generator's inner half: one process, many connections, requests made beforehand.

Open loop: request n is due at start + n / rate, and its latency counts from then, not from when
a connection was free for it. Every connection carries one request at a time; what is due while
all are busy waits, and after `give_up_s` is not sent any more (counted as unsent). Closed loop:
every connection sends again as soon as it was answered.

Run as `python -m bench.generator` with a Job on standard input; answers with a Report.
Invariants: one outcome a request; an answer is matched to the one outstanding request of its
connection; a connection that is lost is opened again.
"""

import asyncio
import gc
import sys
import time
from array import array
from collections import deque
from typing import cast

import msgspec
import uvloop

from bench.job import Job, Report
from bench.outcome import BROKEN, STORED, UNANSWERED, UNSENT, frame
from bench.traffic import STEM, stem_head

_TICK_S = 0.001
_DRAIN_S = 15.0


class _Connection(asyncio.Protocol):
    __slots__ = ("buffer", "due", "load", "number", "transport")

    def __init__(self, load: "_Load") -> None:
        self.load = load
        self.buffer = b""
        self.number = -1
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        outcome = frame(data)
        if outcome == UNANSWERED:
            self.buffer = data
            return
        self.buffer = b""
        self.load.answered(self, outcome)
        if outcome != STORED and b"\r\nConnection: close" in data:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.lost(self)


class _Load:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._requests = [
            (head, rest.replace(STEM, b"\x01"))
            for head, _, rest in (request.partition(STEM) for request in job.pool)
        ]
        self._head = stem_head(job.sender, job.run)
        self._outcomes = bytearray()
        self._micros = array("I")
        self._lag = array("I")
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[tuple[int, float]] = deque()
        self._outstanding = 0
        self._stopped = False
        self._reopening: set[asyncio.Task[object]] = set()

    async def run(self) -> Report:
        job = self._job
        for _ in range(job.connections):
            await self._open()
        # Never in the past: what was due before the connections stood would look like a stall.
        await asyncio.sleep(max(0.05, job.start_at - time.monotonic()))
        cpu = time.process_time()
        started = time.monotonic()
        if job.rate:
            await self._offer(started)
        else:
            for _ in range(len(self._idle)):
                self._send(self._idle.popleft(), self._next(), time.monotonic())
            await asyncio.sleep(job.seconds)
        self._stopped = True
        seconds = time.monotonic() - started
        in_time = len(self._micros)
        until = time.monotonic() + _DRAIN_S
        while (self._outstanding or self._waiting) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        return Report(
            outcomes=bytes(self._outcomes),
            micros=self._micros.tobytes(),
            lag=self._lag.tobytes(),
            seconds=seconds,
            in_time=in_time,
            cpu_s=time.process_time() - cpu,
        )

    async def _offer(self, started: float) -> None:
        job, idle = self._job, self._idle
        total = int(job.rate * job.seconds)
        number = 0
        while number < total:
            now = time.monotonic()
            due = started + number / job.rate
            if due <= now:
                self._lag.append(int((now - due) * 1e6))
            while due <= now and number < total:
                self._next()
                if idle:
                    self._send(idle.popleft(), number, due)
                else:
                    self._waiting.append((number, due))
                number += 1
                due = started + number / job.rate
            await asyncio.sleep(_TICK_S)

    def _next(self) -> int:
        self._outcomes.append(UNANSWERED)
        return len(self._outcomes) - 1

    def _send(self, connection: _Connection, number: int, due: float) -> None:
        connection.number = number
        connection.due = due
        self._outstanding += 1
        head, rest = self._requests[number % len(self._requests)]
        stem = b"%s%010x" % (self._head, number)
        connection.transport.write(head + stem + rest.replace(b"\x01", stem))

    def answered(self, connection: _Connection, outcome: int) -> None:
        now = time.monotonic()
        self._outcomes[connection.number] = outcome
        self._outstanding -= 1
        if outcome == STORED:
            self._micros.append(int((now - connection.due) * 1e6))
        connection.number = -1
        self._go_on(connection, now)

    def _go_on(self, connection: _Connection, now: float) -> None:
        if connection.transport.is_closing():
            return
        waiting = self._waiting
        while waiting:
            number, due = waiting.popleft()
            if now - due < self._job.give_up_s:
                self._send(connection, number, due)
                return
            self._outcomes[number] = UNSENT
        if self._job.rate or self._stopped:
            self._idle.append(connection)
        else:
            self._send(connection, self._next(), now)

    def lost(self, connection: _Connection) -> None:
        if connection.number >= 0:
            self._outcomes[connection.number] = BROKEN
            self._outstanding -= 1
        elif connection in self._idle:
            self._idle.remove(connection)
        if not self._stopped:
            task: asyncio.Task[object] = asyncio.ensure_future(self._open_again())
            self._reopening.add(task)
            task.add_done_callback(self._reopening.discard)

    async def _open(self) -> None:
        job = self._job
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), job.host, job.port)
        if self._outcomes:
            self._go_on(connection, time.monotonic())
        else:
            self._idle.append(connection)

    async def _open_again(self) -> None:
        while not self._stopped:
            try:
                await self._open()
            except OSError:
                await asyncio.sleep(0.1)
            else:
                return


async def _run(job: Job) -> Report:
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing here makes circles, and a pause would look like the collector's
    return await _Load(job).run()


if __name__ == "__main__":
    work = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.msgpack.encode(uvloop.run(_run(work))))
