"""Readers in a process of their own. A thread shares the interpreter lock with those who answer
visitors: beside ingest a page of the dashboard took three times as long, and a batch waited for
half a second while somebody looked at a year.

The process begins with the first question, ends when there was none for some minutes, and with the
collector, however that ends. A question is a function by its name with its arguments, pickled; only
the two have these pipes.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import pickle
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from pysqlite3 import dbapi2 as sqlite

from collector.errors import CollectorError, StoreUnavailable
from collector.store.reader import Reader, TookTooLong

log = logging.getLogger(__name__)

COMMAND = "read-apart"
_IDLE_S = 300.0
_ERRORS: dict[str, type[CollectorError]] = {
    "TookTooLong": TookTooLong,
    "StoreUnavailable": StoreUnavailable,
    "Damaged": StoreUnavailable,
}
P = ParamSpec("P")
T = TypeVar("T")
Told = Callable[[float], None]


class Apart:
    """The process, as seen from the collector."""

    def __init__(self, path: Path, lanes: int, limit_s: float = 30.0, cache_mb: int = 2) -> None:
        """`lanes`: how many questions it works on at a time."""
        self._arguments = str(path), str(lanes), str(limit_s), str(cache_mb)
        self._beginning = asyncio.Lock()
        self._process: Process | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._waiting: dict[int, tuple[Process, asyncio.Future[Any], Told | None]] = {}
        self._numbers = itertools.count()
        self._end: asyncio.TimerHandle | None = None
        self.idle_s = _IDLE_S

    async def ask(
        self,
        lane: int,
        told: Told | None,
        work: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        process = await self._running()
        assert process.stdin
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = process, future, told
        try:
            process.stdin.write(_frame((number, lane, work, args, kwargs)))
            return await future
        finally:
            del self._waiting[number]
            self._end_later()

    async def close(self) -> None:
        if self._end:
            self._end.cancel()
        process, hearing = self._process, self._hearing
        if process and hearing:
            self._let_go()
            done, _ = await asyncio.wait((hearing,), timeout=5)
            if not done:
                process.kill()
                await hearing

    async def _running(self) -> Process:
        if self._end:
            self._end.cancel()
        async with self._beginning:
            if self._process is None:
                try:
                    self._process = await asyncio.create_subprocess_exec(
                        *_command(), COMMAND, *self._arguments, stdin=PIPE, stdout=PIPE
                    )
                except OSError as error:  # no memory, files or processes left
                    why = f"the reading process cannot be started: {error.strerror}"
                    raise StoreUnavailable(why) from error
                self._hearing = asyncio.create_task(self._hear(self._process), name="apart")
            return self._process

    def _end_later(self) -> None:
        if self._end:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(self.idle_s, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if not self._waiting:
            self._let_go()

    def _let_go(self) -> None:
        """The process ends once it cannot be asked any more."""
        process, self._process = self._process, None
        if process and process.stdin:
            process.stdin.close()

    async def _hear(self, process: Process) -> None:
        assert process.stdout
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                self._take(*await _next(process.stdout))
        status = await process.wait()
        if self._process is process:
            self._process = None
            log.warning("the process that reads for the dashboard ended by itself (%s)", status)
        for asked, future, _ in self._waiting.values():
            if asked is process and not future.done():
                future.set_exception(StoreUnavailable("the reading process ended; ask again"))

    def _take(self, number: int, kind: str, value: Any) -> None:
        if number not in self._waiting:  # whoever asked has gone
            return
        _, future, told = self._waiting[number]
        if future.done():
            return
        if kind == "told":
            if told:
                told(value)
        elif kind == "done":
            future.set_result(value)
        else:
            name, text = value
            future.set_exception(_ERRORS.get(name, CollectorError)(text))


class Lane:
    """One of its readers; used as a `Reader` is. What is asked for must be a function with a name
    in a module."""

    def __init__(self, apart: Apart, number: int) -> None:
        self._apart = apart
        self._number = number

    async def run(
        self,
        work: Callable[Concatenate[sqlite.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return await self.watched(None, work, *args, **kwargs)

    async def watched(
        self,
        told: Told | None,
        work: Callable[Concatenate[sqlite.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The same; `told`, in the loop, what share of the work is done."""
        return cast(T, await self._apart.ask(self._number, told, work, args, kwargs))


def _command() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [sys.executable, "-P", "-m", "collector"]  # -P: no modules from the working directory


def _frame(value: Any) -> bytes:
    content = pickle.dumps(value)
    return len(content).to_bytes(4, "big") + content


async def _next(stream: asyncio.StreamReader) -> Any:
    """Raises IncompleteReadError at the end."""
    size = int.from_bytes(await stream.readexactly(4), "big")
    return pickle.loads(await stream.readexactly(size))  # noqa: S301 - of our own process


def main(arguments: list[str]) -> None:
    """The process itself."""
    for number in (signal.SIGINT, signal.SIGTERM):  # to all of a terminal's or service's processes
        signal.signal(number, signal.SIG_IGN)  # the collector's end is its own
    path, lanes, limit_s, cache_mb = arguments
    answers = os.dup(1)
    os.dup2(2, 1)  # what is printed is no answer
    try:
        asyncio.run(_serve(Path(path), int(lanes), float(limit_s), int(cache_mb), answers))
    except BaseException:  # the readers' threads would keep it from ending
        logging.exception("the reading process")
        os._exit(1)


async def _serve(path: Path, lanes: int, limit_s: float, cache_mb: int, answers: int) -> None:
    loop = asyncio.get_running_loop()
    readers = [await Reader.open(path, limit_s, cache_mb) for _ in range(lanes)]
    questions = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    pipe, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(answers, "wb"))
    tasks: set[asyncio.Task[None]] = set()

    def say(*answer: Any) -> None:
        pipe.write(_frame(answer))

    async def answer(
        number: int, lane: int, work: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        def told(share: float) -> None:
            loop.call_soon_threadsafe(say, number, "told", share)

        try:
            say(number, "done", await readers[lane].watched(told, work, *args, **kwargs))
        except CollectorError as error:
            say(number, "failed", (type(error).__name__, str(error)))
        except Exception as error:
            logging.exception("reading for the dashboard")
            say(number, "failed", ("", repr(error)))

    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            task = asyncio.create_task(answer(*await _next(questions)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    os._exit(0)  # nobody is there for an answer, and it has written nothing
