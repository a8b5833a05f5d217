"""kill -9 at named points of the process's work."""

import asyncio
import json
import random
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import aiohttp
import pytest
from pysqlite3 import dbapi2 as sqlite

from collector.store import database as db
from tests.faults.disk_layer import SYNC, WRITE, DiskLayer
from tests.faults.harness import Collector, Oracle, Verdict
from tests.faults.load import Load
from tests.faults.results import record, rounds_of, seed_of

SEED = seed_of()
ROUNDS = rounds_of(2, 280)
DAY_S = 86_400
PERSON = "person-to-be-forgotten"
SETTINGS = {
    "store__checkpoint_pages": 100,
    "store__retention_every_s": 0.2,
}

Trigger = Callable[[Collector], Awaitable[None]]


class Deadly(Collector):
    """Its next start is that of child.py."""

    def arm(self, env: dict[str, str]) -> None:
        self._command[1:3] = ["-m", "tests.faults.child"]
        self.env |= env

    def disarm(self) -> None:
        self._command[1:3] = ["-m", "collector"]

    @asynccontextmanager
    async def ended(self) -> AsyncIterator[None]:
        """In the end there is no process, whatever happens."""
        try:
            yield
        finally:
            await self.__aexit__()


# Functions on the writing thread, and how often they may be called before the deadly one.
WORK = {
    "ingest": ("log._append", 30),
    "projection": ("people.apply", 5),
    "visits": ("visits.put", 2),
    "rollups": ("rollups.apply,seals.apply", 3),
    "retention": ("retention.expire,retention.give_back,retention.put_events", 6),
    "erasure": ("erase.erase_events,erase.scrub_events,erase.erase_people,erase.fold", 4),
    "rebuild": ("people.begin_anew,people.empty_some,people.begin,people.emptying", 3),
}
# Calls of the operating system: kind, file.
CALLS = {
    "commit written": (WRITE, "collector.db-wal"),
    "commit synced": (SYNC, "collector.db-wal"),
    "checkpoint written": (WRITE, "collector.db"),
    "checkpoint synced": (SYNC, "collector.db"),
    "mark written": (WRITE, "collector.mark"),
}
POINTS = [*CALLS, "mid-body", "migration", *WORK]


async def told(collector: Collector, path: str, body: dict[str, str]) -> int:
    token = (collector.data / "admin-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session,
        session.post(f"{collector.admin_url}{path}", json=body, headers=headers) as response,
    ):
        await response.read()
        return response.status


async def forget(collector: Collector) -> None:
    assert await told(collector, "/api/forget", {"user": PERSON}) == 200


async def rebuild(collector: Collector) -> None:
    assert await told(collector, "/api/rebuild", {}) == 200


async def send_person(collector: Collector, load: Load) -> None:
    """Events of somebody who is going to be erased; nothing says that they stay."""
    ids = [f"{PERSON}-{number}" for number in range(200)]
    load.sent |= dict.fromkeys(ids, ("Old", {}))
    events = [{"type": "track", "event": "Old", "userId": PERSON, "messageId": i} for i in ids]
    body = {"writeKey": collector.key, "batch": events}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{collector.url}/v1/batch", json=body) as response,
    ):
        assert response.status == 200


@asynccontextmanager
async def half_a_body(collector: Collector) -> AsyncIterator[None]:
    reader, writer = await asyncio.open_connection(*collector.address)
    body = b'{"writeKey":"%s","batch":[' % collector.key.encode()
    writer.write(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + body)
    await writer.drain()
    yield
    writer.close()
    with suppress(ConnectionError):
        assert b" 200 " not in await reader.read()


async def until_dead(collector: Collector, trigger: Trigger | None) -> None:
    async with asyncio.timeout(60):
        while collector.running:
            if trigger:
                with suppress(aiohttp.ClientError, OSError):
                    await trigger(collector)
            await asyncio.sleep(0.02)
    assert await collector.wait() == -signal.SIGKILL, collector.said()


async def die_at_work(collector: Deadly, load: Load, point: str, roll: random.Random) -> None:
    """In a second start, on a folder with events of before."""
    functions, most = WORK[point]
    steps = int(10 ** roll.uniform(0, 4.5))
    moment = roll.choice(("before", "within", "within", "after"))
    env = {"FAULT_POINT": functions, "FAULT_MOMENT": moment, "FAULT_STEPS": str(steps)}
    collector.arm(env | {"FAULT_NTH": str(roll.randint(1, most))})
    await collector.spawn()
    load.start()
    triggers: dict[str, Trigger] = {"erasure": forget, "rebuild": rebuild}
    await until_dead(collector, triggers.get(point))


