"""What a bench found, as one JSON file: the same schema for all of them."""

import statistics
from array import array
from collections.abc import Iterable
from pathlib import Path

import msgspec
from hdrh.histogram import HdrHistogram

from bench.machine import Machine

SCHEMA = 1
RESULTS = Path(__file__).parent / "results"
_POINTS = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100)
_MAX_US = 600_000_000


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds. `curve`: by percentile."""

    count: int
    p50: float
    p99: float
    p999: float
    max: float
    curve: dict[str, float]


class Run(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One measurement. What could not be known (of a remote collector, say) is left out.

    `subject`: what was measured (collector, nginx, baseline, limit, …). `load`: peak (as much as
    it takes), open (at a fixed rate, whatever comes back) or direct (no HTTP). `at`: what was
    varied. Memory in bytes. `answers`: responses by status. `rows_at_end`: events in the table
    the moment the load ended; `rows`: when the target had come to rest; `lost`: answered 200 and
    not found there; `repeated`: found twice.
    """

    subject: str
    shape: str
    load: str
    seconds: float
    events: int
    events_per_s: float
    round: int = 0
    at: dict[str, float] = msgspec.field(default_factory=dict)
    requests_per_s: float | None = None
    offered_per_s: float | None = None
    latency: Latency | None = None
    cpu_s: float | None = None
    cpu_after_s: float | None = None  # later: what follows the log, or is stored after the answer
    events_per_cpu_s: float | None = None
    generator_cpu_s: float | None = None
    generator_cpu_share: float | None = None
    generator_late_p99_ms: float | None = None
    rss_start: int | None = None
    rss_end: int | None = None
    rss_peak: int | None = None
    answers: dict[str, int] = msgspec.field(default_factory=dict)
    errors: int = 0
    rows: int | None = None
    rows_at_end: int | None = None
    lost: int | None = None
    repeated: int | None = None
    syncs: int | None = None


class Result(msgspec.Struct, kw_only=True):
    """A bench's whole run. `figures`: medians and ratios, what a README would quote."""

    schema: int = SCHEMA
    bench: str
    started_at: str
    took_s: float
    quick: bool
    target: str
    options: dict[str, str | int | float | bool | list[str] | None]
    machine: Machine
    runs: list[Run]
    figures: dict[str, float]


def save(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")


def load(path: Path) -> Result:
    """Raises msgspec.ValidationError for a file of another form."""
    return msgspec.json.decode(path.read_bytes(), type=Result)


def latency_of(micros: "array[int]") -> Latency | None:
    """Percentiles of latencies given in microseconds, to three digits."""
    if not micros:
        return None
    histogram = HdrHistogram(1, _MAX_US, 3)
    counts: dict[int, int] = {}
    for value in micros:
        counts[value] = counts.get(value, 0) + 1
    for value, count in counts.items():
        histogram.record_value(max(1, value), count)

    def ms(percentile: float) -> float:
        return float(histogram.get_value_at_percentile(percentile)) / 1000

    return Latency(
        len(micros),
        ms(50),
        ms(99),
        ms(99.9),
        max(micros) / 1000,
        {f"{point:g}": ms(point) for point in _POINTS},
    )


def median(values: Iterable[float | None]) -> float | None:
    """The median of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def medians(runs: list[Run]) -> dict[str, float]:
    """The figures of each subject, shape and load: medians over rounds."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        at = "".join(f".{name}={value:g}" for name, value in run.at.items())
        groups.setdefault(f"{run.subject}.{run.shape}.{run.load}{at}", []).append(run)
    figures: dict[str, float] = {}
    for name, group in groups.items():
        figures |= _figures(name, group)
    return figures


def _figures(name: str, group: list[Run]) -> dict[str, float]:
    latencies = [run.latency for run in group if run.latency]
    found = {
        "events_per_s": median(run.events_per_s for run in group),
        "requests_per_s": median(run.requests_per_s for run in group),
        "events_per_cpu_s": median(run.events_per_cpu_s for run in group),
        "p50_ms": median(latency.p50 for latency in latencies),
        "p99_ms": median(latency.p99 for latency in latencies),
        "p999_ms": median(latency.p999 for latency in latencies),
        "rss_peak": max((run.rss_peak for run in group if run.rss_peak), default=None),
        "lost": max((run.lost for run in group if run.lost is not None), default=None),
    }
    return {f"{name}.{key}": round(value, 3) for key, value in found.items() if value is not None}
