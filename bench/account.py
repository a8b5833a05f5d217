"""What a target used and kept during a run: its processor time, its memory, its rows."""

from collections import Counter
from collections.abc import Iterable

from bench import outcome
from bench.job import Report
from bench.process import Served, Target, read_ids
from bench.result import Run
from bench.traffic import SHAPES


class Account:
    """Opened before a run, closed by `fill` after it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._seq = target.last_seq()
        self._cpu_s = target.cpu_s()
        self._rss = target.rss()
        self._ids: list[str] | None = None

    def fill(self, run: Run) -> None:
        """Put processor time, memory and rows into `run`, when all is stored.
        Events a processor second are those found in the table, where it can be read."""
        target = self._target
        at_end, answered_s = target.last_seq(), target.cpu_s()
        target.wait_idle()
        all_s, rss = target.cpu_s(), target.rss()
        cpu_s = all_s if target.defers else answered_s
        self._ids = self._read_ids()
        if self._seq is not None and self._ids is not None:
            run.rows = len(self._ids)
            run.rows_at_end = (at_end or 0) - self._seq
        if self._cpu_s is not None and cpu_s is not None:
            run.cpu_s = round(cpu_s - self._cpu_s, 2)
            run.cpu_after_s = round((all_s or cpu_s) - cpu_s, 2)
            done = run.events if run.rows is None else run.rows
            run.events_per_cpu_s = round(done / max(run.cpu_s, 0.01))
        if self._rss and rss:
            run.rss_start, (run.rss_end, run.rss_peak) = self._rss[0], rss

    def count(self, run: Run) -> None:
        """Compare numbers only: wrk does not say which requests were answered."""
        ids = self._ids
        if ids is not None:
            run.repeated = len(ids) - len(set(ids))
            run.lost = max(0, run.events - len(set(ids)))

    def compare(self, run: Run, reports: list[Report], shape: str) -> None:
        """Look for each event that was answered 200: it must be there, and once."""
        ids = self._ids
        if ids is not None:
            found = set(ids)
            run.repeated = len(ids) - len(found)
            run.lost = sum(
                _missing(report, counts, SHAPES[shape])
                for report, counts in zip(reports, _by_sender(found, len(reports)), strict=True)
            )

    def _read_ids(self) -> list[str] | None:
        target = self._target
        if self._seq is None or not isinstance(target, Served) or not target.readable:
            return None
        return list(read_ids(target.folder / target.database, self._seq))


def _by_sender(ids: Iterable[str], senders: int) -> list[Counter[int]]:
    """How many events of each request were found; traffic.py says where the numbers stand."""
    counts = [Counter[int]() for _ in range(senders)]
    for message_id in ids:
        counts[int(message_id[15:18], 16)][int(message_id[24:34], 16)] += 1
    return counts


def _missing(report: Report, counts: Counter[int], each: int) -> int:
    return sum(
        max(0, each - counts[number])
        for number, code in enumerate(report.outcomes)
        if code == outcome.STORED
    )
