"""When the buffer is full, and when the disk is."""

import asyncio
import json

import pytest


async def test_a_full_buffer_answers_503_at_once(idle, hot_lane, slow_store, track):
    await idle.start(
        **{"http.hot_lane": hot_lane, "store.buffer_events": 10, "store.batch_events": 2}
    )
    async with slow_store(idle):
        waiting = [
            asyncio.create_task(idle.post("/v1/track", track(f"taken-{n}"))) for n in range(10)
        ]
        while idle.app.writer.buffered_events < 10:
            await asyncio.sleep(0.01)

        status, answer = await idle.post("/v1/track", track("too-many"))
        gif_status, gif = await idle.get(f"/c.gif?k={idle.key}&id=too-many-gif")
        ready = await idle.get("/readyz")

        assert not any(task.done() for task in waiting)
    assert (status, answer["code"]) == (503, "overloaded")
    assert "the buffer is full" in answer["message"]
    assert (gif_status, gif[:6]) == (503, b"GIF89a")
    assert ready == (503, b"the buffer is full\n")
    assert {status for status, _ in await asyncio.gather(*waiting)} == {200}
    assert sorted(idle.ids()) == sorted(f"taken-{n}" for n in range(10))
    assert idle.app.metrics.overloaded_requests == 2


async def test_the_buffer_is_bounded_in_bytes_too(idle, slow_store, track):
    await idle.start(**{"store.buffer_bytes": 20_000, "store.batch_events": 1})
    large = track("large", properties={"a": "x" * 15_000})
    async with slow_store(idle):
        first = asyncio.create_task(idle.post("/v1/track", large))
        second = asyncio.create_task(idle.post("/v1/track", large | {"messageId": "second"}))
        while idle.app.writer.buffered_events < 2:
            await asyncio.sleep(0.01)

        assert (await idle.post("/v1/track", track("small")))[0] == 503

    assert [(await first)[0], (await second)[0]] == [200, 200]
    assert set(idle.ids()) == {"large", "second"}


async def test_a_503_says_when_to_come_again(idle, hot_lane, slow_store, talk, http, track):
    await idle.start(**{"http.hot_lane": hot_lane, "store.buffer_events": 1})
    body = json.dumps(track("m")).encode()
    request = http("POST", f"/v1/track?writeKey={idle.key}", body, Origin="https://shop.example")
    async with slow_store(idle):
        waiting = asyncio.create_task(talk(idle.port, request))
        while not idle.app.writer.full:
            await asyncio.sleep(0.01)
        (reply,) = await talk(idle.port, request)
    await waiting

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"


async def flood(collector, count, size=2000):
    """Single events, many at once; the ids that were answered 200."""
    limit = asyncio.Semaphore(50)

    async def one(number):
        body = {"event": "E", "messageId": f"e-{number}", "properties": {"a": "x" * size}}
        async with limit:
            return number, (await collector.post("/v1/track", body))[0]

    answers = await asyncio.gather(*(one(number) for number in range(count)))
    assert {status for _, status in answers} <= {200, 503}
    return {f"e-{number}" for number, status in answers if status == 200}


async def fill(collector, size):
    """Events one after the other until one is refused."""
    taken = set()
    while True:
        message_id = f"fill-{size}-{len(taken)}"
        body = {"event": "E", "messageId": message_id, "properties": {"a": "x" * size}}
        if (await collector.post("/v1/track", body))[0] == 503:
            return taken
        taken.add(message_id)


@pytest.fixture
async def full(idle, hot_lane):
    """A collector whose database may not grow, and the ids that it answered 200."""
    await idle.start(**{"http.hot_lane": hot_lane})
    (pages,) = idle.rows("PRAGMA page_count")
    await set_pages(idle, pages["page_count"] + 20)
    taken = await flood(idle, 150)
    for size in (9000, 2000, 100):  # a large batch that failed may have left a little room
        taken |= await fill(idle, size)
    return idle, taken


async def set_pages(collector, count):
    await collector.app._database.run(
        lambda connection: connection.execute(f"PRAGMA max_page_count = {count}").fetchall()
    )


async def test_a_full_disk_loses_nothing_that_was_answered_200(full):
    collector, taken = full

    flooded = {message_id for message_id in taken if message_id.startswith("e-")}
    assert 10 < len(flooded) < 150
    assert sorted(collector.ids()) == sorted(taken)
    assert collector.app.metrics.unavailable_requests == 150 - len(flooded) + 3


async def test_a_full_disk_is_said_clearly_on_every_protocol(full, track, caplog):
    collector, _ = full
    large = {"a": "x" * 9000}

    for path, body in (
        ("/v1/track", track("1", properties=large)),
        ("/v1/batch", {"batch": [track("2", properties=large)]}),
        ("/c", {"batch": [track("3", properties=large)]}),
        ("/com.snowplowanalytics.snowplow/tp2", {"data": [{"e": "pv", "page": large["a"]}]}),
        ("/api/event", {"n": "E", "u": "https://shop.example/", "p": large}),
        ("/api/send", {"payload": {"name": "E", "data": large}}),
        ("/api/batch", [{"payload": {"name": "E", "data": large}}]),
    ):
        status, answer = await collector.post(path, body, Origin="https://shop.example")
        assert (status, answer["code"]) == (503, "unavailable")
        assert "disk or database full" in answer["message"]
    for image in (f"/c.gif?k={collector.key}&p.a=", "/i?e=pv&page=", "/ice.png?e=pv&page="):
        status, body = await collector.get(image + "x" * 6000)
        assert (status, body[:6]) == (503, b"GIF89a")
    records = caplog.get_records("setup") + caplog.get_records("call")
    errors = [record.getMessage() for record in records if record.levelname == "ERROR"]
    assert errors
    assert all("answering 503 until it can: disk or database full" in text for text in errors)


async def test_while_the_disk_is_full_it_is_not_ready(full):
    collector, _ = full

    for _ in range(2):
        status, reason = await collector.get("/readyz")
        assert status == 503
        assert b"disk or database full" in reason
        collector.app._probed_at -= 2  # as if the probe's second had passed
    assert (await collector.get("/healthz"))[0] == 200


async def test_with_room_again_it_recovers_without_a_restart(full, track):
    collector, taken = full
    await set_pages(collector, 100_000)
    collector.app._probed_at -= 2

    assert (await collector.get("/readyz"))[0] == 200
    again = await flood(collector, 150)

    assert len(again) == 150
    assert sorted(collector.ids()) == sorted(again | taken)


async def test_readiness_comes_back_without_traffic(full):
    collector, _ = full
    await collector.get("/readyz")
    await set_pages(collector, 100_000)
    collector.app._probed_at -= 2

    assert await collector.get("/readyz") == (200, b"ready\n")
