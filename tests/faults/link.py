"""The network between two collectors: passes bytes on, late, not at all, or not to the end.

A proxy on one port. `mood` can change at any time: `sound`; `slow` holds every piece back for
a while; `lossy` breaks connections off in the middle, either way; `cut` breaks all of them and lets
none through; `stalled` keeps them open and passes nothing.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable

MOODS = ("sound", "slow", "lossy", "cut", "stalled")
_Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Link:
    def __init__(self, target: Callable[[], tuple[str, int]], seed: int) -> None:
        self.url = ""
        self._target = target
        self._random = random.Random(seed)
        self._mood = "sound"
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> "Link":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.mood = "cut"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def mood(self) -> str:
        return self._mood

    @mood.setter
    def mood(self, mood: str) -> None:
        self._mood = mood
        self._changed.set()
        self._changed = asyncio.Event()
        if mood == "cut":
            for writer in self._open:
                writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mood == "cut":
            writer.transport.abort()
            return
        try:
            there = await asyncio.open_connection(*self._target())
        except OSError:
            writer.transport.abort()
            return
        for one, other in (((reader, writer), there), (there, (reader, writer))):
            task = asyncio.create_task(self._pass(one[0], other[1]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._open |= {writer, there[1]}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # uvloop's word for a closed one
            while piece := await reader.read(16384):
                while self._mood == "stalled":
                    await self._changed.wait()
                if self._mood == "slow":
                    await asyncio.sleep(self._random.uniform(0.02, 0.2))
                if self._mood == "lossy" and self._random.random() < 0.2:
                    writer.write(piece[: len(piece) // 2])
                    break
                writer.write(piece)
                await writer.drain()
        writer.close()
        self._open.discard(writer)
