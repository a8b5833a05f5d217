"""The clients of a collector under fault: each remembers what it sent and what it was told."""

import asyncio
import base64
import gzip
import json
import random
import time
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp

KINDS = ("single", "batch", "gzip", "beacon", "gif")
_TEXT = "abc Zürich 東京 \\ \" ' \n\t \u2028 🛒 {[,]}"
_AGAIN = 0.02  # share of acknowledged calls that a client sends again, as after its own crash
_FAILURES = (aiohttp.ClientError, ConnectionError, TimeoutError)

Sent = tuple[str, dict[str, Any]]


class Call(NamedTuple):
    """A request as it goes out, the same bytes each time, and the ids of its events."""

    ids: tuple[str, ...]
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012


class Load:
    """`clients` connections in this process, each with one call under way.

    sent: message id → event name and properties. acknowledged: ids answered as stored.
    answers: how many of each status or failure. refused: any answer that is neither of both
    (200, 503). A call without its 200 is kept by its client and sent again, with the same ids,
    before anything new, whether the collector was restarted or not.
    """

    def __init__(
        self,
        url: str,
        key: str,
        seed: int,
        clients: int = 8,
        kinds: tuple[str, ...] = KINDS,
        pause: float = 0,
    ) -> None:
        self.url = url
        self.seed = seed
        self.sent: dict[str, Sent] = {}
        self.acknowledged: set[str] = set()
        self.acknowledged_ns: list[tuple[int, str]] = []  # in order of time
        self.answers: Counter[str] = Counter()
        self.refused: list[tuple[int, bytes]] = []
        self._random = random.Random(seed)
        self._key = key
        self._kinds = kinds
        self._pause = pause
        self._kept: list[Call | None] = [None] * clients
        self._done: list[Call] = []
        self._running = False
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []

    def use(self, key: str) -> None:
        """Send under this write key from now on."""
        self._key = key

    def start(self) -> None:
        self._running = True
        self._tasks = [asyncio.create_task(self._client(i)) for i in range(len(self._kept))]

    async def pause(self) -> None:
        """Let each client come to the end of its call, answered or not, and rest."""
        self._running = False
        await asyncio.gather(*self._tasks)

    async def finish(self) -> None:
        """Send what is still unanswered until all of it has its 200; nothing new."""
        await self.pause()
        self._draining = True
        self.start()
        async with asyncio.timeout(30):
            await self.pause_when_drained()
        self._draining = False

    async def pause_when_drained(self) -> None:
        while any(self._kept):
            await asyncio.sleep(0.01)
        await self.pause()

    async def acknowledges(self, more: int) -> None:
        """Wait until `more` further events have been acknowledged."""
        goal = len(self.acknowledged) + more
        async with asyncio.timeout(30):
            while len(self.acknowledged) < goal:
                await asyncio.sleep(0.005)

    async def answered(self, status: str) -> None:
        """Wait for an answer of this kind."""
        before = self.answers[status]
        async with asyncio.timeout(30):
            while self.answers[status] == before:
                await asyncio.sleep(0.005)

    def as_sent(self, row: dict[str, Any]) -> bool:
        """Whether a row of `events` is what was sent under its id, if anything was."""
        sent = self.sent.get(row["message_id"])
        return sent is None or sent == (row["event"], json.loads(row["properties"] or "{}"))

    async def _client(self, number: int) -> None:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1), timeout=aiohttp.ClientTimeout(30)
        ) as session:
            while self._running:
                call = self._kept[number] or (None if self._draining else self._next())
                if call is None:
                    return
                self._kept[number] = call
                if await self._send(session, call):
                    self._kept[number] = None
                    await asyncio.sleep(self._pause)
                else:
                    await asyncio.sleep(0.02)

    async def _send(self, session: aiohttp.ClientSession, call: Call) -> bool:
        """True when the call needs no further try."""
        try:
            async with session.request(
                call.method, self.url + call.path, data=call.body, headers=call.headers
            ) as response:
                body = await response.read()
        except _FAILURES as error:
            self.answers[type(error).__name__] += 1
            return False
        self.answers[str(response.status)] += 1
        if response.status == 503 and response.headers.get("Retry-After"):
            return False
        if response.status == 200 and (call.method == "GET" or body == b'{"success":true}'):
            self.acknowledged.update(call.ids)
            self.acknowledged_ns += [(time.monotonic_ns(), i) for i in call.ids]
            self._done.append(call)
        else:
            self.refused.append((response.status, body))
        return True

    def _next(self) -> Call:
        if self._done and self._random.random() < _AGAIN:
            return self._random.choice(self._done)
        return getattr(self, f"_{self._random.choice(self._kinds)}")()

    def _event(self) -> dict[str, Any]:
        roll = self._random
        message_id, name = f"{roll.getrandbits(128):032x}", f"Event {roll.randrange(20)}"
        properties = {
            "n": len(self.sent),
            "total": round(roll.uniform(0, 1000), 2),
            "text": "".join(roll.choices(_TEXT, k=roll.randrange(80))),
            "list": [None, True, {"deep": roll.randrange(-(2**53), 2**53)}],
        }
        self.sent[message_id] = (name, properties)
        return {
            "type": "track",
            "messageId": message_id,
            "event": name,
            "anonymousId": f"a{roll.randrange(100)}",
            "properties": properties,
        }

    def _single(self) -> Call:
        event = self._event()
        basic = base64.b64encode(f"{self._key}:".encode()).decode()
        return _call([event], "/v1/track", event, {"Authorization": f"Basic {basic}"})

    def _batch(self, path: str = "/v1/batch") -> Call:
        events = [self._event() for _ in range(self._random.randint(2, 40))]
        return _call(events, path, {"writeKey": self._key, "batch": events})

    def _beacon(self) -> Call:
        return self._batch("/c")

    def _gzip(self) -> Call:
        call = self._batch()
        headers = call.headers | {"Content-Encoding": "gzip"}
        return call._replace(body=gzip.compress(call.body, 1), headers=headers)

    def _gif(self) -> Call:
        event = self._event()
        properties = {name: str(value) for name, value in event["properties"].items()}
        message_id, name = event["messageId"], event["event"]
        self.sent[message_id] = (name, properties)
        query = {"k": self._key, "e": name, "id": message_id, "a": event["anonymousId"]}
        query |= {f"p.{name}": value for name, value in properties.items()}
        return Call((message_id,), "GET", f"/c.gif?{urlencode(query)}")


def _call(
    events: list[dict[str, Any]], path: str, body: object, headers: dict[str, str] | None = None
) -> Call:
    ids = tuple(event["messageId"] for event in events)
    sort = {"Content-Type": "application/json"} | (headers or {})
    return Call(ids, "POST", path, json.dumps(body, ensure_ascii=False).encode(), sort)
