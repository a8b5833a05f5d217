"""Events from files: what `collector import` reads goes the way of what comes by the network.

The same rules of ids, times, privacy and violations; but times are kept as given, nothing is
known of a sender, and what is refused goes back to who imports instead of to `rejected`.
"""

import secrets
from datetime import UTC, datetime

import msgspec

from collector import clock
from collector.config import Config
from collector.errors import Refused
from collector.event import Event
from collector.ingest import cookieless, marks
from collector.ingest.sites import Site, Sites
from collector.store import imports, refusals
from collector.store.arrivals import IMPORT
from collector.store.database import Database
from collector.store.refusals import Refusals
from collector.store.suppressed import Suppressed
from collector.wire import build, decode, edge, segment_file
from collector.wire.address import Addresses
from collector.wire.message import Call
from collector.wire.privacy import Rules
from collector.wire.scrub import Scrubber
from collector.workers.writer import Writer

_AT_ONCE = 200
_MANY = 1_000_000  # events of a body: its size is bounded


class Taken(msgspec.Struct):
    """Of one body: `accepted` are in the log, now or since earlier; `declined` speak of somebody
    who was forgotten or said no; `refused`: place and reason."""

    accepted: int = 0
    declined: int = 0
    refused: list[tuple[int, str]] = []


class Replayed(msgspec.Struct):
    """`stored`: how many are in the log now, and no longer in `rejected`; `refused`: the row and
    the reason of those that stay."""

    stored: int = 0
    refused: list[tuple[int, str]] = []


class Intake:
    def __init__(
        self,
        config: Config,
        sites: Sites,
        database: Database,
        writer: Writer,
        suppressed: Suppressed,
    ) -> None:
        self._sites = sites
        self._database = database
        self._writer = writer
        self._suppressed = suppressed
        self._salt = secrets.token_bytes(32)
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Go by these settings from now on."""
        self._rules = Rules.of(config.privacy)
        self._scrubber = Scrubber(config.privacy)
        self._addresses = Addresses((), config.privacy.ip)
        self.limits = msgspec.structs.replace(config.limits, batch_events=_MANY)

    async def body(self, site: str, body: bytes) -> Taken:
        """A batch in Segment's form. Raises CollectorError."""
        return await self.call(site, decode.batch(body, self.limits))

    async def rows(self, body: bytes) -> Taken:
        """Rows of a log, as edges send them. Raises CollectorError."""
        return await self.events(edge.events(body, self.limits))

    async def call(self, name: str, call: Call) -> Taken:
        """Calls understood, of the site `name`. Raises CollectorError."""
        site = self._site(name)
        call.historical, call.batched = True, True
        if site.cookieless:
            cookieless.rename(call, site, self._salt, "", None, own=False)
        arrival = self._arrival(site)
        events = self._kept(marks.marked(build.events(call, arrival), site), call)
        if events:
            await self._writer.append(events)
        refused = [(refusal.index, refusal.error.message) for refusal in call.refused]
        return Taken(len(events), call.declined, refused)

    async def events(self, events: list[Event]) -> Taken:
        """Events as they were stored, here or elsewhere: each number of a node once. Raises
        CollectorError."""
        call = Call(None, [], [])
        kept = self._kept(events, call)
        if kept:
            await self._writer.append(kept, edge=IMPORT)
        return Taken(len(kept), call.declined)

    async def replay(self, wanted: Refusals) -> Replayed:
        """Try again what was refused, as after a limit was raised. What is told to be stored is;
        ids are made of the row, so that a second try finds the first. Raises CollectorError."""
        done, last = Replayed(), 0
        while rows := await self._database.run(refusals.again, wanted, last, _AT_ONCE):
            stored = []
            for last, site, at, body in rows:
                if why := await self._tried(site, at, last, body):
                    done.refused.append((last, why))
                else:
                    stored.append(last)
            await self._database.run(refusals.remove, stored)
            done.stored += len(stored)
        return done

    async def _tried(self, site: str, at: int, row: int, body: bytes) -> str:
        """Why it is refused again; empty when it is stored."""
        try:
            calls = segment_file.calls(body, row)
            call = decode.batch(b'{"batch":[' + b",".join(calls) + b"]}", self.limits)
            for item in call.items:
                item.timestamp = item.timestamp or datetime.fromtimestamp(at / 1000, UTC)
                if item.type is None and item.event:  # it came by a path that said so
                    item.type = "track"
            taken = await self.call(site, call)
        except Refused as error:
            return error.message
        return taken.refused[0][1] if taken.refused else ""

    async def progress(self, source: str) -> imports.Progress:
        return await self._database.run(imports.progress, source)

    async def record(self, source: str, reached: imports.Progress) -> None:
        await self._database.run(imports.record, source, reached)

    def _kept(self, events: list[Event], call: Call) -> list[Event]:
        if not self._suppressed:
            return events
        kept = [event for event in events if not self._suppressed.covers(event)]
        call.declined += len(events) - len(kept)
        return kept

    def _site(self, name: str) -> Site:
        sites = {site.name: site for site in self._sites.all}
        if name not in sites:
            raise Refused(400, "bad_request", f"site: expected one of {', '.join(sites)}")
        return sites[name]

    def _arrival(self, site: Site) -> build.Arrival:
        masked = _nowhere if site.cookieless else self._addresses.masked
        return build.Arrival(
            site.name,
            clock.now_ms(),
            None,
            None,
            False,
            self.limits,
            masked,
            rules=self._rules,
            scrub=self._scrubber,
        )


def _nowhere(text: str) -> None:
    return None