def old_database(path: Path, load: Load, roll: random.Random) -> int:
    """A database of an earlier schema with events in it; how many statements lead to today's."""
    steps = db.migrations()
    version = roll.randrange(1, len(steps))
    rows, now = [], time.time_ns() // 1_000_000
    for number in range(300):
        message_id = f"{roll.getrandbits(128):032x}"
        load.sent[message_id] = ("Event 1", {"n": number})
        load.acknowledged.add(message_id)
        text = json.dumps({"n": number})
        rows.append(
            (message_id, "default", "track", "Event 1", "a1", now, now, text, "n", number + 1)
        )
    with closing(sqlite.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for step in steps[:version]:
            connection.executescript(step)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute(f"PRAGMA application_id = {db.APPLICATION_ID}")
        connection.executemany(
            "INSERT INTO events (message_id, site, type, event, anonymous_id, timestamp, "
            f"received_at, properties, node_id, node_seq) VALUES ({', '.join('?' * 10)})",
            rows,
        )
        connection.commit()
    return sum(len(db._statements(step)) for step in steps[version:])


async def prepared(collector: Deadly, layer: DiskLayer, load: Load, point: str) -> None:
    """A first start, with what the point needs in the log."""
    old = point == "retention"
    layer.clock(-2 * DAY_S if old else 0)
    await collector.start()
    load.use(collector.key)
    await send_person(collector, load)
    if not old:
        load.start()
        await load.acknowledges(100)
        await load.pause()
    await collector.stop()
    layer.clock(0)
    collector.settings["store__retention"] = "1 day"


async def one_kill(folder: Path, point: str, roll: random.Random) -> Verdict:
    layer = DiskLayer(folder, folder / "data")
    collector = Deadly(folder, None, layer.env, store__retention="forever", **SETTINGS)
    load = Load(collector.url, "", roll.randrange(10**6), pause=0.01)
    async with collector.ended():
        if point == "migration":
            count = old_database(collector.data / "collector.db", load, roll)
            collector.arm({"FAULT_POINT": point, "FAULT_NTH": str(roll.randint(1, count))})
            await collector.spawn()
            await until_dead(collector, None)
        else:
            await prepared(collector, layer, load, point)
            if point in WORK:
                await die_at_work(collector, load, point, roll)
            else:
                await die_outside(collector, layer, load, point, roll)
            await load.pause()
        collector.disarm()
        await collector.start()
        load.use(collector.key)
        verdict = Oracle(load, collector).judge()
        await afterwards(collector, load, point)
        return verdict


async def die_outside(
    collector: Collector, layer: DiskLayer, load: Load, point: str, roll: random.Random
) -> None:
    await collector.start()
    load.start()
    if point in CALLS:
        op, name = CALLS[point]
        layer.kill(op, name, roll.randint(1, 20), after=roll.random() < 0.5)
        await until_dead(collector, None)
        return
    await load.acknowledges(1)
    async with half_a_body(collector):
        await asyncio.sleep(roll.uniform(0, 0.1))
        collector.kill(signal.SIGKILL)
        await collector.wait()


async def afterwards(collector: Collector, load: Load, point: str) -> None:
    """The work that was cut off is done in the end, and everybody in the log is a person."""
    load.start()
    await load.finish()
    if point == "erasure":
        await forget(collector)
    gone = point in ("erasure", "retention")
    async with asyncio.timeout(60):
        while True:
            rows = collector.rows()
            left = [row for row in rows if row["user_id"] == PERSON]
            people = collector.rows("SELECT count(*) AS n FROM people")[0]["n"]
            known = {row["anonymous_id"] or row["user_id"] for row in rows}
            known |= {PERSON} if point == "retention" else set()
            if people == len(known) and not (gone and left):
                break
            await asyncio.sleep(0.1)
    assert collector.rows("PRAGMA integrity_check")[0]["integrity_check"] == "ok"
    ids = [i for i in load.sent if not i.startswith(PERSON)]
    assert load.acknowledged.issuperset(ids)
    assert {row["message_id"] for row in rows}.issuperset(ids)
    assert "Traceback" not in collector.said(), collector.said()


@pytest.mark.timeout(120 + 30 * ROUNDS)
async def test_a_kill_at_any_named_point_loses_nothing_and_the_work_goes_on(tmp_path: Path) -> None:
    roll = random.Random(SEED)
    points = POINTS * (ROUNDS // len(POINTS)) + roll.sample(POINTS, ROUNDS % len(POINTS))
    for number, point in enumerate(points, 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        verdict = await one_kill(folder, point, roll)
        print(f"seed {SEED}, kill {number} of {ROUNDS}, {point}: {verdict}")
        sums = verdict.sums() | {f"at_{point.replace(' ', '_').replace('-', '_')}": 1}
        record("kill_points", rounds=1, seed=SEED, sums=sums)
        assert verdict.sound, f"seed {SEED}, kill {number}, {point}: {verdict}"
        shutil.rmtree(folder)
