"""Killed again and again while an endpoint fails in every way: every change arrives, in order
per person."""

import asyncio
import json
import random
import signal

import aiohttp
from aiohttp import web

from tests.destinations.peer import Peer
from tests.faults.harness import Collector

SETTINGS = """
[[site]]
name = "shop"
key = "wk_of_the_tests"
[[destination]]
name = "crm"
kind = "webhook"
url = "{url}"
secret = "secret-of-the-tests"
private = true
timeout_s = 0.5
longest_pause_s = 0.2
[[audience]]
name = "in"
to = ["crm"]
[audience.rule]
sequence = [{{ event = "In" }}, {{ not = {{ event = "Out" }} }}]
within = "1s"
[[audience]]
name = "signed-up"
to = ["crm"]
rule = {{ all = [{{ event = "In" }}, {{ not = {{ event = "Out" }} }}] }}
"""
USERS = [f"u{i}" for i in range(25)]
KILLS = 5


class Endpoint:
    """Deduplicates by id, as its owner is told to; remembers the order per person."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._ids: set[str] = set()
        self.taken: dict[tuple[str, str], list[str]] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body, fate = json.loads(await request.read()), self._chance.random()
        if fate < 0.15:
            return web.Response(status=500)
        if fate < 0.2:
            await asyncio.sleep(0.7)
            return web.Response(status=503)
        if body["id"] not in self._ids:
            self._ids.add(body["id"])
            who = body["audience"], body["person"]["user_id"]
            self.taken.setdefault(who, []).append(body["type"])
        if fate < 0.3:
            assert request.transport is not None
            request.transport.abort()  # taken, but the answer is lost
        return web.Response()


async def test_every_change_arrives_in_order(tmp_path, monkeypatch) -> None:
    peer, endpoint = Peer(), Endpoint(3)
    file = tmp_path / "collector.toml"
    file.write_text(SETTINGS.format(url=await peer.start()))
    monkeypatch.setenv("COLLECTOR_CONFIG", str(file))
    peer.answer = endpoint.answer
    try:
        async with Collector(tmp_path) as collector, aiohttp.ClientSession() as session:
            await send(session, collector, "In")
            for kill in range(KILLS):
                before = len(peer.requests)
                if kill == 2:
                    await peer.stop()  # nobody there at all, for a while
                else:
                    await at_least(lambda: len(peer.requests), before + 10)
                collector.kill(signal.SIGKILL)
                await collector.wait()
                await collector.start()
                if kill == 2:
                    await peer.start()
                if kill == 3:
                    await send(session, collector, "Out")
            entered, both = ["audience.entered"], ["audience.entered", "audience.exited"]
            wanted = {("signed-up", user): both for user in USERS}
            # A sequence that is over stays one: Out came later than a second.
            wanted |= {("in", user): entered for user in USERS}
            async with asyncio.timeout(60):
                while endpoint.taken != wanted:
                    await asyncio.sleep(0.1)
    finally:
        await peer.stop()


async def send(session: aiohttp.ClientSession, collector: Collector, name: str) -> None:
    batch = [{"type": "track", "event": name, "userId": user} for user in USERS]
    body = {"writeKey": "wk_of_the_tests", "batch": batch}
    async with session.post(f"{collector.url}/v1/batch", json=body) as answer:
        assert answer.status == 200


async def at_least(read, count: int, seconds: float = 20) -> None:
    """Waits for so many requests, or until nothing more is to come."""
    try:
        async with asyncio.timeout(seconds):
            while read() < count:
                await asyncio.sleep(0.01)
    except TimeoutError:
        pass
