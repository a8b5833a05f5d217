"""Audiences: follows the projector through the log and keeps memberships true.

Three things make it look at somebody: an event that some rule asks for, a window that has run
out (`audience_states.look_at`), and a new rule, for which everybody is looked at once. Judged is
always as of now and by everything that is indexed, so the order of events is nothing.

Invariants: one piece of work at a time; nobody is judged by an audience before the index has
reached the log's end once, since half a history would tell destinations what is not true.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from collector.audience.consent import Policy
from collector.audience.define import define
from collector.audience.judge import Known, Outcome, judge, wanted
from collector.audience.plan import Audience, Plan, Target
from collector.clock import now_ms
from collector.config import Config
from collector.config_audiences import DestinationConfig
from collector.errors import CollectorError
from collector.people.commerce import LEADS, PURCHASES
from collector.store import audiences as store
from collector.store import histories
from collector.store.cursors import position
from collector.store.database import Database
from collector.store.reader import Reader
from collector.workers.courtesy import Courtesy
from collector.workers.follow import Committed

log = logging.getLogger(__name__)

# Events indexed in one transaction while nobody is judged: 130,000/s, against 20,000/s by 2,000,
# because events that lie beside each other in the index come together. Ingest waits 0.2 s for it.
_CATCH_UP = 30_000
KNOWN = {**dict.fromkeys(PURCHASES, "purchase"), **dict.fromkeys(LEADS, "lead")}


class Progress(Struct, frozen=True):
    """How far the full evaluation of new audiences (by number) has come. Their plan has heard of
    every name, so that of a history only what fits is read."""

    numbers: tuple[int, ...]
    plan: Plan
    next_person: int
    started: float


class Audiences:
    """A follower's step (`__call__`), and a task of its own for what needs no event."""

    def __init__(
        self,
        reader: Reader,
        database: Database,
        config: Config,
        news: Callable[[], None],
        committed: Committed,
        courtesy: Courtesy,
    ) -> None:
        """`news` is called when something has been put into the outbox; `committed` tells of
        the log's end. Raises ConfigError for a rule that cannot be understood."""
        self._reader = reader
        self._database = database
        self._definitions = define(config.audience)
        self._targets = {d.name: target(d) for d in config.destination}
        self._settings = config.evaluation
        self._news = news
        self._courtesy = courtesy
        self._goal = committed.seq  # what the index must have reached before anything is judged
        self._plan = Plan((), KNOWN)
        self._ready = 0  # bits of the audiences by which people are judged
        self._full: Progress | None = None
        self._consents: dict[int, str] = {}
        self._cursor = 0
        self._changes = 0
        self._busy = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failure: str | None = None

    async def start(self) -> int:
        """Take over what the settings say; returns where the cursor stands."""
        wanted = [
            (name, d.config.site, d.text, list(d.config.to))
            for name, d in self._definitions.items()
        ]
        await self._database.run(store.define, wanted, now_ms())
        self._cursor = await self._reader.run(position, store.CURSOR)
        self._changes = await self._reader.run(position, store.CHANGES)
        await self._replan()
        self._task = asyncio.create_task(self._run(), name="audiences")
        return self._cursor

    async def stop(self) -> None:
        self._stopping.set()
        if self._task:
            await self._task

    @property
    def evaluating(self) -> int:
        """How many audiences are not yet evaluated over all of history."""
        return len(self._full.numbers) if self._full else 0

    @property
    def behind(self) -> int:
        """Events of the log that were there at the start and are not yet in the index."""
        return max(0, self._goal - self._cursor)

    async def __call__(self, after: int, last_seq: int) -> int:
        """Index some events and judge whom they concern."""
        async with self._courtesy.turn(), self._busy:
            last = min(last_seq, after + (self._settings.step_events if self._ready else _CATCH_UP))
            await self._database.run(store.index, after, last)
            concerned, changes = await self._reader.run(self._concerned, after, last)
            moves = {store.CURSOR: last}
            if changes > self._changes:
                moves[store.CHANGES] = changes
            await self._judge(self._plan, concerned, moves)
            self._cursor, self._changes = last, changes
            return last

    def _concerned(self, connection: Any, after: int, last: int) -> tuple[dict[int, int], int]:
        """Whom these events concern, with the audiences (bits) to judge them by."""
        first = bool(self._plan.usual & self._ready)
        affected = histories.affected(connection, after, last, first) if self._ready else []
        learn(connection, self._plan, {one.name for one in affected})
        concerned: dict[int, int] = {}
        for one in affected:
            mask = self._plan.everyone if one.profile else self._plan.interest(one.name).mask
            mask = (mask | self._plan.usual if one.new else mask) & self._ready
            if mask:
                concerned[one.person] = concerned.get(one.person, 0) | mask
        moved, changes = histories.moved(connection, self._changes)
        if self._ready:
            concerned |= dict.fromkeys(moved, self._ready)
        return concerned, changes

    async def _judge(
        self,
        plan: Plan,
        concerned: dict[int, int],
        moves: dict[str, int],
        progress: dict[int, tuple[int | None, int | None]] | None = None,
    ) -> None:
        """Judge people in portions; `moves` and `progress` are written with the last one."""
        people = list(concerned.items())
        size = self._settings.step_people
        portions = [people[i : i + size] for i in range(0, len(people), size)] or [[]]
        for number, portion in enumerate(portions, 1):
            last = number == len(portions)
            outcome = await self._reader.run(self._judged, plan, portion, now_ms())
            if outcome or (last and (moves or progress)):
                await self._database.run(
                    store.apply, outcome, moves if last else {}, progress or {} if last else {}
                )
            if outcome.changes:
                self._news()

    def _judged(
        self, connection: Any, plan: Plan, people: list[tuple[int, int]], now: int
    ) -> Outcome:
        """By a plan whose names are all known only what it asks for is read."""
        outcome = Outcome()
        if not people:
            return outcome
        everybody = plan is self._plan or bool(plan.usual) or plan.reads_people
        known = histories.load(
            connection,
            [person for person, _ in people],
            histories.Need(
                self._settings.history_events,
                None if plan is self._plan else plan.relevant(),
                plan.targets,
                plan.asks("purchase"),
                plan.asks("lead"),
                everybody,
            ),
        )
        lines = [line for one in known.values() for of in one.lines for line in of.lines]
        learn(connection, plan, {line.name for line in lines})
        seqs = {seq for one in known.values() for seq in wanted(plan, one)} if plan.looking else ()
        events = histories.events(connection, seqs)
        consents = {line.consent for line in lines if line.consent is not None}
        unknown = [number for number in consents if number not in self._consents]
        self._consents |= dict.fromkeys(unknown, "")
        self._consents |= {n: text for n, _, text in histories.names(connection, unknown)}
        for person, mask in people:
            one = known.get(person)
            if one is not None or everybody:
                judge(
                    plan, mask, person, one or Known(), events, self._consents.__getitem__, now,
                    outcome,
                )  # fmt: skip
        return outcome

    async def _replan(self) -> None:
        """Build the plan from what is defined and how far it has been evaluated."""
        defined = await self._reader.run(store.listed)
        self._plan = Plan([self._audience(row) for row in defined], KNOWN)
        self._ready = sum(
            1 << place
            for place, row in enumerate(defined)
            if row.evaluated_at is not None or row.next_person is not None
        )
        new = [row for row in defined if row.evaluated_at is None]
        self._full = None
        if new:
            first = min(row.next_person or 0 for row in new)
            numbers = tuple(row.number for row in new)
            plan = Plan([a for a in self._plan.audiences if a.number in numbers], KNOWN)
            self._full = Progress(numbers, plan, first, time.monotonic())

    def _audience(self, row: store.Defined) -> Audience:
        definition = self._definitions[row.name]
        return Audience(
            row.number,
            row.name,
            row.site,
            definition.node,
            tuple(self._targets[name] for name in definition.config.to),
            definition.config.record,
            first=row.evaluated_at is None,
        )

    async def _run(self) -> None:
        """Looks, and full evaluations, until the stop."""
        while not self._stopping.is_set():
            # Whatever is new begins as soon as the index has come far enough.
            pause = min(0.2, self._settings.look_s) if self._full else self._settings.look_s
            try:
                async with self._courtesy.turn(), self._busy:
                    if await self._look() or await self._evaluate_some():
                        pause = 0.0
                self.failure = None
            except CollectorError as error:
                if self.failure is None:
                    log.warning("audiences cannot go on, nothing is lost, trying again: %s", error)
                self.failure = str(error)
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        if not seconds:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _look(self) -> bool:
        """Judge those whose time has come; True when there may be more of them."""
        size = self._settings.step_people
        due = await self._reader.run(histories.due, now_ms(), size)
        bits = {a.number: 1 << place for place, a in enumerate(self._plan.audiences)}
        concerned: dict[int, int] = {}
        gone = [(person, number) for person, number in due if number not in bits]
        if gone:  # of audiences that are no longer there
            await self._database.run(store.apply, Outcome(drop=gone), {}, {})
        for person, number in due:
            if mask := bits.get(number, 0) & self._ready:
                concerned[person] = concerned.get(person, 0) | mask
        if concerned:
            await self._judge(self._plan, concerned, {})
        return bool(concerned or gone) and len(due) == size

    async def _evaluate_some(self) -> bool:
        """Judge some people by the audiences that are new; True when there are more. Begins
        when the index holds what the log held at the start."""
        full = self._full
        if full is None or self._cursor < self._goal:
            return False
        if not full.next_person:
            begun: dict[int, tuple[int | None, int | None]] = dict.fromkeys(full.numbers, (0, None))
            await self._database.run(store.apply, Outcome(), {}, begun)
            self._ready = self._plan.everyone
        new, size = full.plan, self._settings.step_people
        await self._reader.run(learn_all, new)
        people = await self._reader.run(histories.people_from, full.next_person, size)
        more = len(people) == size
        reached = people[-1] + 1 if more else None
        at = (reached, None if more else now_ms())
        concerned = dict.fromkeys(people, new.everyone)
        await self._judge(new, concerned, {}, dict.fromkeys(full.numbers, at))
        if reached is not None:
            self._full = Progress(full.numbers, full.plan, reached, full.started)
            return True
        names = [a.name for a in self._plan.audiences if a.number in full.numbers]
        log.info("evaluated over all of history: %s, in %.1f s", ", ".join(names),
                 time.monotonic() - full.started)  # fmt: skip
        await self._replan()
        return False


def learn(connection: Any, plan: Plan, names: Iterable[int]) -> None:
    """Tell the plan what stands behind numbers of names."""
    if unknown := plan.unknown(names):
        plan.learn(histories.names(connection, unknown))
        plan.forget(unknown)


def learn_all(connection: Any, plan: Plan) -> None:
    """Tell the plan of every name that it has not heard of."""
    plan.learn(histories.names_after(connection, plan.last_name))


def target(destination: DestinationConfig) -> Target:
    """What a destination's settings say of whom it may be told."""
    advertising = destination.purpose == "advertising"
    given = destination.consent == "given" or (destination.consent == "auto" and advertising)
    categories = frozenset(category.lower() for category in destination.categories)
    return Target(
        destination.name, Policy(advertising, given, categories), destination.kind == "sendgrid"
    )
