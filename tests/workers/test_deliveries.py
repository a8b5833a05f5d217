"""Every change reaches its destination, in order per person, whatever happens on the way; and
nobody who refused is delivered."""

import asyncio
import json
import random

import pytest
from aiohttp import web

from collector.config_audiences import DestinationConfig
from collector.upstream.webhook import Webhook
from collector.workers.audiences import target
from collector.workers.deliveries import Courier, OwnLog
from tests.destinations.peer import Peer
from tests.workers.room import DAY, NOW, event, opened, page

SECRET = "secret-of-the-tests"
RULE = {"all": [{"page": "/in", "within": "7d"}, {"not": {"event": "Out", "within": "7d"}}]}


@pytest.fixture
async def room(tmp_path, monkeypatch):
    async with opened(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
async def peer():
    made = Peer()
    made.url = await made.start()
    yield made
    await made.stop()


class Desk:
    """A courier to the peer over the room's outbox; can be killed and started again."""

    def __init__(self, room, peer, **settings) -> None:
        self.room = room
        self.config = {
            "name": "crm", "kind": "webhook", "url": peer.url, "secret": SECRET, "private": True,
            "longest_pause_s": 0.05, "timeout_s": 0.5, **settings,
        }  # fmt: skip
        self.audience = {"name": "a", "rule": RULE, "to": ["crm"], "record": False}
        self.courier: Courier

    async def open(self) -> "Desk":
        await self.room.open(self.audience, destination=[self.config])
        return self.start()

    def start(self) -> "Desk":
        config = DestinationConfig(**self.config)
        self.courier = Courier(
            "crm",
            Webhook(config),
            target(config).policy,
            self.room.reader,
            self.room.database,
            0.05,
        )
        self.courier.start()
        return self

    async def emptied(self) -> None:
        self.courier.wake()
        async with asyncio.timeout(60):
            while await self.room.sql("SELECT 1 FROM outbox WHERE destination = 'crm' LIMIT 1"):
                await asyncio.sleep(0.02)


@pytest.fixture
async def desk(room, peer):
    made = []

    async def make(**settings):
        made.append(Desk(room, peer, **settings))
        return await made[-1].open()

    yield make
    for one in made:
        await one.courier.stop()


def received(peer):
    """(type, user, first) of each request that came."""
    bodies = [json.loads(body) for _, _, _, body in peer.requests]
    return [(b["type"], b["person"]["user_id"], b["first"]) for b in bodies]


async def test_who_enters_and_who_leaves_is_told_once(desk, room, peer) -> None:
    made = await desk()
    await room.happen(page("/in", user_id="ada"))
    await made.emptied()
    await room.happen(page("/in", user_id="ada"), event(name="Out", user_id="ada"))
    await made.emptied()
    assert received(peer) == [("audience.entered", "ada", False), ("audience.exited", "ada", False)]


async def test_the_first_time_everybody_who_is_in(desk, room, peer) -> None:
    await room.open()
    await room.happen(*(page("/in", user_id=f"u{i}") for i in range(20)))
    made = await desk()
    await made.emptied()
    assert sorted(received(peer)) == sorted(("audience.entered", f"u{i}", True) for i in range(20))


async def test_a_destination_that_is_added_later_hears_of_everybody(desk, room, peer) -> None:
    await room.open({"name": "a", "rule": RULE, "record": False})
    await room.happen(page("/in", user_id="ada"))
    made = await desk()
    await made.emptied()
    assert received(peer) == [("audience.entered", "ada", True)]


async def test_down_slow_500_and_killed_in_between(desk, room, peer) -> None:
    """Twelve people go in and out four times each while the endpoint fails in every way and the
    courier is killed again and again."""
    chance = random.Random(7)
    taken: dict[str, list[str]] = {}
    ids: set[str] = set()

    async def answer(request):
        fate = chance.random()
        body = json.loads(await request.read())
        if fate < 0.2:
            return web.Response(status=500)
        if fate < 0.25:
            await asyncio.sleep(0.7)  # longer than the courier waits: not taken
            return web.Response(status=500)
        if fate < 0.3:
            return web.Response(status=400)
        if body["id"] not in ids:  # as an endpoint that deduplicates
            ids.add(body["id"])
            taken.setdefault(body["person"]["user_id"], []).append(body["type"])
        if fate < 0.4:  # taken, but the answer is lost
            assert request.transport is not None
            request.transport.abort()
        return web.Response()

    peer.answer = answer
    made = await desk()
    users = [f"u{i}" for i in range(12)]
    for turn in range(4):
        at = room.now = NOW + turn * 10 * DAY
        await room.happen(*(page("/in", at=at, user_id=user) for user in users))
        made.courier.wake()
        await asyncio.sleep(0.02)
        if turn == 1:
            await peer.stop()
        room.now = at + 8 * DAY
        await room.settle()
        await made.courier.stop()
        made.start()
        if turn == 2:
            await peer.start()
    await made.emptied()
    assert taken == {user: ["audience.entered", "audience.exited"] * 4 for user in users}


async def test_a_person_that_is_refused_does_not_hold_up_others(desk, room, peer) -> None:
    async def answer(request):
        user = json.loads(await request.read())["person"]["user_id"]
        return web.Response(status=400 if user == "ada" else 200)

    peer.answer = answer
    made = await desk()
    await room.happen(page("/in", user_id="ada"))
    await room.happen(page("/in", user_id="bob"))
    made.courier.wake()
    async with asyncio.timeout(60):
        while await room.outbox("crm") != [("entered", "ada")]:
            await asyncio.sleep(0.02)
    assert ("audience.entered", "bob", False) in received(peer)


async def test_merged_people_leave_under_their_old_name_and_enter_under_the_new(
    desk, room, peer
) -> None:
    made = await desk()
    await room.happen(page("/in", anonymous_id="x"))
    await made.emptied()
    await room.happen(event("identify", anonymous_id="x", user_id="ada"))
    await made.emptied()
    bodies = [json.loads(body) for _, _, _, body in peer.requests]
    entered, *rest = bodies
    left = next(b for b in rest if b["type"] == "audience.exited")
    came = next(b for b in rest if b["type"] == "audience.entered")
    assert entered["person"]["id"] == left["person"]["id"]
    assert entered["person"]["anonymous_ids"] == ["x"]
    assert left["person"]["merged_into"] == came["person"]["id"]
    assert came["person"]["user_id"] == "ada"


async def test_who_refuses_after_it_was_put_into_the_outbox_is_not_delivered(
    desk, room, peer
) -> None:
    made = await desk()
    await peer.stop()
    await room.happen(page("/in", user_id="ada"))
    await room.happen(page("/", user_id="ada", consent={"ads": False}))
    await peer.start()
    await made.emptied()
    assert ("audience.entered", "ada", False) not in received(peer)


async def test_who_refuses_later_is_taken_out(desk, room, peer) -> None:
    made = await desk()
    await room.happen(page("/in", user_id="ada"))
    await made.emptied()
    await room.happen(page("/", at=NOW + 1, user_id="ada", consent={"ads": False}))
    await made.emptied()
    assert received(peer) == [("audience.entered", "ada", False), ("audience.exited", "ada", False)]
    assert await room.members() == {"ada"}


async def test_where_identity_is_verified_only_who_was_vouched_for(desk, room, peer) -> None:
    made = await desk()
    await room.happen(page("/in", user_id="ada", anonymous_id="x", trusted=0))
    await room.happen(
        event("identify", user_id="bob", anonymous_id="y", trusted=1),
        page("/in", user_id="bob", anonymous_id="y", trusted=0),
    )
    await made.emptied()
    assert {user for _, user, _ in received(peer)} <= {"bob"}


async def test_the_log_hears_of_it_once(room) -> None:
    await room.open({"name": "a", "rule": RULE})

    async def append(events):
        await room.log.append(events, [])

    courier = Courier("", OwnLog(append), None, room.reader, room.database, 0.05)
    await room.happen(page("/in", user_id="ada"))
    rows = await room.sql("SELECT * FROM outbox")
    courier.start()
    async with asyncio.timeout(30):
        while await room.sql("SELECT 1 FROM outbox"):
            await asyncio.sleep(0.01)
    await courier.stop()
    await room.settle()
    found = await room.sql(
        "SELECT event, user_id, message_id, properties ->> 'audience', site FROM events "
        "WHERE event LIKE 'Audience %'"
    )
    assert found == [("Audience Entered", "ada", rows[0][1], "a", "shop")]


@pytest.mark.parametrize("purpose", ["own", "advertising"])
async def test_deliveries_without_consent_are_none(room, peer, desk, purpose) -> None:
    """Over generated histories: who stands as delivered is who may be, by a plain look at the
    newest statement of each visitor."""
    made = await desk(purpose=purpose)
    await made.courier.stop()
    chance = random.Random(11)
    people: dict[str, list[tuple[int, dict]]] = {}
    for _ in range(150):
        user = f"u{chance.randrange(40)}"
        at = NOW - chance.randrange(1000)
        consent = chance.choice(
            [None, None, {"ads": True}, {"ads": False}, {"gpc": True}, {"ads": True, "gpc": True}]
        )
        if consent:
            people.setdefault(user, []).append((at, consent))
        path = chance.choice(["/in", "/"])
        await room.happen(page(path, at=at, user_id=user, consent=consent))
    told = {row[0] for row in await room.sql(
        "SELECT p.user_id FROM audience_told t JOIN people p ON p.number = t.person")}  # fmt: skip
    members = await room.members()
    assert told == {user for user in members if may(people.get(user, []), purpose)}
    assert told and told != members
    made.start()
    await made.emptied()
    inside = set()
    for kind, user, _ in received(peer):
        (inside.add if kind == "audience.entered" else inside.discard)(user)
    assert inside == told


def may(statements, purpose) -> bool:
    asked = [at for at, consent in statements if "ads" in consent]
    last = max(asked, default=-1)
    newest = [consent for at, consent in statements if at == last and "ads" in consent]
    if any(not consent["ads"] for consent in newest):
        return False
    if purpose == "own":
        return True
    signal = any(consent.get("gpc") for at, consent in statements if at >= last)
    return bool(newest) and not signal
