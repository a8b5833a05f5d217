"""SIGHUP: settings read again by a running collector."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from collector.config import Config
from collector.reload import merged
from collector.settings import load
from tests.faults.harness import Collector, Oracle
from tests.faults.load import Load

FIRST = """
[[site]]
name = "shop"
key = "wk_first_key"
"""
ROTATED = """
[limits]
event_bytes = 2000
[[site]]
name = "shop"
key = ["wk_second_key", "wk_first_key"]
[[site]]
name = "blog"
key = "wk_blog_key"
"""
BUYERS = """
[[audience]]
name = "buyers"
rule = { event = "purchase" }
"""
ELSEWHERE = """
data = "elsewhere"
[http]
backlog = 5
[log]
level = "debug"
"""


class Settled(Collector):
    """A collector with a settings file."""

    def __init__(self, folder: Path, text: str) -> None:
        super().__init__(folder)
        self.file = folder / "settings.toml"
        self.file.write_text(text)
        self._command += ["--config", str(self.file)]

    async def reload(self, text: str, until: str) -> None:
        """Write the file, ask for it, and wait until the log says how it went."""
        before = self.said().count(until)
        self.file.write_text(text)
        self.kill(signal.SIGHUP)
        async with asyncio.timeout(30):
            while self.said().count(until) == before:
                await asyncio.sleep(0.02)


@pytest.fixture
async def collector(tmp_path: Path) -> AsyncIterator[Settled]:
    async with Settled(tmp_path, FIRST) as running:
        yield running


async def status(collector: Collector, key: str, size: int = 0) -> int:
    event = {"writeKey": key, "event": "A", "userId": "u", "properties": {"p": "x" * size}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{collector.url}/v1/track", json=event) as answer,
    ):
        return answer.status


async def test_keys_sites_and_limits_are_taken_over(collector: Settled) -> None:
    assert await status(collector, "wk_second_key") == 401
    await collector.reload(ROTATED, "the settings were read again")
    assert await status(collector, "wk_first_key") == 200
    assert await status(collector, "wk_second_key") == 200
    assert await status(collector, "wk_blog_key") == 200
    assert await status(collector, "wk_first_key", size=3000) == 413
    await collector.reload(FIRST, "the settings were read again")
    assert await status(collector, "wk_second_key") == 401
    assert [row["site"] for row in collector.rows()] == ["shop", "shop", "blog"]


async def test_unsound_settings_change_nothing_and_are_named(collector: Settled) -> None:
    await collector.reload("[limits]\nevent_bytes = 0\n", "the old ones stay: limits.event_bytes")
    assert await status(collector, "wk_first_key") == 200


async def test_what_needs_a_restart_is_named(collector: Settled) -> None:
    await collector.reload(
        "[store]\nbatch_events = 7\n" + FIRST, "take effect at the next start: store.batch_events"
    )
    assert await status(collector, "wk_first_key") == 200


async def test_upstreams_come_and_go(collector: Settled, tmp_path: Path) -> None:
    """Each event is in the file once: the cursor outlives its upstream's absence."""
    out = tmp_path / "out.ndjson"
    upstream = f'[[forward]]\nname = "copy"\nkind = "file"\nfile = "{out}"\n'
    assert await status(collector, "wk_first_key") == 200
    for _ in range(2):
        await collector.reload(FIRST + upstream, "the settings were read again")
        assert await status(collector, "wk_first_key") == 200
        await collector.reload(FIRST, "the settings were read again")
    async with asyncio.timeout(30):
        await collector.reload(FIRST + upstream, "the settings were read again")
        while lines(out) < 3:
            await asyncio.sleep(0.05)
    await collector.stop()
    assert lines(out) == len(collector.rows()) == 3


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


async def test_upstreams_go_on_where_new_ones_cannot_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Kafka where its library is not installed."""
    (tmp_path / "aiokafka").mkdir()
    (tmp_path / "aiokafka" / "__init__.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    out = tmp_path / "out.ndjson"
    copy = f'[[forward]]\nname = "copy"\nkind = "file"\nfile = "{out}"\n'
    bus = '[[forward]]\nname = "bus"\nkind = "kafka"\nservers = ["a:1"]\ntopic = "t"\n'
    async with Settled(tmp_path, FIRST + copy) as collector:
        await collector.reload(
            FIRST + bus + copy, "the old ones stay: forward bus: Kafka needs aiokafka"
        )
        assert await status(collector, "wk_first_key") == 200
        async with asyncio.timeout(30):
            while lines(out) < 1:
                await asyncio.sleep(0.05)


async def test_audiences_come_and_go(collector: Settled) -> None:
    await collector.reload(FIRST + BUYERS, "the settings were read again")
    members = "SELECT count(*) AS n FROM audience_members"
    async with aiohttp.ClientSession() as session:
        event = {"writeKey": "wk_first_key", "event": "Purchase", "userId": "u"}
        await (await session.post(f"{collector.url}/v1/track", json=event)).read()
    async with asyncio.timeout(30):
        while collector.rows(members) != [{"n": 1}]:
            await asyncio.sleep(0.05)
    await collector.reload(FIRST, "the settings were read again")
    async with asyncio.timeout(30):
        while collector.rows("SELECT name FROM audiences"):
            await asyncio.sleep(0.05)


async def test_no_request_is_lost_while_settings_change(tmp_path: Path) -> None:
    async with Settled(tmp_path, FIRST) as collector:
        load_ = Load(collector.url, "wk_first_key", seed=5)
        load_.start()
        for text in (ROTATED, FIRST) * 3:
            # Not the limit: the load's larger events would rightly be refused.
            await collector.reload(text.replace("2000", "32768"), "the settings were read again")
            await load_.acknowledges(200)
        await load_.finish()
        assert set(load_.answers) == {"200"}
        Oracle(load_, collector).check_all()


def test_what_cannot_be_taken_over_stays_as_it_was(settings: Callable[[str], Config]) -> None:
    old, new = (
        settings(""),
        settings(ELSEWHERE),
    )
    config, left = merged(old, new)
    assert left == ["data", "http.backlog"]
    assert config.log.level == "debug"
    assert (config.data, config.http.backlog) == (old.data, old.http.backlog)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[str], Config]:
    def read(text: str) -> Config:
        file = tmp_path / "read.toml"
        file.write_text(text)
        return load(file, environ={})

    return read
