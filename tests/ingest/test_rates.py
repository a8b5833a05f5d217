"""How much one sender may send: the meter against a plain model, and the real listener."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ingest.rates import Meter


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_a_minutes_allowance_may_be_used_at_once_and_fills_up_evenly():
    clock = Clock()
    meter = Meter(60, 10, clock)
    assert [meter.take("a", 1) for _ in range(60)] == [0.0] * 60
    assert meter.take("a", 1) == pytest.approx(1.0)
    clock.now += 1.001
    assert meter.take("a", 1) == 0.0
    assert meter.take("a", 1) > 0
    assert meter.take("b", 1) == 0.0


def test_a_batch_over_the_whole_allowance_is_taken_when_it_is_full_and_waited_for():
    clock = Clock()
    meter = Meter(60, 10, clock)
    assert meter.take("a", 180) == 0.0
    assert meter.take("a", 1) == pytest.approx(121.0)
    clock.now += 179
    assert meter.take("a", 180) > 0
    clock.now += 1
    assert meter.take("a", 180) == 0.0


STEPS = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 40)), max_size=40)


@given(STEPS, st.integers(1, 50))
def test_it_agrees_with_a_bucket_that_is_filled(steps, per_minute):
    clock = Clock()
    meter, tokens = Meter(per_minute, 10, clock), float(per_minute)
    for passed, count in steps:
        clock.now += passed
        tokens = min(float(per_minute), tokens + passed * per_minute / 60)
        right = tokens >= count or tokens >= per_minute
        if abs(tokens - count) < 1e-6 or abs(tokens - per_minute) < 1e-6:
            right = None  # too close for floats
        wait = meter.take("a", count)
        if right is not None:
            assert (wait == 0.0) is right
        if wait == 0.0:
            tokens -= count


@given(STEPS)
def test_after_the_time_it_names_it_takes(steps):
    clock = Clock()
    meter = Meter(30, 10, clock)
    for passed, count in steps:
        clock.now += passed
        if wait := meter.take("a", count):
            clock.now += wait + 1e-6
            assert meter.take("a", count) == 0.0 or count > 30


def test_a_flood_of_senders_stays_in_bounds_and_the_used_up_are_not_all_forgotten():
    clock = Clock()
    meter = Meter(2, 1000, clock)
    for number in range(50_000):
        assert meter.take(str(number), 1) == 0.0
        assert len(meter) <= 1000
    assert [meter.take("49999", 1) for _ in range(2)] == [0.0, 30.0]
    clock.now += 600
    meter.take("next", 1)
    assert len(meter) == 1  # all of them had their allowance back


def page():
    return {"type": "page", "anonymousId": "v"}


async def send(collector, address, path="/c", events=1, key=None):
    body = {"writeKey": key or collector.key, "batch": [page()] * events}
    headers = {"X-Forwarded-For": address}
    async with collector.session.post(collector.url + path, json=body, headers=headers) as answer:
        return answer.status, answer.headers.get("Retry-After"), await answer.json()


async def test_by_default_nobody_is_counted(collector):
    for _ in range(100):
        assert (await send(collector, "203.0.113.9"))[0] == 200


async def test_an_address_over_its_allowance_hears_when_to_come_again(idle, hot_lane):
    await idle.start(**{"rates.address_per_minute": 3, "http.hot_lane": hot_lane})
    statuses = [(await send(idle, "203.0.113.9"))[0] for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    status, retry, said = await send(idle, "203.0.113.9", "/v1/batch")
    assert (status, said["code"], said["success"]) == (429, "rate_limited", False)
    assert 1 <= int(retry) <= 20
    assert retry in said["message"]
    assert (await send(idle, "203.0.113.10"))[0] == 200
    assert len(idle.rows()) == 4
    assert idle.app.metrics.limited_requests == 2


async def test_an_ipv6_sender_is_its_network_of_64_bits(idle):
    await idle.start(**{"rates.address_per_minute": 2})
    addresses = [
        "2001:db8:0:1::1",
        "2001:db8:0:1:ffff::2",
        "2001:db8:0:1:1:2:3:4",
        "2001:db8:0:2::1",
    ]
    assert [(await send(idle, a))[0] for a in addresses] == [200, 200, 429, 200]


async def test_a_forged_forwarded_for_buys_nothing(idle):
    """The rightmost address that is no trusted proxy counts; what stands before it is the
    client's own invention."""
    await idle.start(**{"rates.address_per_minute": 2})
    forged = [f"198.51.100.{n}, 203.0.113.9" for n in range(3)]
    assert [(await send(idle, a))[0] for a in forged] == [200, 200, 429]


async def test_without_a_trusted_proxy_the_header_is_not_believed_at_all(idle):
    await idle.start(**{"rates.address_per_minute": 2, "http.trusted_proxies": []})
    statuses = [(await send(idle, f"203.0.113.{n}"))[0] for n in range(3)]
    assert statuses == [200, 200, 429]


async def test_a_write_key_has_an_allowance_of_events(idle):
    sites = [{"name": "a", "key": "wk_of_site_a"}, {"name": "b", "key": "wk_of_site_b"}]
    await idle.start(**{"rates.key_per_minute": 10, "site": sites})
    assert (await send(idle, "203.0.113.1", events=8, key="wk_of_site_a"))[0] == 200
    assert (await send(idle, "203.0.113.2", events=8, key="wk_of_site_a"))[0] == 429
    assert (await send(idle, "203.0.113.3", events=8, key="wk_of_site_b"))[0] == 200
    assert len(idle.rows()) == 16


async def test_exempt_networks_are_not_counted(idle):
    limits = {"rates.address_per_minute": 1, "rates.key_per_minute": 1}
    await idle.start(**limits, **{"rates.exempt": ["203.0.113.0/24", "2001:db8::/32"]})
    for address in ("203.0.113.9", "203.0.113.9", "2001:db8::1", "2001:db8::1"):
        assert (await send(idle, address))[0] == 200


async def test_a_gif_says_429_too_and_is_still_a_gif(idle):
    await idle.start(**{"rates.address_per_minute": 1})
    answers = [await idle.get(f"/c.gif?k={idle.key}") for _ in range(2)]
    assert [status for status, _ in answers] == [200, 429]
    assert answers[0][1] == answers[1][1]


@pytest.mark.parametrize("path", ["/i?e=pv", "/api/event", "/api/send"])
async def test_other_clients_hear_it_too(idle, path):
    await idle.start(**{"rates.address_per_minute": 1})
    await send(idle, "203.0.113.9")
    method = "GET" if path.startswith("/i") else "POST"
    headers = {"X-Forwarded-For": "203.0.113.9"}
    async with idle.session.request(method, idle.url + path, headers=headers, data=b"{}") as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"]


async def test_a_flood_from_many_addresses_takes_no_more_memory_than_is_set(idle):
    await idle.start(**{"rates.address_per_minute": 60, "rates.remembered": 100})
    for number in range(300):
        assert (await send(idle, f"203.0.{number // 250}.{number % 250}"))[0] == 200
    assert len(idle.app._service._gate._addresses) <= 100
