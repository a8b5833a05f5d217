"""A file of lines: whole, once, in pieces of a size."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from collector.event import Outgoing
from collector.fleet import Forward
from collector.upstream.file import File
from collector.upstream.sink import Batch
from tests.conftest import Collector
from tests.upstream.conftest import until

Fill = Callable[..., Awaitable[None]]


def sink(path: Path, **settings: Any) -> File:
    return File(Forward(name="f", kind="file", file=str(path), **settings))


def batch(first: int, last: int) -> Batch:
    rows = [Outgoing(n, 0, "v", 0, json.dumps({"seq": n})) for n in range(first, last + 1)]
    return Batch("token", rows)


def numbers(folder: Path) -> list[int]:
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(line)["seq"] for f in files for line in f.read_text("utf-8").splitlines()]


async def test_the_log_is_in_the_file_as_it_is(idle: Collector, fill: Fill, tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    await idle.start(forward=[{"name": "f", "kind": "file", "file": str(path), "linger_s": 0.0}])
    await fill(idle, 700)
    await until(lambda: idle.app.forwarding.status()[0].lag_events == 0)
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == idle.rows()


async def test_a_batch_that_is_written_again_after_a_start_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out"
    await sink(path).send(batch(1, 5))
    with path.open("ab") as file:
        file.write(b'{"seq": 6, "half')
    await sink(path).send(batch(3, 8))
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_new_file_is_begun_from_a_size_on(tmp_path: Path) -> None:
    files = sink(tmp_path / "out", rotate_bytes=40)
    for at in range(1, 21, 2):
        await files.send(batch(at, at + 1))
    assert numbers(tmp_path) == list(range(1, 21))
    assert len(list(tmp_path.iterdir())) > 3
