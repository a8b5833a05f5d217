"""What the tests of damaged files share: folders with events, damage, and the proof of life."""

import random
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import aiohttp

from tests.faults.harness import Collector
from tests.faults.load import Load

SEED = 6
PAGE = 8192  # as in store/database.py
Damage = Callable[[bytearray], bytes | bytearray]


class Filled(NamedTuple):
    """A data folder with events in it, and who sent them under which key."""

    data: Path
    load: Load
    key: str
    highest: int  # seq; all numbers up to it are there

    def copied(self, folder: Path) -> Path:
        return shutil.copytree(self.data, folder / "data")


async def fill(
    folder: Path, number: signal.Signals, count: int = 2000, **settings: object
) -> Filled:
    async with Collector(folder, **settings) as collector:
        load = Load(collector.url, collector.key, SEED, clients=2)
        load.start()
        await load.acknowledges(count)
        await load.pause()
        highest = collector.rows()[-1]["seq"]
        collector.kill(number)
        await collector.wait()
        return Filled(collector.data, load, collector.key, highest)


async def works(collector: Collector) -> None:
    """It takes an event under the key that it prints, also after one more restart."""
    for message_id in ("after damage", "after a restart"):
        event = {"type": "track", "event": "After", "userId": "u", "messageId": message_id}
        assert await post(collector, event) == (200, '{"success":true}')
        await collector.stop()
        if message_id == "after damage":
            await collector.start()
    assert newest(collector) == ["after a restart", "after damage"]
    assert "Traceback" not in collector.said(), collector.said()


async def post(collector: Collector, event: dict[str, str]) -> tuple[int, str]:
    body = {"writeKey": collector.key, "batch": [event]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{collector.url}/v1/batch", json=body) as response,
    ):
        return response.status, await response.text()


def newest(collector: Collector) -> list[str]:
    """The ids of the last two events (older ones may lie on a page that cannot be read)."""
    with closing(sqlite3.connect(collector.data / "collector.db")) as connection:
        rows = connection.execute("SELECT message_id FROM events ORDER BY seq DESC LIMIT 2")
        return [row[0] for row in rows]


def set_aside(collector: Collector) -> Path:
    (said,) = re.findall(r"is damaged \(.+\): set aside as (\S+),", collector.said())
    return Path(said)


def flipped(content: bytearray, first: int, last: int, count: int, seed: int = SEED) -> bytearray:
    roll = random.Random(seed)
    for position in roll.sample(range(first, last), count):
        content[position] ^= 1 << roll.randrange(8)
    return content


def cut(share: float) -> Damage:
    return lambda content: content[: int(len(content) * share)]
