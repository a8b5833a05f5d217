"""The centre's view of its edges: what each last said of itself, and what it has of each."""

import time
from collections.abc import Iterator

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from collector import clock
from collector.fleet import Edge
from collector.store import audit, beats
from collector.store import database as db
from collector.store.reader import Reader


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What an edge says of itself. Times in milliseconds since 1970, or seconds."""

    node: str
    version: str = ""
    settings: str = ""
    clock_offset_ms: int | None = None
    backlog_events: int = 0
    backlog_s: float = 0.0
    full_in_s: float | None = None


class Fleet:
    def __init__(self, edges: tuple[Edge, ...], database: db.Database, reader: Reader) -> None:
        self._edges = edges
        self._database = database
        self._reader = reader
        self._beats: dict[str, dict[str, tuple[int, Beat]]] = {}  # by edge and node

    async def start(self) -> None:
        for edge, node, at, beat in await self._reader.run(beats.read):
            known = msgspec.json.decode(beat, type=Beat)
            self._beats.setdefault(edge, {})[node] = (at, known)

    async def stop(self) -> None:
        await self._reader.close()

    async def beat(self, edge: str, beat: Beat) -> int:
        """Note it; returns the time here."""
        now = clock.now_ms()
        self._beats.setdefault(edge, {})[beat.node] = (now, beat)
        text = msgspec.json.encode(beat).decode()
        await self._database.run(beats.write, edge, beat.node, now, text)
        return now

    async def digest(self, node: str, first: int, last: int) -> audit.Digest:
        return await self._reader.run(audit.centre_digest, node, first, last)

    async def numbers(
        self, node: str, first: int, last: int
    ) -> tuple[list[audit.Run], list[tuple[int, int, str]]]:
        return (
            await self._reader.run(audit.centre_runs, node, first, last),
            await self._reader.run(audit.absent, node, first, last),
        )

    def rows(self) -> dict[str, str]:
        """Of the status page."""
        return {f"edge {edge.name}": self._said(edge) for edge in self._edges}

    def _said(self, edge: Edge) -> str:
        nodes = self._beats.get(edge.name)
        if not nodes:
            return "has not been heard of"
        at, beat = max(nodes.values(), key=lambda pair: pair[0])
        ago = time.time() - at / 1000
        silent = "SILENT, " if ago > edge.silent_s else ""
        more = f", {len(nodes)} nodes" if len(nodes) > 1 else ""
        full = f", full in {beat.full_in_s:,.0f} s" if beat.full_in_s is not None else ""
        return (
            f"{silent}heard {ago:,.0f} s ago, version {beat.version}, settings "
            f"{beat.settings[:12]}, {beat.backlog_events:,} events behind{full}{more}"
        )

    def metrics(self) -> Iterator[Metric]:
        silent = GaugeMetricFamily(
            "collector_edge_silent", "1 when it was not heard of for long.", labels=["edge"]
        )
        for edge in self._edges:
            heard = max((at for at, _ in self._beats.get(edge.name, {}).values()), default=0)
            silent.add_metric([edge.name], float(time.time() - heard / 1000 > edge.silent_s))
        yield silent
        for name, text in GAUGES.items():
            family = GaugeMetricFamily(
                f"collector_edge_{name}", f"{text}, as it says itself.", labels=["edge", "node"]
            )
            for edge_name, nodes in self._beats.items():
                for node, (_, beat) in nodes.items():
                    value = getattr(beat, name)
                    if value is not None:
                        family.add_metric([edge_name, node], float(value))
            yield family


GAUGES = {
    "backlog_events": "Events it has still to forward",
    "backlog_s": "Age of the oldest of them",
    "clock_offset_ms": "How far its clock is behind ours",
    "full_in_s": "Seconds until its spool is full",
}
