"""What the public listener promises: whose events, from where, once, and when not."""

import asyncio
import json

import pytest

BATCH = ["b-1", "b-2", "b-3"]


def batch(track, ids=BATCH):
    return {"batch": [track(message_id) for message_id in ids]}


async def test_the_same_batch_three_times_and_after_a_restart_is_stored_once(collector, track):
    for _ in range(3):
        assert await collector.post("/v1/batch", batch(track)) == (200, {"success": True})
    await collector.restart()
    assert await collector.post("/v1/batch", batch(track)) == (200, {"success": True})

    assert collector.ids() == BATCH


async def test_the_same_event_at_the_same_moment_is_stored_once(collector, track):
    answers = await asyncio.gather(
        *(collector.post("/v1/batch", batch(track)) for _ in range(20)),
    )

    assert {status for status, _ in answers} == {200}
    assert collector.ids() == BATCH
    assert collector.app.metrics.duplicate_events == 57


async def test_an_id_is_a_sites_own(idle, track):
    sites = [{"name": "a", "key": "wk_of_site_a"}, {"name": "b", "key": "wk_of_site_b"}]
    await idle.start(site=sites)

    for site in sites:
        await idle.post("/v1/batch", {**batch(track), "writeKey": site["key"]}, auth=False)

    assert [(row["site"], row["message_id"]) for row in idle.rows()] == [
        (site, message_id) for site in "ab" for message_id in BATCH
    ]


async def test_an_event_without_an_id_gets_one_that_grows_with_time(collector, track):
    for _ in range(3):
        await collector.post("/v1/track", {"event": "E"})

    ids = collector.ids()
    assert len(set(ids)) == 3
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)
    assert all(i[14] == "7" for i in ids)


async def test_each_event_carries_the_node_and_its_running_number(collector, track):
    await collector.post("/v1/batch", batch(track))
    await collector.restart()
    await collector.post("/v1/track", track("later"))

    rows = collector.rows()
    assert [row["node_seq"] for row in rows] == [row["seq"] for row in rows] == [1, 2, 3, 4]
    assert len({row["node_id"] for row in rows}) == 1


async def test_a_key_made_by_the_collector_stays_the_same(idle):
    await idle.start(site=[{"name": "a"}, {"name": "b"}])
    made = [site.keys for site in idle.app.sites.all]
    await idle.restart()

    assert [site.keys for site in idle.app.sites.all] == made
    assert made[0] != made[1]


async def test_two_keys_of_a_site_are_valid_at_once(idle, track):
    await idle.start(site=[{"name": "shop", "key": ["wk_old_key", "wk_new_key"]}])

    for key in ("wk_old_key", "wk_new_key"):
        assert (await idle.post("/v1/track", track(key) | {"writeKey": key}, auth=False))[0] == 200

    assert idle.ids() == ["wk_old_key", "wk_new_key"]


async def test_a_foreign_origin_is_refused_and_none_at_all_passes(idle, hot_lane, track):
    site = {"name": "shop", "key": idle.key, "origins": ["https://shop.example"]}
    await idle.start(site=[site], **{"http.hot_lane": hot_lane})

    own = await idle.post("/v1/track", track("own"), Origin="https://shop.example")
    foreign = await idle.post("/v1/track", track("foreign"), Origin="https://evil.example")
    without = await idle.post("/v1/track", track("without"))

    assert (own[0], foreign[0], without[0]) == (200, 401, 200)
    assert foreign[1]["code"] == "origin_not_allowed"
    assert idle.ids() == ["own", "without"]
    assert idle.rejected() == []


async def test_refused_events_are_capped_per_site_the_oldest_out(idle):
    sites = [{"name": "a", "key": "wk_of_site_a"}, {"name": "b", "key": "wk_of_site_b"}]
    await idle.start(site=sites, **{"store.rejected_per_site": 3})

    for number in range(5):
        body = {"messageId": f"{number}", "writeKey": "wk_of_site_a"}
        assert (await idle.post("/v1/track", body, auth=False))[0] == 400
    await idle.post("/v1/track", {"messageId": "other", "writeKey": "wk_of_site_b"}, auth=False)

    kept = [(row["site"], json.loads(row["body"])["messageId"]) for row in idle.rejected()]
    assert kept == [("a", "2"), ("a", "3"), ("a", "4"), ("b", "other")]
    assert idle.app.metrics.rejected_events == 6
    assert idle.app.metrics.rejected_expired_events == 2


async def test_privacy_control_is_kept_with_the_event(collector, track):
    await collector.post("/v1/track", track("gpc"), Sec_GPC="1")

    assert json.loads(collector.rows()[0]["consent"]) == {"gpc": True}


async def test_with_gpc_off_such_events_are_not_kept_but_counted(idle, hot_lane, track):
    await idle.start(**{"privacy.gpc": "off", "http.hot_lane": hot_lane})

    assert (await idle.post("/v1/batch", batch(track), Sec_GPC="1")) == (200, {"success": True})

    assert idle.ids() == []
    assert idle.app.metrics.declined_events == 3


async def test_a_gif_is_always_a_gif(idle, hot_lane):
    await idle.start(**{"http.hot_lane": hot_lane})

    for query in (f"?k={idle.key}&id=seen", "?k=unknown", "", f"?k={idle.key}&id={'x' * 101}"):
        status, body = await idle.get("/c.gif" + query)
        assert (status, body[:6]) == (200, b"GIF89a")

    assert idle.ids() == ["seen"]
    assert idle.app.metrics.refused_requests == 2
    assert [row["code"] for row in idle.rejected()] == ["invalid_event"]


@pytest.mark.parametrize("status", [200, 400, 401, 404, 405, 413, 415])
async def test_every_answer_lets_the_page_read_it(idle, hot_lane, talk, http, status):
    await idle.start(**{"http.hot_lane": hot_lane})
    page = {"Origin": "https://shop.example"}
    key = f"?writeKey={idle.key}"
    request = {
        200: http("POST", "/v1/track" + key, b'{"event":"E"}', **page),
        400: http("POST", "/v1/track" + key, b"{", **page),
        401: http("POST", "/v1/track", b'{"event":"E"}', **page),
        404: http("POST", "/v1/nothing", b"{}", **page),
        405: http("GET", "/v1/track", **page),
        413: http("POST", "/v1/batch" + key, b" " * 512_001, **page),
        415: http("POST", "/v1/track" + key, b"{}", Content_Encoding="x", **page),
    }[status]

    (reply,) = await talk(idle.port, request)

    assert reply.status == status
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert reply.headers["vary"] == "Origin"


async def test_a_preflight_allows_what_is_asked(idle, hot_lane, talk, http):
    await idle.start(**{"http.hot_lane": hot_lane})
    asked = "authorization,content-type,x-retry-count,anonymousid"
    headers = {
        "Origin": "https://shop.example",
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": asked,
    }

    (reply,) = await talk(idle.port, http("OPTIONS", "/v1/batch", **headers))

    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-headers"] == asked
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"


async def test_an_import_keeps_times_as_given_and_a_batch_does_not(collector):
    event = {"type": "track", "event": "E", "userId": "u", "timestamp": "2031-05-06T07:08:09.123Z"}
    for path in ("/v1/import", "/v1/batch"):
        answer = await collector.post(path, {"batch": [event], "sentAt": "2026-01-01T00:00:00Z"})
        assert answer == (200, {"success": True})
    imported, corrected = collector.rows()
    assert imported["timestamp"] == imported["original_timestamp"] == 1_935_817_689_123
    assert corrected["original_timestamp"] == 1_935_817_689_123
    assert corrected["timestamp"] == corrected["received_at"]
