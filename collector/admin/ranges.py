"""Ranges of days in a viewer's time zone, and the pieces of a chart over them. Pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collector.errors import CollectorError

Unit = Literal["hour", "day", "month"]
_LONGEST_DAYS = 366 * 20


class Range(NamedTuple):
    """Days from `first` to `last`, both included."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def start(self) -> int:
        return midnight(self.first, self.zone)

    @property
    def end(self) -> int:
        return midnight(self.last + timedelta(days=1), self.zone)

    @property
    def before(self) -> "Range":
        """As many days just before."""
        return Range(
            self.first - timedelta(days=self.days), self.first - timedelta(days=1), self.zone
        )

    @property
    def unit(self) -> Unit:
        return "hour" if self.days <= 2 else "day" if self.days <= 92 else "month"

    def bounds(self) -> list[int]:
        """Where the pieces of a chart begin, and the end: times in milliseconds."""
        if self.unit == "hour":
            return [*range(self.start, self.end, 3_600_000), self.end]
        return [midnight(day, self.zone) for day in self._days()] + [self.end]

    def _days(self) -> Iterator[date]:
        day = self.first
        while day <= self.last:
            yield day
            if self.unit == "day":
                day += timedelta(days=1)
            else:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def midnight(day: date, zone: ZoneInfo) -> int:
    """When a day begins, in milliseconds since 1970."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(local.timestamp() * 1000)


def parse(first: str | None, last: str | None, zone: str | None, now_ms: int) -> Range:
    """The range asked for; seven days when nothing is. Raises CollectorError naming what is
    wrong."""
    try:
        where = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CollectorError("zone: expected a time zone as Europe/Vienna") from None
    today = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(where).date()
    end = _day(last, "to") or today
    start = _day(first, "from") or end - timedelta(days=6)
    if not 0 <= (end - start).days < _LONGEST_DAYS:
        raise CollectorError("from: expected a day not after `to` and at most 20 years before")
    return Range(start, end, where)


def _day(text: str | None, name: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not 1971 <= day.year <= 2200:
        raise CollectorError(f"{name}: expected a day as 2026-11-24")
    return day
