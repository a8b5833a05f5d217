"""The load generator's inner half: one process, many connections, requests made beforehand.

Open loop: request n is due at start + n / rate, and its latency counts from then, not from when
a connection was free for it. Every connection carries one request at a time; what is due while
all are busy waits, and after `give_up_s` is not sent any more (counted as unsent). Closed loop:
every connection sends again as soon as it was answered.

Run as `python -m bench.generator` with a Job on standard input; answers with a Report.
Invariants: one outcome a request; an answer is matched to the one outstanding request of its
connection; a connection that is lost is opened again. What waits costs nothing, however much it
is: requests are due at times that are known, so those that wait are two numbers.
"""

import asyncio
import gc
import sys
import time
from array import array
from collections import deque
from math import ceil
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
        self._total = int(job.rate * job.seconds)
        self._outcomes = bytearray([UNSENT]) * self._total
        self._micros = array("I")
        self._lag = array("I")
        self._idle: deque[_Connection] = deque()
        self._started = 0.0
        self._unsent = 0  # the first that may still be sent; it and all that are due since wait
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
        started = self._started = time.monotonic()
        if job.rate:
            await self._offer()
        else:
            for _ in range(len(self._idle)):
                self._go_on(self._idle.popleft(), time.monotonic())
            await asyncio.sleep(job.seconds)
        self._stopped = True
        seconds = time.monotonic() - started
        in_time = len(self._micros)
        until = time.monotonic() + _DRAIN_S
        while self._outstanding and time.monotonic() < until:
            await asyncio.sleep(0.01)
        return Report(
            outcomes=bytes(self._outcomes),
            micros=self._micros.tobytes(),
            lag=self._lag.tobytes(),
            seconds=seconds,
            in_time=in_time,
            cpu_s=time.process_time() - cpu,
        )

    async def _offer(self) -> None:
        idle, now, end = self._idle, self._started, self._started + self._job.seconds
        while now < end:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            late = now - self._due(self._unsent)
            if idle and late >= 0:
                self._lag.append(int(late * 1e6))
            while idle and (number := self._waits(now)) is not None:
                self._send(idle.popleft(), number, self._due(number))

    def _due(self, number: int) -> float:
        return self._started + number / self._job.rate

    def _waits(self, now: float) -> int | None:
        """The request that has waited longest and has not been given up."""
        job = self._job
        given_up = ceil((now - job.give_up_s - self._started) * job.rate)
        number = max(self._unsent, given_up)
        if number >= self._total or self._due(number) > now:
            return None
        self._unsent = number + 1
        return number

    def _send(self, connection: _Connection, number: int, due: float) -> None:
        connection.number = number
        connection.due = due
        self._outstanding += 1
        self._outcomes[number] = UNANSWERED
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
        number: int | None = None
        if self._job.rate:
            number = self._waits(now)
        elif not self._stopped:
            number = len(self._outcomes)
            self._outcomes.append(UNANSWERED)
        if number is None:
            self._idle.append(connection)
        else:
            self._send(connection, number, self._due(number) if self._job.rate else now)

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
        if self._started:
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
