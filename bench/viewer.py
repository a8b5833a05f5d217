"""Somebody at the dashboard: the API calls of each page, and how long they take."""

import http.client
import os
import threading
import time
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

from bench.process import Collector
from bench.result import Run, latency_of

TOKEN = "bench-token-0123456789"
# As pixel_js/dashboard asks.
PAGES = {
    "overview": (
        "totals?",
        "chart?",
        *(f"top?by={by}&limit=10&" for by in ("path", "referrer", "campaign")),
        *(f"top?by={by}&limit=10&" for by in ("country", "device", "browser")),
    ),
    "events": ("top?by=event&limit=200&", "properties?event=Product%20Viewed&"),
    "sales": (
        "purchases?",
        "leads?",
        *(f"revenue?by={by}&" for by in ("product", "category", "first", "last")),
    ),
    "funnels": (
        "top?by=path&limit=100&",
        "funnel?step=path%3A%2Fp%2F77&step=event%3ASigned%20Up&step=event%3AOrder%20Completed&",
    ),
}
UNRANGED = {
    "people": ("people?q=", "people?q=u75", "people/{person}"),
    "live": ("sites",),
    "audiences": ("audiences",),
    "system": ("system", "forward"),
}
# A part of an address: all people are looked through, and the page says how far that is.
SEARCH = "people?part=1&q=77%40example"
FILTERS = {
    "none": ({},),
    "one": (
        {"path": "/p/77"},
        {"referrer": "r7.example"},
        {"campaign": "c4"},
        {"event": "Product Viewed"},
        {"device": "Desktop"},
        {"browser": "Chrome"},
        {"type": "page"},
    ),
    "two": (
        {"device": "Desktop", "browser": "Firefox"},
        {"path": "/p/77", "referrer": "r7.example"},
        {"type": "page", "campaign": "c4"},
    ),
}
RANGES = (1, 7, 30, 90, 365)  # days; the page offers these
ZONE = "Europe/Vienna"


def calls(days: int, kind: str) -> Iterator[tuple[str, str]]:
    """Page and address of all that is asked over so many days, with so many filters."""
    last = time.strftime("%Y-%m-%d", time.gmtime())
    first = time.strftime("%Y-%m-%d", time.gmtime(time.time() - (days - 1) * 86_400))
    for chosen in FILTERS[kind]:
        asked = urlencode({"from": first, "to": last, "zone": ZONE, **chosen}, quote_via=quote)
        for page, paths in PAGES.items():
            for path in paths:
                if "event" not in chosen or "event=" not in path:
                    yield page, f"/api/{path}{asked}"


def unranged(person: str) -> Iterator[tuple[str, str]]:
    """Page and address of what is asked without a range; `person`, whose page is opened."""
    for page, paths in UNRANGED.items():
        for path in paths:
            yield page, f"/api/{path.format(person=person)}"


class Viewer:
    """One connection; asks and takes the time."""

    def __init__(self, collector: Collector) -> None:
        host, port = collector.admin.split(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=60)
        _await_open(self._connection)
        self._file = collector.folder / collector.database

    def ask(self, path: str, cold: bool = False) -> int:
        """Microseconds until the answer was read whole."""
        if cold:
            drop(self._file)
        started = time.perf_counter()
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        answer = self._connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - started
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
        return int(took * 1e6)

    def close(self) -> None:
        self._connection.close()


def _await_open(connection: http.client.HTTPConnection, limit_s: float = 30) -> None:
    """The admin listener opens a moment after the public one."""
    until = time.monotonic() + limit_s
    while True:
        try:
            return connection.connect()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def drop(path: Path) -> None:
    """Have the system forget what it keeps of a file in memory; what is not on disk yet stays."""
    for file in (path, path.with_name(f"{path.name}-wal")):
        if file.exists():
            fd = os.open(file, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


class Watching(threading.Thread):
    """Opens page after page, without filter and with one, until the end; `cold`: the system
    forgets the database before each page. Before each call, ten times a second, it would measure
    how ingest does without its own pages: a batch waits 2 s then."""

    def __init__(
        self, viewer: Viewer, asked: Iterable[tuple[str, str]], pause_s: float, cold: bool = False
    ) -> None:
        """`asked`: page and address."""
        super().__init__()
        self._viewer = viewer
        self._asked = list(asked)
        self._pause_s = pause_s
        self._cold = cold
        self._over = threading.Event()
        self.micros: dict[str, array[int]] = {page: array("I") for page, _ in self._asked}

    def run(self) -> None:
        while not self._over.is_set():
            before = ""
            for page, path in self._asked:
                cold, before = self._cold and page != before, page
                self.micros[page].append(self._viewer.ask(path, cold))
                if self._over.wait(self._pause_s):
                    return

    def end(self) -> None:
        self._over.set()
        self.join()


def run_of(page: str, shape: str, load: str, days: int, micros: "array[int]") -> Run:
    """`events`: calls."""
    seconds = sum(micros) / 1e6
    return Run(
        subject=page,
        shape=shape,
        load=load,
        seconds=round(seconds, 3),
        events=len(micros),
        events_per_s=round(len(micros) / max(seconds, 1e-9), 1),
        at={"days": days} if days else {},
        latency=latency_of(micros),
    )
