"""What clients fetch before they send."""

import json
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "collector" / "static"
SETTINGS = "/v1/projects/wk%3Cone%3E/settings"
SCRIPT = "/analytics.js/v1/wk_one/analytics.min.js"


async def test_segments_settings_name_the_key_and_where_to_send(idle):
    collector = await idle.start(**{"http.public_url": "https://collect.shop.example/e"})
    status, body = await collector.get(SETTINGS)
    settings = json.loads(body)
    assert status == 200
    assert settings["metrics"] == {"sampleRate": 0}
    assert settings["integrations"]["Segment.io"] == {
        "apiKey": "wk<one>",
        "apiHost": "collect.shop.example/e/v1",
        "protocol": "https",
        "addBundledMetadata": False,
    }


async def test_without_a_public_address_the_listener_is_where_to_send(collector):
    _, body = await collector.get(SETTINGS)
    assert json.loads(body)["integrations"]["Segment.io"]["protocol"] == "http"


async def test_the_browser_sdks_own_metrics_are_taken_and_not_kept(collector):
    assert await collector.post("/v1/m", {"series": []}, auth=False) == (200, {"success": True})
    assert collector.rows() == collector.rejected() == []


@pytest.mark.parametrize("path", ["/sourceConfig", "/sourceConfig/?p=npm&writeKey=x"])
async def test_rudderstacks_source_is_enabled_and_has_no_destinations(collector, path):
    status, body = await collector.get(path)
    source = json.loads(body)["source"]
    assert status == 200
    assert source["enabled"] is True
    assert source["destinations"] == []


async def test_segments_snippet_finds_the_script_made_ready_for_it(collector):
    status, body = await collector.get(SCRIPT)
    assert status == 200
    assert body == (STATIC / "segment.js").read_bytes() + (STATIC / "c.js").read_bytes()


@pytest.mark.parametrize("path", [SETTINGS, SCRIPT, "/sourceConfig"])
async def test_they_answer_head_and_to_any_origin(collector, session, path):
    async with session.head(collector.url + path, headers={"Origin": "https://a.b"}) as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://a.b")


@pytest.mark.parametrize("client", ["segment", "rudderstack"])
async def test_those_of_a_client_that_is_off_are_not_there(idle, client):
    collector = await idle.start(**{f"clients.{client}": False})
    other = {"segment": "/sourceConfig", "rudderstack": SETTINGS}
    own = {"segment": SETTINGS, "rudderstack": "/sourceConfig"}
    assert (await collector.get(own[client]))[0] == 404
    assert (await collector.get(other[client]))[0] == 200
    assert (await collector.get(SCRIPT))[0] == (404 if client == "segment" else 200)
