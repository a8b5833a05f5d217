"""Whose address is stored, in front of a proxy and behind one; the ids of its requests."""

import pytest


async def stored_address(collector, forwarded, track):
    headers = {"X_Forwarded_For": forwarded} if forwarded else {}
    await collector.post("/v1/track", track("m"), **headers)
    return collector.rows()[-1]["ip"]


async def test_behind_a_proxy_on_loopback_it_is_the_forwarded_one(idle, hot_lane, track):
    await idle.start(**{"http.hot_lane": hot_lane, "privacy.ip": "full"})

    assert await stored_address(idle, "203.0.113.77", track) == "203.0.113.77"


async def test_it_is_masked_by_default(collector, track):
    assert await stored_address(collector, "203.0.113.77", track) == "203.0.113.0"


async def test_it_is_not_kept_where_none_is_wanted(idle, track):
    await idle.start(**{"privacy.ip": "none"})

    await idle.post("/v1/track", track("m", context={"ip": "198.51.100.9", "a": 1}))

    (row,) = idle.rows()
    assert (row["ip"], row["context"]) == (None, '{"a":1}')


async def test_an_untrusted_peer_cannot_choose_its_address(idle, track):
    await idle.start(**{"http.trusted_proxies": ["10.0.0.0/8"], "privacy.ip": "full"})

    assert await stored_address(idle, "203.0.113.77", track) == "127.0.0.1"


async def test_a_visitor_cannot_put_an_address_before_the_proxys(idle, hot_lane, talk, http):
    """The proxy may add its own header line below the visitor's (HAProxy does)."""
    await idle.start(**{"http.hot_lane": hot_lane, "privacy.ip": "full"})
    request = http("GET", f"/c.gif?k={idle.key}", X_Forwarded_For="1.1.1.1")
    request = request.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 203.0.113.77\r\n\r\n")

    await talk(idle.port, request)

    assert idle.rows()[0]["ip"] == "203.0.113.77"


async def send_gifs(collector, talk, http, count, forwarded):
    requests = [
        http("GET", f"/c.gif?k={collector.key}", **forwarded(number)) for number in range(count)
    ]
    for start in range(0, count, 200):
        assert len(await talk(collector.port, b"".join(requests[start : start + 200]), 200)) == 200


async def test_a_warning_when_nearly_all_come_from_one_address(collector, talk, http, caplog):
    await send_gifs(collector, talk, http, 2000, lambda number: {})

    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warning.startswith("1000 of the last 1000 requests come from 127.0.0.1")
    assert "http.trusted_proxies" in warning


async def test_no_warning_for_visitors_of_many_addresses(collector, talk, http, caplog):
    await send_gifs(
        collector, talk, http, 1000, lambda number: {"X_Forwarded_For": f"203.0.113.{number % 10}"}
    )

    assert [r for r in caplog.records if r.levelname == "WARNING"] == []


async def send_to_plausible(collector, talk, http, request_id="r-1"):
    body = b'{"n":"E","d":"shop","u":"https://shop.example/"}'
    for _ in range(2):
        await talk(collector.port, http("POST", "/api/event", body, X_Request_Id=request_id))
    return [row["message_id"] for row in collector.rows()]


async def test_a_proxys_request_id_tells_what_it_sends_again(idle, hot_lane, talk, http):
    await idle.start(**{"http.hot_lane": hot_lane, "clients.proxy_ids": True})

    assert await send_to_plausible(idle, talk, http) == ["r-1-0"]


@pytest.mark.parametrize(
    ("settings", "request_id"),
    [
        ({}, "r-1"),
        ({"clients.proxy_ids": True, "http.trusted_proxies": ["10.0.0.0/8"]}, "r-1"),
        ({"clients.proxy_ids": True}, "r" * 65),
    ],
    ids=["not asked for", "not a trusted proxy's", "too long"],
)
async def test_a_request_id_is_no_message_id_where_it_is(idle, talk, http, settings, request_id):
    await idle.start(**settings)

    one, other = await send_to_plausible(idle, talk, http, request_id=request_id)

    assert one != other
    assert not one.startswith("r")
