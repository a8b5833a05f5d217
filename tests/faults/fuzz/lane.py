"""Raw bytes to the lane and to the normal way: what is said and kept must be the same."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import Any

from collector.ingest.lane import IngestServer
from tests.faults.fuzz.world import World

AGAIN = b"\n====\n"  # between connections
_STATUS = re.compile(rb"HTTP/\d\.\d (\d\d\d) ")
_BROKEN = (b"HTTP/1.0 4", b"HTTP/0.9", b"HTTP/1.1 431")
_LENGTH = b"content-length"
_ROUNDS = 400  # of the loop, before a connection counts as one that waits for more
Reply = tuple[bytes, list[bytes], bytes]  # status line, headers, body
Said = tuple[list[list[Reply]], list[bytes]]


class Wire(asyncio.Transport):
    """A connection's other end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.said = bytearray()
        self.open = True
        self.paused = False
        self._loop, self._protocol = loop, protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        if self.open:
            self.said += data

    def writelines(self, chunks: Iterable[Any]) -> None:
        self.write(b"".join(chunks))

    def is_closing(self) -> bool:
        return not self.open

    def close(self) -> None:
        if self.open:
            self.open = False
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        pass


class Lanes:
    """The hot and the normal listener over one service."""

    def __init__(self, world: World, seeds: Iterable[bytes] = ()) -> None:
        self._world = world
        self.loop = asyncio.new_event_loop()
        world.writer.later = self.loop.call_soon
        self._hot, self._normal = (world.server(self.loop, hot) for hot in (True, False))
        self._hot.heads._affordable = lambda: True  # type: ignore[method-assign]
        for seed in seeds:  # from here on the heads of honest clients are known
            self.loop.run_until_complete(self._all(self._hot, [[c] for c in seed.split(AGAIN)]))
        self._known = {start: list(heads) for start, heads in self._hot.heads.known.items()}

    def compare(self, data: bytes) -> None:
        self._hot.heads.known = {start: list(heads) for start, heads in self._known.items()}
        connections = data.split(AGAIN)[:4]
        whole, cut = [[c] for c in connections], [_cut(c) for c in connections]
        answers = [self._both(pieces) for pieces in (whole, cut)]
        if not _has_broken(answers):  # what came with it in one read is refused with it
            assert answers[0] == answers[1], f"whole\n{answers[0]}\nin pieces\n{answers[1]}"

    def _both(self, connections: list[list[bytes]]) -> Said:
        hot = self.run(self._hot, connections)
        normal = self.run(self._normal, connections)
        assert hot == normal, f"the lane says\n{hot}\nthe normal way\n{normal}"
        return hot

    def run(self, server: IngestServer, connections: list[list[bytes]]) -> Said:
        self._world.writer.kept.clear()
        said = self.loop.run_until_complete(self._all(server, connections))
        self._world.alarm.check()
        return [list(_replies(text)) for text in said], list(self._world.writer.kept)

    async def _all(self, server: IngestServer, connections: list[list[bytes]]) -> list[bytes]:
        return [await self._one(server, pieces) for pieces in connections]

    async def _one(self, server: IngestServer, pieces: list[bytes]) -> bytes:
        protocol = server()
        wire = Wire(self.loop, protocol)
        protocol.connection_made(wire)
        await self._quiet()
        for piece in pieces:
            if piece and wire.open and not wire.paused:
                protocol.data_received(piece)
                await self._quiet()
        wire.close()
        await self._quiet()
        return bytes(wire.said)

    async def _quiet(self) -> None:
        """Until nothing is left to do but to wait."""
        ready = self.loop._ready  # type: ignore[attr-defined]
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
            if not ready:
                return


def _has_broken(answers: list[Said]) -> bool:
    """Whether one of the requests is none by aiohttp's parser."""
    replies = [reply for said, _ in answers for connection in said for reply in connection]
    return any(status.startswith(_BROKEN) for status, _, _ in replies)


def _replies(said: bytes) -> Iterator[Reply]:
    """What a client reads, its headers in a common order, none of them the time."""
    while said:
        head, end, rest = said.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        status = _STATUS.match(line)
        assert end and status and int(status[1]) < 500, said
        lengths = [int(f[len(_LENGTH) + 1 :]) for f in fields if f.lower().startswith(_LENGTH)]
        size = 0 if rest.startswith(b"HTTP/1.1 ") else sum(lengths[:1])  # of HEAD: no body
        if int(status[1]) != 100:  # not needed where the body has come already
            yield _reply(line, fields, rest[:size])
        said = rest[size:]


def _reply(line: bytes, fields: list[bytes], body: bytes) -> Reply:
    return line, sorted(f for f in fields if not f.startswith(b"Date:")), body


def _cut(data: bytes) -> list[bytes]:
    """In three, at places that the data themselves choose."""
    if len(data) < 3:
        return [data]
    first = 1 + (data[-1] * 31 + len(data)) % (len(data) - 1)
    second = first + (len(data) - first) // 2
    return [data[:first], data[first:second], data[second:]]
