"""`collector export`: the log as NDJSON, CSV or Parquet, a portion at a time."""

import contextlib
import csv
import gzip
import io
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from collector.audience.layouts import defused
from collector.errors import CollectorError
from collector.store import exports
from collector.store.reader import Reader

_ROWS = 2_000
Rows = list[tuple[str | int | None, ...]]
Show = Callable[[int, float], None]


async def portions(
    reader: Reader, form: str, wanted: exports.Filter, show: Show
) -> AsyncIterator[Rows]:
    """The rows, some at a time, up to the last one that there is now. `show` is told how many
    there were and which part of the log has been looked through."""
    after, last = await reader.run(exports.bounds)
    first, found = after, 0
    while after < last:
        portion = await reader.run(exports.portion, form, wanted, after, last, _ROWS)
        after = portion.upto
        found += len(portion.rows)
        yield portion.rows
        show(found, (after - first) / (last - first))


def ndjson(rows: Rows) -> bytes:
    return "".join([f"{row[0]}\n" for row in rows]).encode()


class Csv:
    """With a line of names; no cell is a formula to a spreadsheet."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self._writer = csv.writer(self._text)
        self._writer.writerow(exports.COLUMNS)

    def __call__(self, rows: Rows) -> bytes:
        self._writer.writerows(
            [defused(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
        )
        said = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return said.encode()


@contextlib.contextmanager
def output(path: str) -> Iterator[BinaryIO]:
    """`-` is standard output; what ends in .gz is packed. A file is whole, or not there: it has
    its name when all is in it. Only its owner may read it."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with draft(Path(path)) as part, part.open("wb") as file:
        if path.endswith(".gz"):
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def draft(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place at the end, and is gone when that fails."""
    part = path.with_name(f"{path.name}.part")
    before = os.umask(0o077)  # duckdb makes its file itself
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600, exist_ok=False)
        yield part
        part.replace(path)
    except OSError as error:
        raise CollectorError(f"{path}: {error.strerror}") from None
    finally:
        os.umask(before)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


class Parquet:
    """duckdb reads the rows from a pipe and writes the file."""

    MEMORY = "256MB"

    def __init__(self, path: Path) -> None:
        try:
            import duckdb
        except ImportError:
            raise CollectorError(
                "Parquet needs duckdb: pip install '.[parquet]' in the checkout"
            ) from None
        self._folder = tempfile.TemporaryDirectory(prefix="collector-export-")
        self._pipe = Path(self._folder.name) / "rows"
        os.mkfifo(self._pipe, 0o600)
        self._duckdb = duckdb
        self._path = path
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> BinaryIO:
        self._thread.start()
        self._file = self._pipe.open("wb")
        return self._file

    def __exit__(self, kind: Any, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._file.close()
        self._thread.join()
        self._folder.cleanup()
        if self._error is not None and kind in (None, BrokenPipeError):
            raise CollectorError(f"{self._path}: {self._error}") from None

    def _write(self) -> None:
        numbers = {"seq", "timestamp", "received_at", "sent_at", "original_timestamp"}
        numbers |= {"trusted", "bot", "node_seq"}
        types = {name: "BIGINT" if name in numbers else "VARCHAR" for name in exports.COLUMNS}
        said = (
            f"COPY (SELECT * FROM read_json({_quoted(self._pipe)}, format = 'newline_delimited', "  # noqa: S608
            f"maximum_object_size = 4194304, columns = {types})) "
            f"TO {_quoted(self._path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)"
        )
        settings: dict[str, Any] = {
            "threads": 1,
            "memory_limit": self.MEMORY,
            "autoinstall_known_extensions": False,
        }
        try:
            with self._duckdb.connect(config=settings) as database:
                database.execute(said)
        except self._duckdb.Error as error:
            self._error = error
            os.close(os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK))  # who writes is let go


def _quoted(path: Path) -> str:
    text = str(path).replace("'", "''")
    return f"'{text}'"
