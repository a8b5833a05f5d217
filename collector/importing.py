"""`collector import`: a file read in blocks of whole lines, and put where events go.

Invariant: what is recorded as done is in the log. The record follows the commit: what lies
between them when the process is killed comes again, and is known by its number (an export's) or
its message id.
"""

import asyncio
import gzip
import io
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec
import xxhash

from collector.config import Limits
from collector.errors import CollectorError, Refused
from collector.event import Event
from collector.ingest.intake import Taken
from collector.store.imports import Progress
from collector.wire import exported, segment_file
from collector.wire.access_log import Reader, combined
from collector.wire.message import Item

_LONGEST = 1_000_000  # bytes of a line
_RECORD_S = 1.0
_AT_ONCE = 2  # batches: one is being stored, one waits, the next is read
_KNOWN = "no event of an export, no call as JSON, and no line of an access log"
_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Batch(msgspec.Struct):
    """What a block of lines came to, in one of three forms; `lines`: the number of each one's
    line; `reached`: how far it goes."""

    events: list[Event] = msgspec.field(default_factory=list)
    calls: list[bytes] = msgspec.field(default_factory=list)
    items: list[Item] = msgspec.field(default_factory=list)
    lines: list[int] = msgspec.field(default_factory=list)
    refused: list[tuple[int, str]] = msgspec.field(default_factory=list)
    skipped: int = 0
    reached: Progress = Progress()


class Door(Protocol):
    """Where batches go: into the files of a stopped collector, or to the running one."""

    block_bytes: int

    async def send(self, batch: Batch, site: str) -> Taken: ...
    async def progress(self, source: str) -> Progress: ...
    async def record(self, source: str, reached: Progress) -> None: ...


class Summary(msgspec.Struct):
    """`accepted`: in the log now. `skipped`: lines of no interest. `before`: lines that an
    earlier run had brought in."""

    lines: int = 0
    accepted: int = 0
    declined: int = 0
    skipped: int = 0
    refused: int = 0
    before: int = 0
    reasons: Counter[str] = msgspec.field(default_factory=Counter)


