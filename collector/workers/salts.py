"""A salt that lives for one day (UTC): what was hashed with it can be traced to nobody once it
is gone.

Invariants: `current` is never another day's; the former one is overwritten in the database
within a minute of midnight, or of the store being able to write again; a restart on the same
day finds the same salt.
"""

import asyncio
import contextlib
import secrets

from collector import clock
from collector.errors import CollectorError
from collector.store import salts
from collector.store.database import Database

_DAY_MS = 86_400_000
_LOOK_S = 30.0


class Salts:
    """The day's salt, and the task that keeps it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._day = -1
        self._salt = b""
        self._kept_day = -1
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        today = clock.now_ms() // _DAY_MS
        salt = await self._database.run(salts.read_salt, today)
        if salt:
            self._day, self._salt = today, salt
        with contextlib.suppress(CollectorError):  # a full disk is no reason not to start
            await self.keep()
        self._task = asyncio.create_task(self._run(), name="salts")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def current(self) -> bytes:
        """Today's salt, made when the day is new."""
        today = clock.now_ms() // _DAY_MS
        if today != self._day:
            self._day, self._salt = today, secrets.token_bytes(32)
        return self._salt

    async def keep(self) -> None:
        """Have today's salt in the database and no other."""
        salt, day = self.current(), self._day
        if day != self._kept_day and await self._database.run(salts.keep_salt, day, salt):
            self._kept_day = day

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(CollectorError):  # the writer says it: tried again
                await self.keep()
