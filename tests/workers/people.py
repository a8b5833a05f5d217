"""A log and its projector on a real database; tables read back without what arrival decides."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from collector.config import People
from collector.event import Event
from collector.store import cursors, visits
from collector.store import database as db
from collector.store.log import EventLog, claim, open_log
from collector.store.reader import Reader
from collector.workers.projector import Projector
from collector.workers.visits import Visits

TABLES = {
    "people": "SELECT id, site, user_id, email, traits, first_seen, last_seen, trusted FROM people",
    "person_keys": "SELECT * FROM person_keys",
    "person_ties": "SELECT * FROM person_ties",
    "person_periods": "SELECT * FROM person_periods",
    "purchases": "SELECT message_id, person_id, timestamp, order_id, currency, total_micros, "
    "counted FROM purchases",
    "items": "SELECT message_id, position, product_id, price_micros, quantity "
    "FROM purchase_items JOIN purchases USING (seq)",
    "leads": "SELECT * FROM leads",
    "events": "SELECT message_id, person_id FROM person_events",
}


def make_event(message_id: str, **fields: Any) -> Event:
    values: dict[str, Any] = dict.fromkeys(Event.__struct_fields__)
    fixed = {"message_id": message_id, "site": "shop", "type": "track", "timestamp": 1}
    return Event(**values | fixed | {"received_at": 2} | fields)


class World:
    """A database with its log; `tell` appends and projects."""

    def __init__(self, database: db.Database, log: EventLog, projector: Projector) -> None:
        self.database, self.log, self.projector = database, log, projector
        self.visits = Visits(projector._reader, database, projector.lock)
        self.position = 0

    async def tell(self, *events: Event) -> None:
        await self.log.append(list(events), [])
        await self.project()

    async def project(self) -> None:
        while self.position < self.log.last_seq:
            self.position = await self.projector(self.position, self.log.last_seq)
        seen = await self.database.run(cursors.position, visits.CURSOR)
        while seen < self.position:
            seen = await self.visits(seen, self.position)

    async def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return await self.database.run(lambda c: list(c.execute(statement).fetchall()))

    async def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        return {name: sorted(await self.sql(q), key=repr) for name, q in TABLES.items()}

    async def people_of(self, *message_ids: str) -> list[str]:
        rows = dict(await self.sql("SELECT message_id, person_id FROM person_events"))
        return [rows[message_id] for message_id in message_ids]


@contextlib.asynccontextmanager
async def world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    folder.mkdir(exist_ok=True)
    mark = claim(folder)
    database = await db.open_database(folder / "collector.db", "normal", 4000)
    log = await open_log(database, mark, 100_000, 100)
    reader = await Reader.open(folder / "collector.db")
    try:
        yield World(database, log, Projector(reader, database, People(**{"pace_ms": 0} | settings)))
    finally:
        await reader.close()
        await database.close()
        os.close(mark)


async def told(folder: Path, batches: Iterable[list[Event]], **settings: Any) -> Any:
    """The tables after `batches`."""
    async with world(folder, **settings) as made:
        for batch in batches:
            await made.tell(*batch)
        return await made.tables()
