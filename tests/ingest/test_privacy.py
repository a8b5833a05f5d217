"""What the server keeps of a visitor, whatever the script sends."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.config import Limits
from collector.config_privacy import Privacy
from collector.wire import build, decode
from collector.wire.privacy import Rules

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def page(**context):
    event = {"type": "page", "anonymousId": "v", "properties": {"url": "https://a.example/x"}}
    return event | ({"context": context} if context else {})


def consents(collector):
    return [r["consent"] and json.loads(r["consent"]) for r in collector.rows()]


def declined(collector):
    return collector.app.metrics.declined_events


async def beacon(collector, *events, **headers):
    body = {"writeKey": collector.key, "batch": list(events)}
    status, answer = await collector.post("/c", body, auth=False, **headers)
    assert (status, answer) == (200, {"success": True})


@pytest.mark.parametrize("header", ["Sec_GPC", "DNT"])
@pytest.mark.parametrize("setting", ["respect", "off", "ignore"])
async def test_a_signal_in_the_header_counts_by_its_setting(idle, hot_lane, header, setting):
    name = {"Sec_GPC": "gpc", "DNT": "dnt"}[header]
    await idle.start(**{f"privacy.{name}": setting, "http.hot_lane": hot_lane})
    for _ in range(2):  # the second time by a head that is remembered
        await beacon(idle, page(), **{header: "1"})
    await beacon(idle, page(), **{header: "0"})
    marked = {"respect": [{name: True}] * 2, "off": [], "ignore": [None] * 2}[setting]
    assert consents(idle) == [*marked, None]
    assert declined(idle) == (2 if setting == "off" else 0)


@pytest.mark.parametrize("said", [True, 1, "1"])
@pytest.mark.parametrize("setting", ["respect", "off", "ignore"])
async def test_a_signal_in_the_context_counts_for_its_event(idle, setting, said):
    await idle.start(**{"privacy.gpc": setting, "privacy.dnt": setting})
    await beacon(idle, page(gpc=said), page(dnt=said), page(), page(gpc=False, dnt="no"))
    marked = {"respect": [{"gpc": True}, {"dnt": True}], "off": [], "ignore": [None, None]}
    assert consents(idle) == [*marked[setting], None, None]
    assert declined(idle) == (2 if setting == "off" else 0)


async def test_do_not_track_is_ignored_by_default_and_gpc_respected(collector):
    await beacon(collector, page(), DNT="1", Sec_GPC="1")
    assert consents(collector) == [{"gpc": True}]


async def test_consent_is_kept_with_the_event_and_when_it_was_given(collector):
    given_ = {"analytics": True, "ads": False, "at": "2026-11-24T10:00:00Z"}
    await beacon(collector, page(consent=given_))
    await beacon(collector, page(consent=given_), Sec_GPC="1")
    assert consents(collector) == [given_, given_ | {"gpc": True}]


async def test_an_event_without_consent_for_analytics_is_declined_and_its_neighbours_kept(
    collector,
):
    await beacon(
        collector, page(), page(consent={"analytics": False}), page(consent={"ads": False})
    )
    assert len(collector.rows()) == 2
    assert declined(collector) == 1


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track"])
async def test_other_paths_are_held_to_the_same(collector, path):
    event = {
        "type": "track",
        "event": "E",
        "userId": "u",
        "context": {"consent": {"analytics": False}},
    }
    body = {"batch": [event]} if path == "/v1/batch" else event
    assert await collector.post(path, body) == (200, {"success": True})
    assert collector.rows() == []


async def test_a_declined_event_does_not_hide_a_bad_one(collector):
    body = {"writeKey": collector.key, "batch": [page(consent={"analytics": False}), {"type": "x"}]}
    status, answer = await collector.post("/c", body, auth=False)
    assert status == 200
    assert [r["index"] for r in answer["rejected"]] == [1]


async def test_addresses_are_scrubbed_in_every_column(collector):
    url = "https://a.example/x?token=s3cret&mail=ada%40mail.example"
    event = page(page={"url": url, "referrer": url, "search": "?token=s3cret"})
    event["properties"] = {"url": url, "referrer": url, "path": "/x/ada@mail.example"}
    track = {"type": "track", "event": "Lead", "anonymousId": "v"}
    track |= {"properties": {"email": "ada@mail.example"}, "context": event["context"]}
    await beacon(collector, event, track)
    first, second = collector.rows()
    assert "s3cret" not in str(first) + str(second)
    assert "ada" not in str(first)
    assert json.loads(second["properties"]) == {"email": "ada@mail.example"}


@pytest.mark.parametrize(
    "target", ["/c.gif?k={key}&u={url}", "/v1/pixel/page?writeKey={key}&properties.url={url}"]
)
async def test_addresses_in_a_query_are_scrubbed(collector, target):
    url = "https%3A%2F%2Fa.example%2F%3Ftoken%3Ds3cret"
    status, _ = await collector.get(target.format(key=collector.key, url=url))
    assert status == 200
    assert collector.rows()[0]["url"] == "https://a.example/?token=redacted"
    assert "s3cret" not in str(collector.rows())


async def test_bots_are_marked_and_kept(collector, hot_lane):
    await beacon(collector, page(), page(bot=True), page(userAgent=BOT), User_Agent=BROWSER)
    await beacon(collector, page(), User_Agent=BOT)
    await collector.get(f"/c.gif?k={collector.key}", **{"User-Agent": BOT})
    assert [row["bot"] for row in collector.rows()] == [None, 1, 1, 1, 1]


async def test_the_user_agent_of_a_servers_library_marks_nothing(collector):
    event = {"type": "track", "event": "E", "userId": "u"}
    await collector.post("/v1/track", event, User_Agent="python-requests/2.31")
    await collector.post("/v1/track", event | {"context": {"userAgent": BOT}})
    await collector.post("/v1/track", event, User_Agent=BOT, Origin="https://shop.example")
    assert [row["bot"] for row in collector.rows()] == [None, 1, 1]


@pytest.mark.parametrize("name", ["gpc", "dnt", "bot", "consent"])
@pytest.mark.parametrize("value", [None, 0, 2**63 - 1, 1.5, "", "x", [], [1], {}, {"a": {}}, False])
async def test_marks_of_any_shape_spoil_nothing(collector, name, value):
    await beacon(collector, page(**{name: value, "page": {"title": "T"}}), User_Agent=BROWSER)
    (row,) = collector.rows()
    assert (row["title"], row["bot"]) == ("T", None)


CHOICES = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"analytics": st.booleans(), "ads": st.booleans(), "at": st.integers(0, 2**53)}
    ),
)
SIGNALS = st.sampled_from(["respect", "off", "ignore"])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    history=st.lists(st.tuples(CHOICES, st.booleans(), st.booleans()), max_size=8),
    gpc=SIGNALS,
    dnt=SIGNALS,
    header_gpc=st.booleans(),
)
def test_of_any_history_of_consent_exactly_what_was_allowed_is_kept(history, gpc, dnt, header_gpc):
    """Each event carries the choice that stood when it happened; a batch holds a whole history."""
    batch = []
    for number, (choice, event_gpc, event_dnt) in enumerate(history):
        context = {"gpc": event_gpc, "dnt": event_dnt} | ({"consent": choice} if choice else {})
        batch.append({"type": "page", "messageId": str(number), "context": context})
    call = decode.batch(json.dumps({"batch": batch}).encode(), Limits())
    rules = Rules.of(Privacy(gpc=gpc, dnt=dnt))
    arrival = build.Arrival("s", 0, None, None, header_gpc, Limits(), lambda _: None, rules=rules)
    kept = build.events(call, arrival)

    expected = {}
    for number, (choice, event_gpc, event_dnt) in enumerate(history):
        signals = {"gpc": (event_gpc or header_gpc, gpc), "dnt": (event_dnt, dnt)}
        if any(on and setting == "off" for on, setting in signals.values()):
            continue
        if choice and not choice["analytics"]:
            continue
        marks = {
            name: True for name, (on, setting) in signals.items() if on and setting == "respect"
        }
        expected[str(number)] = (choice or {}) | marks or None
    assert {e.message_id: e.consent and json.loads(e.consent) for e in kept} == expected
    assert call.declined == len(history) - len(expected)
    assert call.refused == []
