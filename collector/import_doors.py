"""Where an import goes: into the files of a stopped collector, or to the running one."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from collector.admin.imports import LONGEST
from collector.app import DATABASE
from collector.cli_forward import admin_token, message_of
from collector.config import Config, split_listen
from collector.errors import CollectorError, Overloaded
from collector.importing import Batch
from collector.ingest.intake import Intake, Taken
from collector.ingest.sites import Sites
from collector.metrics import Metrics
from collector.store import database as db
from collector.store.edges import open_edges
from collector.store.imports import Progress
from collector.store.log import claim, open_log
from collector.store.suppressed import Suppressed
from collector.wire import edge
from collector.wire.message import Call
from collector.workers.writer import Writer

_encode = msgspec.json.Encoder().encode
_PATIENCE_S = 300.0  # with a collector that has no room


class Files:
    """A stopped collector's own files."""

    block_bytes = 1 << 20

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.progress = intake.progress
        self.record = intake.record
        self.replay = intake.replay

    async def send(self, batch: Batch, site: str) -> Taken:
        if batch.events:
            return await self._intake.events(batch.events)
        if batch.items:
            return await self._intake.call(site, Call(None, batch.items, []))
        return await self._intake.body(site, _body(batch)) if batch.calls else Taken()


@asynccontextmanager
async def files(config: Config) -> AsyncIterator[tuple[Files, Metrics, Sites]]:
    """Raises CollectorError where a collector runs on them."""
    folder, store, metrics = Path(config.data), config.store, Metrics()
    mark = claim(folder)
    try:
        database = await db.open_database(
            folder / DATABASE, store.durability, store.checkpoint_pages
        )
        try:
            keys = await database.run(db.site_keys, Sites.without_key(config.site))
            sites = Sites(config.site, keys)
            log = await open_log(
                database, mark, store.dedupe_ids, store.rejected_per_site, store.cached_bytes
            )
            edges = await open_edges(database, log, frozenset(edge.name for edge in config.edge))
            writer = Writer(log, store, metrics, lambda seconds: None, edges)
            writer.start()
            try:
                suppressed = Suppressed(folder)
                yield Files(Intake(config, sites, database, writer, suppressed)), metrics, sites
            finally:
                await writer.stop()
        finally:
            await database.close()
    finally:
        os.close(mark)


class Running:
    """The running collector, by its admin listener: one request at a time, so that what was read
    in order is stored in order."""

    block_bytes = 1 << 18  # its loop decodes no more at a time: other requests wait for 5 ms

    def __init__(self, config: Config) -> None:
        self._config = config
        self._headers = {"Authorization": f"Bearer {admin_token(config)}"}
        self._turn = asyncio.Lock()
        self._connection: HTTPConnection | None = None

    async def send(self, batch: Batch, site: str) -> Taken:
        if batch.events:
            said = await self._ask("POST", {}, edge.written(batch.events), edge.CONTENT)
        elif batch.items or batch.calls:
            said = await self._ask("POST", {"site": site}, _body(batch))
        else:
            return Taken()
        return msgspec.json.decode(said, type=Taken)

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    async def progress(self, source: str) -> Progress:
        return msgspec.json.decode(await self._ask("GET", {"source": source}), type=Progress)

    async def record(self, source: str, reached: Progress) -> None:
        await self._ask("PUT", {"source": source}, _encode(reached))

    async def _ask(
        self, method: str, query: dict[str, str], body: bytes = b"", kind: str = "application/json"
    ) -> bytes:
        if len(body) > LONGEST:
            raise CollectorError(f"{len(body):,} bytes at once are too much for it")
        async with self._turn:
            until = time.monotonic() + _PATIENCE_S
            while True:
                try:
                    return await asyncio.to_thread(self._request, method, query, body, kind)
                except Overloaded:
                    if time.monotonic() > until:
                        raise
                await asyncio.sleep(1)

    def _request(self, method: str, query: dict[str, str], body: bytes, kind: str) -> bytes:
        where = self._config.admin.listen
        headers = self._headers | {"Content-Type": kind}
        used, self._connection = self._connection, None
        connection = used or HTTPConnection(*split_listen(where), timeout=60)
        try:
            connection.request(method, f"/api/import?{urlencode(query)}", body or None, headers)
            response = connection.getresponse()
            said = response.read()
            self._connection = connection
        except (OSError, HTTPException) as error:
            connection.close()
            if used:  # it was closed for having been idle; whatever is sent twice is stored once
                return self._request(method, query, body, kind)
            raise CollectorError(
                f"data: {self._config.data} is in use, and no collector answers at {where}: "
                f"{error or type(error).__name__}"
            ) from None
        if response.status == 503:
            raise Overloaded(message_of(said))
        if response.status != 200:
            raise CollectorError(message_of(said) or f"{where} answered {response.status}")
        return said


def _body(batch: Batch) -> bytes:
    calls: list[Any] = batch.calls or [_encode(item) for item in batch.items]
    return b'{"batch":[' + b",".join(calls) + b"]}"
