"""The projector: reads the log in order and keeps people, purchases and leads up to date.

Works beside ingest in one process, so it gives way: under load it rests after each step for
several times as long as the step took, and lags, visibly.
"""

from typing import Any

from collector.config import People
from collector.people.identity import JUNK, Rules
from collector.people.project import Changes, Projection
from collector.store import people
from collector.store.database import Database
from collector.store.reader import Reader


class Projector:
    """A follower's step."""

    def __init__(self, reader: Reader, database: Database, settings: People) -> None:
        self._reader = reader
        self._database = database
        self._rules = rules(settings)
        self._limit = settings.step_events

    async def __call__(self, after: int, last_seq: int) -> int:
        changes, seq = await self._reader.run(self._plan, after, last_seq)
        await self._database.run(people.apply, changes, self._rules.repeat_ms, seq)
        return seq

    def _plan(self, connection: Any, after: int, last_seq: int) -> tuple[Changes, int]:
        past = people.Stored(connection)
        rows = past.rows(after, last_seq, self._limit)
        projection = Projection(past, self._rules)
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
    )
