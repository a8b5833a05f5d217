"""What the forwarder does when an upstream says no."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import Collector
from tests.forward.conftest import EDGE_KEY, Pair, until
from tests.forward.peer import OK, Peer, Said

Fill = Callable[..., Awaitable[list[str]]]
CLIENT = {"name": "peer", "key": "wk_of_the_peer", "linger_s": 0.0, "retry_s": 0.1}


async def serve(collector: Collector, peer: Peer, **settings: Any) -> Any:
    await collector.start(forward=[CLIENT | {"url": peer.url} | settings])
    return collector.app.forwarding.forwarders[0]


def ids(peer: Peer) -> list[str]:
    return [event["messageId"] for event in peer.taken]


async def test_a_poison_event_alone_is_kept_in_rejected(idle: Collector, fill: Fill) -> None:
    said = Said(400, '{"success":false,"code":"nope","message":"I do not like m-4321"}')

    def judge(events: list[Any]) -> Said:
        return said if any(e["messageId"] == "m-4321" for e in events) else OK

    async with Peer(judge) as peer:
        await serve(idle, peer)
        sent = await fill(idle, 10_000)
        await until(lambda: len(peer.taken) >= 9_999)
        assert sorted(ids(peer)) == sorted(set(sent) - {"m-4321"})
        await until(lambda: len(idle.rejected()) == 1)
        kept = idle.rejected()[0]
        assert kept["message"] == "peer: 400 I do not like m-4321"
        assert (kept["code"], kept["status"]) == ("upstream_refused", 400)
        assert b'"m-4321"' in kept["body"]


async def test_a_refused_event_named_in_a_200_is_kept_in_rejected(
    idle: Collector, fill: Fill
) -> None:
    body = '{"success":true,"rejected":[{"index":1,"code":"x","message":"bad one"}]}'
    async with Peer(lambda events: Said(200, body) if len(events) > 1 else OK) as peer:
        await serve(idle, peer)
        await fill(idle, 3)
        await until(lambda: len(idle.rejected()) == 1)
        assert idle.rejected()[0]["message"] == "peer: bad one"


async def test_too_large_makes_batches_smaller(idle: Collector, fill: Fill) -> None:
    async with Peer(lambda events: Said(413) if len(events) > 70 else OK) as peer:
        await serve(idle, peer)
        sent = await fill(idle, 2000)
        await until(lambda: len(peer.taken) >= 2000)
        assert sorted(ids(peer)) == sorted(sent)
        assert idle.rejected() == []
        assert sum(size > 70 for size in peer.requests) < len(peer.requests) / 2


async def test_denied_stops_that_upstream_and_keeps_everything(idle: Collector, fill: Fill) -> None:
    answer = [Said(401, '{"message":"unknown write key"}')]
    async with Peer(lambda events: answer[0]) as peer:
        forwarder = await serve(idle, peer, denied_s=0.3)
        await fill(idle, 10)
        await until(lambda: forwarder.denied is not None)
        assert forwarder.denied == "401 unknown write key"
        assert (await idle.get("/readyz"))[0] == 200
        answer[0] = OK
        await until(lambda: len(peer.taken) == 10)
        assert forwarder.denied is None


async def test_a_retry_after_is_obeyed(idle: Collector, fill: Fill) -> None:
    answers = [Said(429, "", {"Retry-After": "1"})]
    async with Peer(lambda events: answers.pop() if answers else OK) as peer:
        forwarder = await serve(idle, peer)
        loop = asyncio.get_running_loop()
        await fill(idle, 1)
        await until(lambda: forwarder.last_error is not None)
        began = loop.time()
        await until(lambda: len(peer.taken) == 1)
        assert loop.time() - began > 0.8


async def test_an_upstream_that_refuses_everything_is_not_fed_to_the_end(
    idle: Collector, fill: Fill
) -> None:
    async with Peer(lambda events: Said(400, "this is no collector")) as peer:
        forwarder = await serve(idle, peer)
        await fill(idle, 1000)
        await until(lambda: forwarder.denied is not None)
        assert forwarder.denied == (
            "it refuses every event, the last with: 400 this is no collector"
        )
        assert len(idle.rejected()) == 100


async def test_one_that_hangs_does_not_delay_the_other(idle: Collector, fill: Fill) -> None:
    async with Peer(lambda events: Said(503)) as bad, Peer(lambda events: OK) as good:
        one = CLIENT | {"url": bad.url, "name": "bad", "retry_s": 60}
        await idle.start(forward=[one, CLIENT | {"url": good.url}])
        await fill(idle, 500)
        await until(lambda: len(good.taken) == 500)
        assert bad.taken == []


async def test_filters_choose_by_site_type_and_name(idle: Collector) -> None:
    async with Peer(lambda events: OK) as peer:
        await serve(idle, peer, types=["track"], events=["A", "B"])
        batch = [
            {"type": "track", "event": name, "messageId": name, "userId": "u"} for name in "ABC"
        ]
        page = {"type": "page", "name": "A", "messageId": "page", "userId": "u"}
        await idle.post("/v1/batch", {"batch": [page, *batch]})
        await until(lambda: len(peer.taken) == 2)
        assert ids(peer) == ["A", "B"]


async def test_an_ordinary_collector_takes_it_as_a_clients(
    pair: Pair, fill: Fill, quiet: Callable[[], None]
) -> None:
    await pair.start(key="wk_of_the_tests")
    sent = await fill(pair.edge, 700)
    await pair.edge.post(
        "/v1/identify", {"userId": "7", "traits": {"a": [1]}, "messageId": "identify"}
    )
    await pair.delivered(701)
    assert sorted(pair.centre.ids()) == sorted([*sent, "identify"])
    there = {row["message_id"]: row for row in pair.centre.rows()}
    for row in pair.edge.rows():
        other = there[row["message_id"]]
        for name in ("type", "event", "user_id", "anonymous_id", "timestamp", "url", "title"):
            assert row[name] == other[name], name
        for name in ("properties", "traits", "user_agent", "ip"):
            assert row[name] == other[name], name
    quiet()


async def test_without_an_edges_key_nobodys_word_is_believed(pair: Pair, fill: Fill) -> None:
    await pair.start_centre(edge=[])
    await pair.start_edge()
    await fill(pair.edge, 5)
    forwarder = pair.edge.app.forwarding.forwarders[0]
    await until(lambda: forwarder.denied is not None)
    assert "no key of an edge" in (forwarder.denied or "")
    assert pair.centre.ids() == []
    assert EDGE_KEY not in (forwarder.denied or "")
