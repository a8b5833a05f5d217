"""The projector: reads the log in order and keeps people, purchases and leads up to date.

It works beside ingest in one process and gives way: it never makes a step for every commit, and
while the event loop is busy it rests after each step for many times as long as the step took,
and lags, visibly. What it does not get done at a peak it does after it.
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

_BUSY = 0.5  # of a core that the loop's own thread takes; 5,000 single events/s take a third
_RESTS = 12  # times as long as a step, then: 8 % of one thread's time
_LONGEST_REST_S = 1.0


class Projector:
    """A follower's step."""

    def __init__(self, reader: Reader, database: Database, settings: People) -> None:
        self._reader = reader
        self._database = database
        self.rules = rules(settings)
        self._limit = settings.step_events
        self.gives_way = True
        self.lock = asyncio.Lock()  # held from reading to writing: nothing changes in between
        self._pace_s = settings.pace_ms / 1000
        self._looked = time.perf_counter(), time.thread_time()

    async def __call__(self, after: int, last_seq: int) -> int:
        started = time.perf_counter()
        async with self.lock:
            changes, seq = await self._reader.run(self._plan, after, last_seq)
            await self._database.run(people.apply, changes, self.rules.repeat_ms, seq)
        if self.gives_way:
            await self._give_way(time.perf_counter() - started, seq - after)
        return seq

    def _plan(self, connection: Any, after: int, last_seq: int) -> tuple[Changes, int]:
        past = people.Stored(connection)
        rows = past.rows(after, last_seq, self._limit)
        projection = Projection(past, self.rules)
        projection.take(rows)
        seq = rows[-1].seq if len(rows) == self._limit else last_seq
        return projection.changes(), seq

    async def _give_way(self, took_s: float, done: int) -> None:
        """Rest as long as there was little to do, or when the loop's thread was busy since the
        last step. A follower's stop waits for it, a second at most."""
        before, used_before = self._looked
        now, used = time.perf_counter(), time.thread_time()
        rest = self._pace_s - took_s if done < self._limit else 0.0
        if used - used_before > _BUSY * (now - before):
            rest = max(rest, _RESTS * took_s)
        if rest > 0:
            await asyncio.sleep(min(_LONGEST_REST_S, rest))
        self._looked = time.perf_counter(), time.thread_time()


def rules(settings: People) -> Rules:
    return Rules(
        frozenset(JUNK) | {junk.strip().lower() for junk in settings.junk_ids},
        settings.id_chars,
        settings.ids_per_person,
        settings.people_per_id,
        settings.traits_per_id,
        int(settings.repeat_minutes * 60_000),
    )
