"""The projector: reads the log in order and keeps people, purchases and leads up to date.

It works beside ingest in one process and gives way: it never makes a step for every commit, and
at ingest's peak it takes its turn with the other followers (workers/courtesy.py) and lags, visibly.
"""

import asyncio
import time
from typing import Any

from collector.config import People
from collector.people.identity import JUNK, Rules
from collector.people.project import Changes, Projection
from collector.store import people
from collector.store.database import Database
from collector.store.reader import Reader
from collector.workers.courtesy import Courtesy


class Projector:
    """A follower's step. Without `courtesy`: as fast as it can."""

    def __init__(
        self,
        reader: Reader,
        database: Database,
        settings: People,
        courtesy: Courtesy | None = None,
    ) -> None:
        self._reader = reader
        self._database = database
        self.rules = rules(settings)
        self._limit = settings.step_events
        self._courtesy = courtesy
        self.lock = asyncio.Lock()  # held from reading to writing: nothing changes in between
        self._pace_s = settings.pace_ms / 1000

    async def __call__(self, after: int, last_seq: int) -> int:
        if self._courtesy is None:
            return await self._step(after, last_seq)
        started = time.perf_counter()
        async with self._courtesy.turn():
            seq = await self._step(after, last_seq)
        if seq - after < self._limit:  # a stop waits for this rest
            await asyncio.sleep(max(0.0, self._pace_s - (time.perf_counter() - started)))
        return seq

    async def _step(self, after: int, last_seq: int) -> int:
        async with self.lock:
            changes, seq = await self._reader.run(self._plan, after, last_seq)
            await self._database.run(people.apply, changes, self.rules, seq)
        return seq

    def _plan(self, connection: Any, after: int, last_seq: int) -> tuple[Changes, int]:
        past = people.Stored(connection)
        rows = past.rows(after, last_seq, self._limit)
        projection = Projection(past, self.rules)
        projection.take(rows)
        seq = rows[-1].seq if len(rows) == self._limit else last_seq
        return projection.changes(), seq


def rules(settings: People) -> Rules:
    return Rules(
        frozenset(JUNK) | {junk.strip().lower() for junk in settings.junk_ids},
        settings.id_chars,
        settings.ids_per_person,
        settings.people_per_id,
        settings.traits_per_id,
        int(settings.repeat_minutes * 60_000),
        settings.items_per_order,
    )
