"""Floods of what differs each time: nothing that is remembered grows without bound."""

import gc
import uuid

import pytest

from collector.errors import Refused
from collector.ingest import visitor
from collector.wire import bots


async def flood(collector, count, **changing):
    """Batches in which every value of `changing` is another one each time."""
    for start in range(0, count, 100):
        batch = []
        for number in range(start, start + 100):
            event = {"type": "track", "event": "E", "anonymousId": "v", "messageId": f"m{number}"}
            batch.append(event | {name: make(number) for name, make in changing.items()})
        status, _ = await collector.post("/c", {"batch": batch})
        assert status == 200


async def metric_lines(collector):
    headers = {"Authorization": f"Bearer {collector.app.token}"}
    async with collector.session.get(f"{collector.admin_url}/metrics", headers=headers) as answer:
        assert answer.status == 200
        return sorted(line.rpartition(" ")[0] for line in (await answer.text()).splitlines())


async def test_names_and_visitors_without_end_add_no_metric(collector):
    await flood(collector, 100)
    before = await metric_lines(collector)
    await flood(
        collector,
        1000,
        messageId=lambda n: f"other-{n}",
        event=lambda n: f"Event {n}",
        anonymousId=lambda n: str(uuid.uuid4()),
        properties=lambda n: {f"property-{n}": n},
    )
    assert await metric_lines(collector) == before


async def test_user_agents_without_end_are_forgotten_again(collector):
    await flood(collector, 5000, context=lambda n: {"userAgent": f"Agent/{n}"})
    info = bots.known.cache_info()
    assert info.currsize <= info.maxsize == 4096
    assert len(collector.rows()) == 5000


async def test_parameter_names_without_end_are_forgotten_again(collector):
    urls = lambda n: {"page": {"url": "/?" + "&".join(f"p{n}-{i}=1" for i in range(5))}}  # noqa: E731
    await flood(collector, 2000, context=urls)
    assert len(collector.app._service._scrubber.harmless) <= 4096


async def test_origins_and_hosts_without_end_are_forgotten_again(collector):
    for number in range(1100):
        visitor.registrable(f"a{number}.example")
    info = visitor.registrable.cache_info()
    assert info.currsize <= info.maxsize


@pytest.mark.parametrize("path", ["/c", "/v1/batch"])
async def test_the_key_of_another_site_gives_no_way_around_its_origins(idle, path):
    sites = [
        {"name": "a", "key": "wk_of_site_a", "origins": ["https://a.example"]},
        {"name": "b", "key": "wk_of_site_b", "origins": ["https://b.example"]},
    ]
    await idle.start(site=sites)
    body = {"writeKey": "wk_of_site_a", "batch": [{"type": "page", "anonymousId": "v"}]}
    refused = await idle.post(path, body, auth=False, Origin="https://b.example")
    assert refused[0] == 401
    assert (await idle.post(path, body, auth=False, Origin="https://a.example"))[0] == 200
    assert [row["site"] for row in idle.rows()] == ["a"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/track", b"{"),
        ("/v1/track", b'{"event":5}'),
        ("/v1/batch", b"{"),
        ("/c", b'{"batch":[{"type":"track"},{"type":"page"},5]}'),
        ("/api/event", b"{}"),
        ("/api/send", b"[]"),
        ("/api/batch", b"[5]"),
        ("/com.snowplowanalytics.snowplow/tp2", b'{"data":[5]}'),
    ],
)
@pytest.mark.parametrize("auth", [True, False], ids=["under a key", "without one"])
async def test_what_is_refused_is_forgotten_again(collector, path, body, auth):
    """An error that was kept with its frames kept the request for good."""
    for _ in range(3):
        await collector.post(path, body, auth=auth)
    gc.collect()
    assert [error for error in gc.get_objects() if isinstance(error, Refused)] == []
