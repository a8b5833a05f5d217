"""Which kinds of upstream there are. A new one is a file beside this one and its row."""

from collections.abc import Callable

from collector.fleet import Forward
from collector.upstream.clickhouse import ClickHouse
from collector.upstream.file import File
from collector.upstream.http import Http
from collector.upstream.sink import Upstream


def _kafka(settings: Forward) -> Upstream:
    from collector.upstream.kafka import Kafka  # 55 ms of the start, which few need

    return Kafka(settings)


KINDS: dict[str, Callable[[Forward], Upstream]] = {
    "http": Http,
    "kafka": _kafka,
    "clickhouse": ClickHouse,
    "file": File,
}


def erases(settings: Forward) -> bool:
    """Whether it can be told to forget a person."""
    return settings.kind == "clickhouse" or settings.is_centre


def that_erase(configured: tuple[Forward, ...]) -> list[str]:
    return [settings.name for settings in configured if erases(settings)]


def make(settings: Forward) -> Upstream:
    """Opens nothing yet."""
    return KINDS[settings.kind](settings)
