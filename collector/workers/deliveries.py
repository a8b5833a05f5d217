"""Couriers: each takes one destination's changes out of the outbox and delivers them.

Invariants: a person's changes go one after the other, in order; a change leaves the outbox after
the destination has said that it has it, so a kill in between means the same change, with the
same id, once more; who refuses meanwhile is not delivered, whatever was put into the outbox.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from collector.audience.consent import Policy, allowed
from collector.clock import now_ms
from collector.errors import CollectorError
from collector.event import Event
from collector.store import deliveries as outbox
from collector.store.database import Database
from collector.store.reader import Reader
from collector.upstream.parcel import Answer, Destination, Parcel

log = logging.getLogger(__name__)

_BATCH = 200
_IDLE_S = 5.0  # a look without news, for what a lost wake-up may have left
_FIRST_PAUSE_S = 1.0
_encode = msgspec.json.Encoder().encode


class Courier:
    """A task for one destination. `policy` None: everybody may be told (the log itself)."""

    def __init__(
        self,
        name: str,
        destination: Destination,
        policy: Policy | None,
        reader: Reader,
        database: Database,
        longest_pause_s: float,
    ) -> None:
        self.name = name
        self.failure: str | None = None
        self.delivered = 0
        self.withheld = 0
        self._destination = destination
        self._policy = policy
        self._reader = reader
        self._database = database
        self._longest_pause_s = longest_pause_s
        self._failures = 0
        self._news = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"courier {self.name or 'log'}")

    def wake(self) -> None:
        """Something was put into the outbox."""
        self._news.set()

    async def stop(self) -> None:
        """What is under way is broken off: the outbox has it still."""
        self._stopping = True
        self._news.set()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._destination.close()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                pause = await self._round()
            except CollectorError as error:
                pause = self._failed(str(error))
            except Exception as error:  # supervised: told, shown in `failure`, and tried again
                log.exception("destination %s", self.name)
                pause = self._failed(f"internal error: {type(error).__name__}: {error}")
            await self._rest(pause)

    async def _round(self) -> float:
        """Try what is due; returns for how long to rest, negative: until there is news."""
        self._news.clear()
        now = now_ms()
        parcels = await self._reader.run(outbox.due, self.name, now, _BATCH)
        if not parcels:
            when = await self._reader.run(outbox.next_at, self.name)
            soon = _IDLE_S if when is None else (when - now_ms()) / 1000
            return -min(_IDLE_S, max(0.01, soon))
        may, withheld = await self._permitted(parcels)
        answers = await self._destination.send(may) if may else []
        attempts = {parcel.number: parcel.attempts for parcel in parcels}
        times = {a.number: self._next_at(a, attempts[a.number]) for a in answers}
        await self._database.run(outbox.settle, withheld, answers, times)
        self.withheld += len(withheld)
        self.delivered += sum(answer.done for answer in answers)
        return self._after(answers)

    async def _permitted(self, parcels: list[Parcel]) -> tuple[list[Parcel], list[int]]:
        """Who leaves may always be told; who enters is asked once more."""
        policy = self._policy
        entering = [parcel.person for parcel in parcels if parcel.change == "entered"]
        if policy is None or not entering:
            return parcels, []
        said = await self._reader.run(outbox.statements, entering)
        withheld = {
            p.number
            for p in parcels
            if p.change == "entered" and not allowed(policy, said[p.person])
        }
        return [p for p in parcels if p.number not in withheld], sorted(withheld)

    def _next_at(self, answer: Answer, attempts: int) -> int:
        """When to try one again whose destination is otherwise well."""
        if answer.done or answer.down:
            return 0
        seconds = answer.after_s
        if seconds is None:
            seconds = min(self._longest_pause_s, _FIRST_PAUSE_S * 2 ** min(attempts, 20))
        return now_ms() + int(seconds * 1000)

    def _after(self, answers: list[Answer]) -> float:
        down = [answer for answer in answers if answer.down]
        if down:
            asked = max((answer.after_s or 0.0 for answer in down), default=0.0)
            return max(asked, self._failed(down[0].error or "down"))
        self._failures = 0
        refused = next((a.error for a in answers if a.error), None)
        if self.failure and not refused:
            log.info("destination %s goes on", self.name)
        if refused and not self.failure:
            log.warning("destination %s refused a change, trying again: %s", self.name, refused)
        self.failure = refused
        return 0.0

    def _failed(self, why: str) -> float:
        """Note a failure of the whole destination; returns for how long to rest."""
        if self.failure is None:
            log.warning(
                "destination %s cannot be told, nothing is lost, trying again: %s",
                self.name or "log",
                why,
            )
        self.failure = why
        pause = min(self._longest_pause_s, _FIRST_PAUSE_S * 2 ** min(self._failures, 20))
        self._failures += 1
        return random.uniform(pause / 2, pause)  # noqa: S311

    async def _rest(self, seconds: float) -> None:
        """A positive rest is not cut short by news: the destination is in trouble."""
        if seconds >= 0:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(-seconds):
                await self._news.wait()


class OwnLog:
    """The log as a destination: Audience Entered and Audience Exited, for whoever follows it."""

    def __init__(self, append: Callable[[list[Event]], Awaitable[None]]) -> None:
        self._append = append

    async def send(self, parcels: list[Parcel]) -> list[Answer]:
        try:
            await self._append([_event(parcel) for parcel in parcels])
        except CollectorError as error:
            return [Answer(parcels[0].number, error=str(error), down=True)]
        return [Answer(parcel.number, done=True) for parcel in parcels]

    async def close(self) -> None:
        pass


def _event(parcel: Parcel) -> Event:
    """Its message id is the change's: written twice, it is stored once."""
    said = {"audience": parcel.audience, "person_id": parcel.person_id}
    values: dict[str, Any] = dict.fromkeys(Event.__struct_fields__)
    values |= {
        "message_id": parcel.id,
        "site": parcel.site or "",
        "type": "track",
        "event": f"Audience {parcel.change.capitalize()}",
        "user_id": parcel.user_id,
        "anonymous_id": None if parcel.user_id else next(iter(parcel.anonymous_ids), None),
        "timestamp": parcel.at,
        "received_at": now_ms(),
        "properties": _encode(said).decode(),
    }
    return Event(**values)
