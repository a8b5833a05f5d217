"""How much is sent at once, and how long is rested: found out from how an upstream answers."""

import random
from collections import deque

from collector.event import Outgoing
from collector.fleet import Forward

_FIRST_SIZE = 250
_SMALLEST = 100  # below, a request costs more than its events
_QUICK_S = 2.0
_SLOW_S = 10.0
_FIRST_REST_S = 0.2
_REGAIN = 1.05  # a size that was too large is tried again, carefully


class Pace:
    """Doubles while answers are quick, halves when they are slow or do not come."""

    def __init__(self, settings: Forward, lanes: int) -> None:
        self._settings = settings
        self._lanes = lanes
        self._ceiling = float(settings.batch_events)
        self.size = min(_FIRST_SIZE, settings.batch_events)
        self.width = 1
        self.failures = 0

    @property
    def settled(self) -> bool:
        """As much is sent at once as ever will be, and answers are quick."""
        full = self.size >= self._settings.batch_events and self.width == self._lanes
        return full and not self.failures

    def went_well(self, slowest_s: float, whole: bool) -> None:
        """`whole`: there was as much to send as was asked for."""
        self.failures = 0
        self._ceiling = min(self._ceiling * _REGAIN, self._settings.batch_events)
        if slowest_s > _SLOW_S:
            self._shrink()
        elif whole and slowest_s < _QUICK_S:
            if self.size < int(self._ceiling):
                self.size = min(int(self._ceiling), self.size * 2)
            elif self.width < self._lanes:
                self.width += 1

    def failed(self) -> None:
        self.failures += 1
        self._shrink()

    def too_large(self, events: int) -> None:
        self._ceiling = max(1.0, events / 2)
        self.size = min(self.size, int(self._ceiling))

    def _shrink(self) -> None:
        self.width = max(1, self.width // 2)
        self.size = max(min(_SMALLEST, self.size), self.size // 2)

    def rest_s(self, retry_after_s: float) -> float:
        """Exponential with full jitter, on top of what the upstream asked for."""
        longest = _FIRST_REST_S * 2 ** min(self.failures, 16)
        return retry_after_s + random.uniform(0, min(self._settings.retry_s, longest))  # noqa: S311

    def join(self, queues: list[deque[list[Outgoing]]], rows: list[Outgoing]) -> None:
        """Put further batches behind those that wait; a small one at the end takes more."""
        for queue, batches in zip(queues, self.split(rows), strict=True):
            if len(queue) > 1 and batches:  # the first one may be under way
                rest = queue.pop()
                batches = deque(self._batches([*rest, *(row for b in batches for row in b)]))
            queue.extend(batches)

    def split(self, rows: list[Outgoing]) -> list[deque[list[Outgoing]]]:
        """Batches to be sent one after the other, in queues that go side by side. Each visitor's
        events are in one queue."""
        lanes: list[list[Outgoing]] = [[] for _ in range(self.width)]
        for row in rows:
            lanes[row.lane % self.width].append(row)
        return [deque(self._batches(lane)) for lane in lanes]

    def _batches(self, rows: list[Outgoing]) -> list[list[Outgoing]]:
        batches: list[list[Outgoing]] = []
        size = 0
        for row in rows:
            size += len(row.text) + 1
            full = size > self._settings.batch_bytes
            if full or not batches or len(batches[-1]) >= self.size:
                batches.append([])
                size = len(row.text) + 1
            batches[-1].append(row)
        return batches
