"""What the process counts, in the words of docs/ARCHITECTURE.md.

Plain integers, added to once a batch; prometheus-client turns them to text when asked
(its own counters take a lock and 1 µs an increment, which the hot path would feel).
"""

import resource
import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

COUNTERS = {
    "received_requests": "Requests on ingest paths.",
    "received_bytes": "Bytes of their bodies, inflated.",
    "accepted_events": "Events taken into the buffer.",
    "rejected_events": "Events refused under a valid key.",
    "rejected_expired_events": "Refused events that made room for newer ones.",
    "malformed_requests": "Requests that were no HTTP.",
    "refused_connections": "Connections closed at once, too many being open.",
    "unread_connections": "Connections cut off because answers were left unread.",
    "refused_requests": "Requests refused as a whole (key, origin, size, form).",
    "limited_requests": "Those of them whose address or key sent too many (429).",
    "declined_events": "Events that a site's privacy setting turned away.",
    "overloaded_requests": "Requests refused because the buffer was full.",
    "unavailable_requests": "Requests refused because the store could not write.",
    "stored_events": "Events committed and synced.",
    "duplicate_events": "Events that were stored before.",
    "commits": "Transactions committed.",
    "failed_commits": "Transactions that failed.",
}


class Waits:
    """How long requests waited for their answer: for each of the last batches the time of the
    one that waited longest, so what is told is rather too long. A reading of the clock a batch."""

    def __init__(self) -> None:
        self._batches: deque[tuple[float, float, int]] = deque(maxlen=8192)

    def note(self, began: float, requests: int) -> None:
        """`began`: when the batch's first request came, by time.perf_counter."""
        now = time.perf_counter()
        self._batches.append((now, now - began, requests))

    def quantile(self, share: float, seconds: float = 60.0) -> float:
        """Of the requests answered in the last seconds; 0 when there were none."""
        since = time.perf_counter() - seconds
        waits = sorted((wait, requests) for at, wait, requests in self._batches if at >= since)
        left = share * sum(requests for _, requests in waits)
        for wait, requests in waits:
            left -= requests
            if left <= 0:
                return wait
        return 0.0


class Metrics(msgspec.Struct):
    received_requests: int = 0
    received_bytes: int = 0
    accepted_events: int = 0
    rejected_events: int = 0
    rejected_expired_events: int = 0
    malformed_requests: int = 0
    refused_connections: int = 0
    unread_connections: int = 0
    refused_requests: int = 0
    limited_requests: int = 0
    declined_events: int = 0
    overloaded_requests: int = 0
    unavailable_requests: int = 0
    stored_events: int = 0
    duplicate_events: int = 0
    commits: int = 0
    failed_commits: int = 0
    waits: Waits = msgspec.field(default_factory=Waits)
    started_at: float = msgspec.field(default_factory=time.time)


class Exporter:
    """Prints Metrics, and gauges read at that moment, in Prometheus' text format."""

    def __init__(
        self, metrics: Metrics, gauges: dict[str, tuple[str, Callable[[], float]]]
    ) -> None:
        self._metrics = metrics
        self._gauges = gauges
        self.parts: list[Callable[[], Iterator[Metric]]] = []  # what parts of the house add
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self.commit_seconds = Histogram(
            "collector_commit_seconds",
            "Time of a commit, synced.",
            registry=self._registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
        )

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        for name, text in COUNTERS.items():
            family = CounterMetricFamily(f"collector_{name}", text)
            family.add_metric([], getattr(self._metrics, name))
            yield family
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(f"collector_{name}", text, value=read())
        for part in self.parts:
            yield from part()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield CounterMetricFamily(
            "collector_cpu_seconds",
            "CPU time of the process, all threads.",
            value=usage.ru_utime + usage.ru_stime,
        )
        yield GaugeMetricFamily(
            "collector_resident_bytes", "Memory in use.", value=resident_bytes()
        )


def resident_bytes() -> int:
    """The process's resident set, from /proc (0 where there is none)."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  (a path object costs more)
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
