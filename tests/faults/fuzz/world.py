"""A collector without a machine below it: the real service, lane, routes and log statement, in
memory and on a clock that stands, so that the same bytes always come to the same end."""

import asyncio
import logging
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import astuple
from pysqlite3 import dbapi2 as sqlite

from collector import clock, rows
from collector.config import Config
from collector.event import Event, Reject
from collector.ingest.lane import IngestServer
from collector.ingest.routes import Routes
from collector.ingest.service import Service
from collector.ingest.sites import Sites
from collector.ingest.visitor import Visitors
from collector.listeners import ingest_server
from collector.metrics import Metrics
from collector.rows import Entry
from collector.settings import load
from collector.store import database as db
from collector.store import log as event_log
from collector.store.suppressed import Suppressed

NOW_MS = 1_800_000_000_000
COLUMNS = Event.__struct_fields__
_encode = msgspec.json.Encoder().encode
_MADE = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def config() -> Config:
    """Every door open: each kind of site, an edge, the click counter, a proxy's ids."""
    return load(
        environ={},
        flags={
            "site": [
                {"name": "shop", "key": "wk_shop_f", "server_keys": ["sk_shop_f"]},
                {"name": "strict", "key": "wk_strict_f", "origins": ["https://shop.example"]},
                {"name": "quiet", "key": "wk_quiet_f", "cookieless": True},
                {
                    "name": "verified",
                    "key": "wk_verified_f",
                    "identity": "verified",
                    "identity_secret": "s" * 32,
                },
            ],
            "edge": [{"name": "fra-1", "key": "ek_of_the_fuzzer_1"}],
            "http.redirect_domains": ["shop.example"],
            "http.public_url": "https://collect.shop.example",
            "clients.proxy_ids": True,
        },
    )


class Store:
    """The log's own table in memory. What is kept is read back and must be what was given."""

    def __init__(self) -> None:
        self._connection = sqlite.connect(":memory:", isolation_level=None)
        db._migrate(self._connection)

    def keep(
        self, events: Sequence[Entry], rejects: list[Reject], text: str | None = None
    ) -> list[Event]:
        """What SQLite reads from them, as events."""
        self._connection.execute("BEGIN")
        try:
            if rejects:
                given = [astuple(reject) for reject in rejects]
                self._connection.executemany(event_log._REJECT, given)
            return self._insert(list(events), text) if events else []
        finally:
            self._connection.execute("ROLLBACK")

    def _insert(self, events: list[Entry], text: str | None) -> list[Event]:
        given, rare = rows.packed(events) if text is None else (text, rows.WITH_ALL)
        self._connection.execute(event_log.INSERT[rare], (given, 1, "here"))
        with closing(
            self._connection.execute(f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY seq")
        ) as cursor:
            kept = [Event(*row) for row in cursor]
        assert len(kept) == len(events)
        for number, (event, found) in enumerate(zip(events, kept, strict=True), 1):
            assert event.identity == found.identity, (event, found)
            if isinstance(event, Event):
                node = {"node_id": event.node_id or "here", "node_seq": event.node_seq or number}
                wanted = msgspec.structs.replace(event, **node)
                assert astuple(found) == astuple(wanted), (found, event)
        return [msgspec.structs.replace(one, node_id=None, node_seq=None) for one in kept]


class Writer:
    """In the writer's place: keeps at once, answers in the loop's next round."""

    full = False
    why = ""
    waiting = 0

    def __init__(self) -> None:
        self.store = Store()
        self.kept: list[bytes] = []
        self.later: Callable[..., object] | None = None  # None: at once

    def submit(
        self,
        events: Sequence[Entry],
        rejects: list[Reject],
        size: int,
        reply: Callable[[Any], None],
        answer: Any,
        refuse: Any,
        edge: str | None = None,
        text: str | None = None,
    ) -> None:
        kept = self.store.keep(events, rejects, text)
        self.kept.append(_MADE.sub(b"ID", _encode([kept, rejects])))
        if self.later:
            self.later(reply, answer)
        else:
            reply(answer)


class Alarm(logging.Handler):
    """An error in the log, or any traceback, is a finding."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.exc_info:
            self.heard.append(logging.Formatter().format(record))

    def check(self) -> None:
        heard, self.heard = self.heard, []
        assert not heard, heard


class World:
    def __init__(self) -> None:
        clock.now_ms = lambda: NOW_MS
        self.config = settings = config()
        self.writer = Writer()
        self.alarm = Alarm()
        logging.getLogger().addHandler(self.alarm)
        self.visitors = Visitors(settings.privacy, settings.public_url, b"k" * 32)
        with tempfile.TemporaryDirectory() as folder:
            forgotten = Suppressed(Path(folder))
        self.service = Service(
            settings,
            Sites(settings.site, {}),
            self.writer,  # type: ignore[arg-type]
            Metrics(),
            self.visitors,
            lambda: b"s" * 32,
            forgotten,
        )

    def server(self, loop: asyncio.AbstractEventLoop, hot: bool) -> IngestServer:
        routes = Routes(self.config, self.service, _ready, _NoDesk())  # type: ignore[arg-type]
        return ingest_server(self.config.http, routes, self.service, hot, loop=loop)


class _NoDesk:
    def knows(self, path: str) -> bool:
        return False


async def _ready() -> str | None:
    return None