class Lines:
    """The file: blocks of whole lines, with their place and a digest of all that was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ahead = b""
        self._digest = xxhash.xxh3_128()
        self.bytes = self.lines = 0

    def first(self) -> bytes:
        """The first line, which is read again with its block."""
        self._ahead = self._ahead or self._file.readline(_LONGEST)
        return self._ahead

    def skip(self, reached: Progress) -> bool:
        """Pass over what was imported; False where the file does not begin with it."""
        while self.bytes < reached.bytes:
            wanted = min(1 << 20, reached.bytes - self.bytes)
            data, self._ahead = self._ahead[:wanted], self._ahead[wanted:]
            data = data or self._file.read(wanted)
            if not data:
                return False
            self._digest.update(data)
            self.bytes += len(data)
        self.lines = reached.lines
        return self._digest.hexdigest() == reached.digest

    def rewind(self) -> bool:
        """Begin again; False for what cannot be read twice."""
        if not self._file.seekable():
            return False
        self._file.seek(0)
        self._ahead, self.bytes, self.lines = b"", 0, 0
        self._digest.reset()
        return True

    def block(self, size: int, whole: bool) -> bytes:
        """Some lines; `whole`: without a last one that has no end yet."""
        data = self._ahead + self._file.read(max(0, size - len(self._ahead)))
        self._ahead = b""
        if data and data[-1:] != b"\n":
            data += self._file.readline(_LONGEST)
            if data[-1:] != b"\n" and len(data) >= _LONGEST:
                raise CollectorError(f"a line after line {self.lines:,} is over {_LONGEST:,} bytes")
        if whole and data[-1:] != b"\n" and len(data) < size:
            data = data[: data.rfind(b"\n") + 1]
        return data

    def done(self, data: bytes, lines: int) -> Progress:
        self._digest.update(data)
        self.bytes += len(data)
        self.lines += lines
        return Progress(self.bytes, self.lines, self._digest.hexdigest())


def open_file(path: str) -> BinaryIO:
    """`-` is standard input; what ends in .gz is unpacked. Raises CollectorError."""
    try:
        if path == "-":
            return sys.stdin.buffer
        if path.endswith(".gz"):
            return io.BufferedReader(gzip.open(path), 1 << 16)
        return Path(path).open("rb", buffering=1 << 16)
    except OSError as error:
        raise CollectorError(f"{path}: {error.strerror}") from None


def form_of(line: bytes) -> str:
    """What a file that begins with this line is. Raises CollectorError for what is nothing
    known."""
    if line[:1] != b"{":
        try:
            combined(line)
        except Refused:
            raise CollectorError(f"the first line is {_KNOWN}; --format says what it is") from None
        return "nginx"
    try:
        keys = _KEYS.decode(line).keys()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "segment"
    if {"message_id", "node_seq"} <= keys:
        return "export"
    return "caddy" if {"request", "status"} <= keys else "segment"


class Parser:
    """Blocks to batches. `reader`: of access logs."""

    def __init__(self, form: str, limits: Limits, reader: Reader | None = None) -> None:
        self._limits = limits
        self._reader = reader
        self._take: Callable[[Batch, bytes, int, int], None] = {
            "export": self._event,
            "segment": self._call,
        }.get(form, self._hit)

    def batch(self, data: bytes, first_line: int, place: int) -> tuple[Batch, int]:
        """The batch of a block that begins with that line at that byte, and how many lines it
        has."""
        batch, number = Batch(), first_line - 1
        lines = data.split(b"\n")
        for number, line in enumerate(lines if lines[-1] else lines[:-1], first_line):
            text = line.strip()
            if text:
                try:
                    self._take(batch, text, number, place)
                except Refused as error:
                    batch.refused.append((number, error.message))
            place += len(line) + 1
        return batch, number - first_line + 1

    def _event(self, batch: Batch, line: bytes, number: int, place: int) -> None:
        batch.events.append(exported.event(line, self._limits))
        batch.lines.append(number)

    def _call(self, batch: Batch, line: bytes, number: int, place: int) -> None:
        calls = segment_file.calls(line, place)
        batch.calls += calls
        batch.lines += [number] * len(calls)

    def _hit(self, batch: Batch, line: bytes, number: int, place: int) -> None:
        assert self._reader is not None
        item = self._reader.call(line, place)
        if item is None:
            batch.skipped += 1
            return
        batch.items.append(item)
        batch.lines.append(number)


class Import:
    """One file on its way. `refuse` is told the number of a line and why it is not taken;
    `show` how far it is."""

    def __init__(
        self,
        lines: Lines,
        door: Door,
        refuse: Callable[[int, str], None],
        show: Callable[[Summary, int], None],
    ) -> None:
        self._lines = lines
        self._door = door
        self._refuse = refuse
        self._show = show
        self._source = self._site = ""
        self._salt = ""
        self._recorded = 0.0
        self.summary = Summary()

    async def begin(self, form: str, site: str, again: bool) -> str:
        """Go to where an earlier run ended; returns the salt of visitors' ids. Raises
        CollectorError."""
        first, self._site = self._lines.first(), site
        name = f"{form}\0{site}\0".encode() + first[:65536]
        self._source = xxhash.xxh3_128_hexdigest(name)
        reached = await self._door.progress(self._source)
        self._salt = reached.salt
        if again or not reached.bytes:
            return self._salt
        if await asyncio.to_thread(self._lines.skip, reached):
            self.summary.before = self.summary.lines = reached.lines
        elif not self._lines.rewind():
            raise CollectorError(
                "it begins like one that was imported, and goes on differently; --again imports "
                "it from its beginning"
            )
        return self._salt

    async def run(self, parser: Parser, growing: bool) -> Summary:
        """Raises CollectorError; what has been stored until then need not come again. `growing`:
        a last line without an end is left for the next time."""
        flying: deque[tuple[Batch, asyncio.Task[Taken]]] = deque()
        reached = None
        try:
            async for batch in self._batches(parser, growing):
                reached = batch.reached
                flying.append((batch, asyncio.create_task(self._door.send(batch, self._site))))
                if len(flying) >= _AT_ONCE:
                    await self._settle(*flying.popleft())
            while flying:
                await self._settle(*flying.popleft())
        finally:
            for _, task in flying:
                task.cancel()
            await asyncio.gather(*(task for _, task in flying), return_exceptions=True)
        if reached is not None:  # the end: the salt is forgotten
            await self._door.record(self._source, reached)
        return self.summary

    async def _batches(self, parser: Parser, growing: bool) -> AsyncIterator[Batch]:
        lines, size = self._lines, self._door.block_bytes
        while data := await asyncio.to_thread(lines.block, size, growing):  # a pipe may be slow
            batch, count = parser.batch(data, lines.lines + 1, lines.bytes)
            batch.reached = lines.done(data, count)
            yield batch

    async def _settle(self, batch: Batch, sending: asyncio.Task[Taken]) -> None:
        taken = await sending
        refused = [(batch.lines[place], why) for place, why in taken.refused]
        for number, why in sorted(batch.refused + refused):
            self.summary.reasons[why.partition(" - at ")[0]] += 1
            self._refuse(number, why)
        done = self.summary
        done.lines = batch.reached.lines
        done.accepted += taken.accepted
        done.declined += taken.declined
        done.skipped += batch.skipped
        done.refused += len(batch.refused) + len(refused)
        self._show(done, batch.reached.bytes)
        if time.monotonic() - self._recorded > _RECORD_S:
            reached = msgspec.structs.replace(batch.reached, salt=self._salt)
            await self._door.record(self._source, reached)
            self._recorded = time.monotonic()
