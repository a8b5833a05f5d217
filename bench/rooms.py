"""The collector's own log and writer in this process, with its own settings, in a scratch
folder; and rows to put into them."""

import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from functools import cache
from pathlib import Path

import msgspec
from multidict import CIMultiDict
from yarl import URL

from bench.console import Progress
from bench.process import KEY, scratch_folder
from bench.result import Run
from bench.traffic import METHODS, STEM, Traffic, stem_head
from collector.app import DATABASE
from collector.compiled import Decoder, Row
from collector.config import Limits, Store
from collector.config_clients import Clients
from collector.config_http import Http
from collector.config_privacy import Privacy
from collector.event import Event
from collector.metrics import Metrics
from collector.people.commerce import KNOWN, LEADS, PURCHASES, violations
from collector.store.database import open_database
from collector.store.log import EventLog, claim, open_log
from collector.wire import build, plain
from collector.wire.message import Client, Request
from collector.wire.scrub import Scrubber
from collector.wire.table import routes
from collector.workers.writer import Writer


class Rooms(msgspec.Struct):
    folder: Path
    log: EventLog
    writer: Writer


@contextlib.asynccontextmanager
async def rooms(settings: Store | None = None) -> AsyncIterator[Rooms]:
    """An empty log and a started writer, stopped and cleared away at the end."""
    settings = settings or Store()
    folder = scratch_folder()
    mark = claim(folder)
    database = await open_database(
        folder / DATABASE, settings.durability, settings.checkpoint_pages
    )
    try:
        log = await open_log(
            database, mark, settings.dedupe_ids, settings.rejected_per_site, settings.cached_bytes
        )
        writer = Writer(log, settings, Metrics(), lambda seconds: None)
        writer.start()
        yield Rooms(folder, log, writer)
        await writer.stop()
    finally:
        await database.close()
        os.close(mark)
        shutil.rmtree(folder, ignore_errors=True)


def requests(shape: str, count: int) -> list[Request]:
    """Requests as the public listener hands them on, their ids filled in."""
    made = []
    for number, whole in enumerate(Traffic(KEY, "localhost").pool(shape, count)):
        stem = stem_head(0, 0) + f"{number:010x}".encode()
        head, _, body = whole.replace(STEM, stem).partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        path = line.split()[1]
        headers = CIMultiDict[str]()
        for field in fields:
            headers.add(*field.split(": ", 1))
        url = URL(f"http://localhost{path}", encoded=True)
        client = Client.of(headers)
        made.append(Request(METHODS[shape], url, headers, body, "127.0.0.1", client))
    return made


def unread(request: Request) -> Request:
    """The same anew: a URL keeps its query once it was taken apart."""
    url = URL.build(
        path=request.url.raw_path, query_string=request.url.raw_query_string, encoded=True
    )
    return msgspec.structs.replace(request, url=url)


def arrival() -> build.Arrival:
    return build.Arrival(
        "bench",
        time.time_ns() // 1_000_000,
        "203.0.113.0",
        "Mozilla/5.0",
        False,
        Limits(),
        lambda text: text,
    )


def events_of(request: Request, at: build.Arrival) -> list[Event]:
    route = routes(Http(), Clients())[request.url.path]
    return build.events(route.protocol.parse(request, route.kind, at.limits), at)


@cache
def _decoder() -> Decoder:
    made = plain.decoder(Limits(), Scrubber(Privacy()), PURCHASES, LEADS, KNOWN, violations)
    assert made is not None
    return made


def rows_of(request: Request, at: build.Arrival) -> list[Row]:
    """The same in compiled code; all of the bench's requests are plain."""
    route = routes(Http(), Clients())[request.url.path]
    read = route.protocol.plain
    assert read is not None
    query, referer = request.url.raw_query_string, request.client.referer
    found = read(_decoder(), route.kind, request.body, query, referer)
    assert found is not None
    made = found.rows(at.site, at.received_at, at.ip, at.user_agent, False, True)
    assert made is not None
    return made


class Feed:
    """Events without end: rows of `shape`, each with an id of its own. One takes 1 µs to make,
    text is shared."""

    def __init__(self, shape: str = "batch20", requests_made: int = 200) -> None:
        at = arrival()
        events = [e for request in requests(shape, requests_made) for e in events_of(request, at)]
        self._rest = [msgspec.structs.astuple(event)[1:] for event in events]
        self._head = stem_head(0, 1).decode()
        self._number = 0

    def take(self, count: int) -> list[Event]:
        first, self._number = self._number, self._number + count
        head, rest, size = self._head, self._rest, len(self._rest)
        return [
            Event(f"{head}{number:010x}00", *rest[number % size])
            for number in range(first, first + count)
        ]


class Stopwatch:
    """Wall and processor time of what runs inside `with`, added up."""

    def __init__(self) -> None:
        self.events = 0
        self.wall_s = 0.0
        self.cpu_s = 0.0

    def __enter__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall_s += time.perf_counter() - self._wall
        self.cpu_s += time.process_time() - self._cpu

    def run(
        self,
        subject: str,
        shape: str,
        at: Mapping[str, float] | None = None,
        progress: Progress | None = None,
    ) -> Run:
        run = Run(
            subject=subject,
            shape=shape,
            load="direct",
            seconds=round(self.wall_s, 3),
            events=self.events,
            events_per_s=round(self.events / max(self.wall_s, 1e-9)),
            cpu_s=round(self.cpu_s, 3),
            at=dict(at or {}),
            events_per_cpu_s=round(self.events / max(self.cpu_s, 1e-9)),
        )
        if progress:
            progress.end(f"{run.events_per_s:,.0f} events/s, {run.events_per_cpu_s:,.0f} per CPU s")
        return run
