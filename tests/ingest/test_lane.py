"""The hot lane as part of aiohttp's protocol: order, timers, and what happens without it."""

import asyncio
import json

from collector.ingest import lane
from collector.ingest.routes import Routes

KEY = "wk_of_the_tests"


async def test_pipelined_answers_keep_the_order_of_the_requests(idle, hot_lane, talk, http):
    await idle.start(**{"http.hot_lane": hot_lane})
    requests, expected = [], []
    for number in range(120):
        body = json.dumps({"event": "E", "messageId": f"p-{number}", "writeKey": KEY}).encode()
        way = number % 4
        requests.append(
            [
                http("POST", "/v1/track", body),
                http("GET", f"/c.gif?k={KEY}&id=p-{number}"),
                http("POST", "/nothing", body),
                http("POST", "/v1/track", b"broken"),
            ][way]
        )
        expected.append([200, 200, 404, 400][way])

    replies = await talk(idle.port, b"".join(requests), len(requests))

    assert [reply.status for reply in replies] == expected
    assert idle.ids() == [f"p-{number}" for number in range(120) if number % 4 < 2]


async def test_the_idle_timer_does_not_cut_an_outstanding_answer(idle, talk, http, slow_store):
    await idle.start(**{"http.keepalive_s": 0.2})
    body = json.dumps({"event": "E", "messageId": "late", "writeKey": KEY}).encode()

    async with slow_store(idle):
        asked = asyncio.create_task(talk(idle.port, http("POST", "/v1/track", body)))
        await asyncio.sleep(0.7)
        assert not asked.done()

    (reply,) = await asked
    assert (reply.status, idle.ids()) == (200, ["late"])


async def test_an_idle_connection_is_closed_after_its_answer(idle, talk, http):
    await idle.start(**{"http.keepalive_s": 0.2})

    replies = await talk(idle.port, http("GET", f"/c.gif?k={KEY}"), count=2)

    assert [reply.status for reply in replies] == [200]


async def test_without_a_fitting_aiohttp_the_normal_way_is_taken(idle, monkeypatch, caplog, track):
    monkeypatch.setattr(lane, "_NEEDED", (*lane._NEEDED, "_of_a_later_version"))

    await idle.start()

    assert "the hot lane is off: aiohttp's RequestHandler has no _of_a_later_version" in caplog.text
    assert idle.app._server.hot is False
    assert (await idle.post("/v1/track", track("m")))[0] == 200


def test_the_aiohttp_in_use_carries_the_lane():
    assert lane.unsupported() is None


async def test_an_error_of_ours_has_a_number_in_answer_and_log(
    idle, talk, http, monkeypatch, caplog
):
    async def broken(*args):
        raise RuntimeError("of this test")

    monkeypatch.setattr(Routes, "_other", broken)
    await idle.start()

    (reply,) = await talk(idle.port, http("GET", "/nothing?secret=1"))

    assert (reply.status, reply.json["code"]) == (500, "internal")
    number = reply.json["message"].removeprefix("internal error in request ")
    assert f"unhandled error in request {number}" in caplog.text
    assert "secret" not in caplog.text
