"""The plain design that the collector is compared with: aiohttp's Application, a handler that
decodes and appends to a list and answers from memory, and a task that hands the list to
aiosqlite's executemany every 50 ms. It authenticates, and neither validates nor deduplicates.

    python -m bench.baseline FOLDER PORT KEY
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import aiosqlite
import msgspec
import uvloop
from aiohttp import web

_FLUSH_S = 0.05
_SCHEMA = """CREATE TABLE IF NOT EXISTS events (
  seq INTEGER PRIMARY KEY, message_id TEXT, type TEXT, event TEXT, user_id TEXT,
  anonymous_id TEXT, timestamp TEXT, received_at INTEGER, properties TEXT, context TEXT)"""
_INSERT = (
    "INSERT INTO events (message_id, type, event, user_id, anonymous_id, timestamp, received_at, "
    "properties, context) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class _Item(msgspec.Struct, rename="camel"):
    message_id: str = ""
    type: str = "track"
    event: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    timestamp: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")
    write_key: str | None = None


class _Batch(msgspec.Struct, rename="camel"):
    batch: list[_Item]
    write_key: str | None = None


class Baseline:
    def __init__(self, key: str) -> None:
        self._key = key
        self._rows: list[tuple[Any, ...]] = []
        self._track = msgspec.json.Decoder(_Item)
        self._batch = msgspec.json.Decoder(_Batch)

    async def track(self, request: web.Request) -> web.Response:
        item = self._track.decode(await request.read())
        return self._take([item], item.write_key)

    async def batch(self, request: web.Request) -> web.Response:
        batch = self._batch.decode(await request.read())
        return self._take(batch.batch, batch.write_key)

    def _take(self, items: list[_Item], key: str | None) -> web.Response:
        if key != self._key:
            return web.json_response({"success": False}, status=401)
        now = time.time_ns() // 1_000_000
        for item in items:
            self._rows.append(
                (
                    item.message_id,
                    item.type,
                    item.event,
                    item.user_id,
                    item.anonymous_id,
                    item.timestamp,
                    now,
                    bytes(item.properties).decode(),
                    bytes(item.context).decode(),
                )
            )
        return web.json_response({"success": True})

    async def flush(self, database: Path) -> None:
        async with aiosqlite.connect(database) as connection:
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute(_SCHEMA)
            while True:
                await asyncio.sleep(_FLUSH_S)
                rows, self._rows = self._rows, []
                if rows:
                    await connection.executemany(_INSERT, rows)
                    await connection.commit()


async def ready(request: web.Request) -> web.Response:
    return web.Response(text="ready")


async def _serve(folder: Path, port: int, key: str) -> None:
    baseline = Baseline(key)
    app = web.Application()
    app.add_routes(
        [
            web.post("/v1/track", baseline.track),
            web.post("/v1/batch", baseline.batch),
            web.get("/readyz", ready),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    try:
        await baseline.flush(folder / "collector.db")
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    try:
        uvloop.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
    except (KeyboardInterrupt, web.GracefulExit):
        sys.exit(0)
