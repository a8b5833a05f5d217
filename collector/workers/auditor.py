"""Edge and centre compared, range by range: in the background at a low rate, and on demand.

A range of numbers is first compared by count and hash. Where they differ, the numbers themselves
are: one that the edge has sent and the centre neither has nor knows to be a duplicate, erased or
rejected is lost.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from collector import clock
from collector.errors import CollectorError
from collector.store import audit
from collector.store import database as db
from collector.store.reader import Reader
from collector.workers.forwarder import Forwarder

log = logging.getLogger(__name__)

RANGE = 65_536
_PATH = "/v1/edge/audit"
_SHOWN = 50
Ask = Callable[[str, Any], Awaitable[bytes]]


class _Runs(msgspec.Struct):
    runs: list[audit.Run]
    absent: list[tuple[int, int, str]]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Of the numbers with `after` < number <= `upto`. `events`: the edge has them and the centre
    should; `lost`: the centre does not, `missing` names the first of them; `expired`: the edge
    itself has them no longer; `known`: absent for a reason; `done`: nothing is left to compare."""

    after: int
    upto: int
    events: int
    lost: int
    expired: int
    missing: list[audit.Run]
    known: dict[str, int]
    done: bool


class Auditor:
    """Of one upstream that is a collector and this its edge."""

    def __init__(
        self, forwarder: Forwarder, database: db.Database, reader: Reader, node_id: str, ask: Ask
    ) -> None:
        self.total = audit.Audited(0, 0, 0)
        self.error: str | None = None
        self._forwarder = forwarder
        self._database = database
        self._reader = reader
        self._source = forwarder.source(node_id)
        self._ask = ask
        self._task: asyncio.Task[None] | None = None

    async def start(self, pause_s: float) -> None:
        self.total = await self._reader.run(audit.audited, self._forwarder.name)
        self._task = asyncio.create_task(self._run(pause_s), name=f"audit {self._forwarder.name}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._reader.close()

    async def _run(self, pause_s: float) -> None:
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._go_on()
                self.error = None
            except CollectorError as error:
                self.error = str(error)
            except Exception as error:  # supervised: shown, and tried again
                log.exception("the audit of %s failed", self._forwarder.name)
                self.error = f"{type(error).__name__}: {error}"

    async def _go_on(self) -> None:
        """One range further, and note it."""
        before = self.total
        found = await self.compare(before.upto)
        if found.upto == before.upto:
            return
        self.total = audit.Audited(
            found.upto, before.events + found.events, before.lost + found.lost
        )
        if found.lost:
            log.error(
                "the audit finds %d of %d events lost on the way to %s: numbers %s",
                found.lost,
                found.events,
                self._forwarder.name,
                found.missing,
            )
        await self._database.run(audit.note, self._forwarder.name, self.total, clock.now_ms())

    async def compare(self, after: int) -> Finding:
        """The next range beyond `after`, up to what the upstream has confirmed."""
        end = self._forwarder.follower.position
        upto = min(end, after + RANGE)
        if upto <= after:
            return _nothing(after)
        oldest = await self._reader.run(audit.oldest)
        expired = max(0, min(upto, oldest - 1) - after) if oldest else upto - after
        ours = await self._reader.run(audit.edge_digest, self._source, after, upto)
        theirs = await self._digest(after + 1, upto)
        missing: list[audit.Run] = []
        known: Counter[str] = Counter()
        if ours != theirs:
            missing, known = await self._differences(after, upto)
        return Finding(
            after=after,
            upto=upto,
            events=ours.count,
            lost=sum(high - low + 1 for low, high in missing),
            expired=expired,
            missing=missing[:_SHOWN],
            known=dict(known),
            done=upto >= end,
        )

    async def _digest(self, first: int, last: int) -> audit.Digest:
        said = await self._ask(_PATH, {"node": self._source.node_id, "range": [first, last]})
        digest: audit.Digest = _decoded(said, audit.Digest)
        return digest

    async def _differences(self, after: int, upto: int) -> tuple[list[audit.Run], Counter[str]]:
        question = {"node": self._source.node_id, "range": [after + 1, upto], "numbers": True}
        theirs = _decoded(await self._ask(_PATH, question), _Runs)
        ours = await self._reader.run(audit.edge_numbers, self._source, after, upto)
        there = {n for low, high in theirs.runs for n in range(low, high + 1)}
        known: Counter[str] = Counter()
        for low, high, why in theirs.absent:
            known[why] += high - low + 1
            there.update(range(low, high + 1))
        return list(audit.runs(n for n in ours if n not in there)), known


def _nothing(after: int) -> Finding:
    return Finding(
        after=after, upto=after, events=0, lost=0, expired=0, missing=[], known={}, done=True
    )


def _decoded(said: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(said, type=kind)
    except msgspec.DecodeError as error:
        raise CollectorError(f"the centre's answer is not understood: {error}") from None
