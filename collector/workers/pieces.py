"""Pieces: follow what is added up (workers/rollups.py) and keep it once more by columns. What is
not there yet is looked through row by row: the answers are the same, only later."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from collector.clock import now_ms
from collector.store import cursors, hits, people, pieces, sale_pieces, seals, whose
from collector.store.database import Database
from collector.store.reader import Reader, snapshot
from collector.workers.courtesy import Courtesy

M = TypeVar("M")


class Pieces(Generic[M]):
    """A follower's step. It has no place of its own in the log: what is missing is looked for.

    `plan` says what is made next, None for nothing; it rests `rest_ratio` times as long as it
    took."""

    def __init__(
        self,
        name: str,
        reader: Reader,
        database: Database,
        courtesy: Courtesy,
        plan: Callable[[Any], M | None],
        apply: Callable[[Any, M], object],
        rest_ratio: float,
    ) -> None:
        self.name = name
        self._reader = reader
        self._database = database
        self._courtesy = courtesy
        self._plan = plan
        self._apply = apply
        self.rest_ratio = rest_ratio
        self.rest: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def __call__(self, after: int, last_seq: int) -> int:
        """Make one piece; all there is, then `last_seq`."""
        started = time.monotonic()
        async with self._courtesy.turn():
            made = await self._reader.run(self._at_once)
            if made is None:
                return last_seq
            await self._database.run(self._apply, made)
        await self.rest((time.monotonic() - started) * self.rest_ratio)
        return after

    def _at_once(self, connection: Any) -> M | None:
        with snapshot(connection):
            return self._plan(connection)


def of_hits(reader: Reader, database: Database, courtesy: Courtesy) -> Pieces[pieces.Made]:
    """A piece takes 0.1 s, and comes once in 32,768 events."""
    plan = _once(lambda c: (hits.added_up(c), seals.epoch(c)), pieces.plan)
    return Pieces("pieces", reader, database, courtesy, plan, pieces.apply, 4.0)


def of_people(reader: Reader, database: Database, courtesy: Courtesy) -> Pieces[whose.Made]:
    """A block takes 0.1 s, and comes once in 65,536 events."""

    def blocks(connection: Any) -> int:
        return cursors.position(connection, people.CURSOR) + 1 >> whose.BITS

    plan = _once(lambda c: (blocks(c), seals.epoch(c)), lambda c: whose.plan(c, blocks(c)))
    return Pieces("whose", reader, database, courtesy, plan, whose.apply, 4.0)


def _once(
    state: Callable[[Any], object], plan: Callable[[Any], M | None]
) -> Callable[[Any], M | None]:
    """`plan`, not asked again where it had nothing to make and the state is the same."""
    complete: object = None

    def asked(connection: Any) -> M | None:
        nonlocal complete
        now = state(connection)
        if now == complete:
            return None
        made = plan(connection)
        complete = now if made is None else None
        return made

    return asked


def of_sales(reader: Reader, database: Database, courtesy: Courtesy) -> Pieces[sale_pieces.Piece]:
    """Eight days with 1,400 purchases take 0.1 s, and are made anew where one of them comes late:
    so a twentieth of the time at most."""

    def plan(connection: Any) -> sale_pieces.Piece | None:
        return sale_pieces.plan(connection, now_ms())

    return Pieces("sale pieces", reader, database, courtesy, plan, sale_pieces.apply, 20.0)
