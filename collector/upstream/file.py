"""To a file: one JSON object a line, synced, a new file from a size on."""

import asyncio
import os
import time
from pathlib import Path

import msgspec

from collector.fleet import Forward
from collector.upstream.sink import Batch, Name, Refusal, Unreached

_TAIL = 1_048_576


class _Line(msgspec.Struct):
    seq: int


_LINE = msgspec.json.Decoder(_Line)


class File:
    """After a start, what the file has of the first batch is not written again; a line that was
    not written whole is cut off."""

    form = "columns"
    exact = False
    lanes = 1
    erases = False

    def __init__(self, settings: Forward) -> None:
        self._path = Path(settings.file)
        self._rotate_bytes = settings.rotate_bytes
        self._last_seq: int | None = None
        self.sent_bytes = 0

    async def send(self, batch: Batch) -> list[Refusal]:
        try:
            await asyncio.to_thread(self._write, batch)
        except OSError as error:
            raise Unreached(f"{self._path}: {error.strerror}") from None
        return []

    async def forget(self, known_as: str, names: list[Name]) -> None:
        raise NotImplementedError("what was written here is the operator's to erase")

    async def close(self) -> None:
        """Nothing stays open."""

    def _write(self, batch: Batch) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            size = os.fstat(fd).st_size
            last = -1
            if self._last_seq is None:
                size, last = _mend(fd, size)
            text = "".join([f"{row.text}\n" for row in batch.rows if row.seq > last]).encode()
            written = 0
            while written < len(text):
                written += os.pwrite(fd, text[written:], size + written)
            os.fsync(fd)
        except OSError:
            self._last_seq = None  # the end of the file is looked at again
            raise
        finally:
            os.close(fd)
        self._last_seq = batch.rows[-1].seq
        self.sent_bytes += len(text)
        if size + len(text) >= self._rotate_bytes:
            self._rotate()

    def _rotate(self) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._path.rename(self._path.with_name(f"{self._path.name}.{stamp}-{self._last_seq}"))
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _mend(fd: int, size: int) -> tuple[int, int]:
    """The size up to the end of the last whole line, and that line's number."""
    start = max(0, size - _TAIL)
    tail = os.pread(fd, size - start, start)
    end = tail.rfind(b"\n") + 1
    os.ftruncate(fd, start + end)
    line = tail[tail.rfind(b"\n", 0, max(0, end - 1)) + 1 : end]
    try:
        return start + end, _LINE.decode(line).seq
    except msgspec.DecodeError:
        return start + end, -1
