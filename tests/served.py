"""The server as its users start it, for tests that look at it from a browser."""

import asyncio
import contextlib
import json
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any

import aiohttp

from tests.faults.harness import free_ports

JSON_COLUMNS = ("properties", "traits", "context", "consent")


class Served:
    """It can be stopped and started again on its data."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._listen, self._admin = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.url = f"http://{self._listen}"
        self._process: Process | None = None

    async def start(self) -> None:
        options = ["--data", str(self.data), "--listen", self._listen, "--admin", self._admin]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "collector", "serve", *options, stdout=DEVNULL
        )
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            while not await self._healthy(session):
                await asyncio.sleep(0.05)

    async def _healthy(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{self.url}/healthz") as response:
                return response.status == 200
        return False

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            assert await process.wait() == 0

    async def snippet(self, name: str = "sendgrid", *more: str) -> str:
        """As the command prints it."""
        options = ["--data", str(self.data), "--global", name, "--url", self.url, *more]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "collector", "snippet", *options, stdout=PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode()

    def select(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows, their JSON columns as what they say."""
        uri = f"file:{self.data}/collector.db?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            db.row_factory = sqlite3.Row
            rows = [dict(row) for row in db.execute(sql, values)]
        for row in rows:
            row.update({name: json.loads(row[name]) for name in JSON_COLUMNS if row.get(name)})
        return rows
