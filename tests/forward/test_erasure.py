"""Who is forgotten at an edge is forgotten by the centre: after what was on its way, once, also
when one of both was down, and only where the edge has a say."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Collector, basic
from tests.forward.conftest import EDGE_KEY, UNANSWERED, Pair, until
from tests.forward.test_status import command

ADA = "ada.lovelace@example.com"
VISITOR, USER = "visitor-of-ada-1815", "user-ada-1815"
NAMES = (ADA, VISITOR, USER)


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Tried", "messageId": f"m{number}"} | fields


STORY = [
    event(1, anonymousId=VISITOR),
    event(2, type="identify", anonymousId=VISITOR, userId=USER, traits={"email": ADA}),
    event(3, userId=USER),
    event(4, userId="bob-the-builder", properties={"whom": ADA.title()}),
]


def traces(folder: Path) -> set[tuple[str, str]]:
    """Names that stand in a file of the folder."""
    return {
        (path.name, name)
        for path in folder.iterdir()
        for name in NAMES
        if name.encode() in path.read_bytes().lower()
    }


async def tell(collector: Collector) -> None:
    assert await collector.post("/v1/batch", {"batch": STORY}) == (200, {"success": True})


async def forget(collector: Collector, **whom: str) -> Any:
    persons = collector.app.persons
    return await persons.forget(whom.get("user"), whom.get("anonymous"), whom.get("email"), None)


def left(pair: Pair) -> int:
    return pair.edge.app.forwarding.status()[0].erasures


async def forgotten(pair: Pair) -> None:
    await until(lambda: left(pair) == 0)
    await until(lambda: not pair.centre.app.persons.erasures.of(None))


@pytest.mark.parametrize("profile", ["edge", "full"])
async def test_nothing_is_left_of_the_person_at_edge_and_centre(pair: Pair, profile: str) -> None:
    await pair.start_centre(**{"people.pace_ms": 0})
    await pair.start_edge(profile=profile)
    await tell(pair.edge)
    await pair.delivered(4)
    report = await forget(pair.edge, user=USER)
    assert report.found_in == []
    await forgotten(pair)
    assert pair.centre.ids() == ["m4"]
    assert traces(pair.centre.data) == set()
    assert {name for _, name in traces(pair.edge.data)} <= {ADA}, "in what others said of her"
    await pair.edge.post("/v1/batch", {"batch": [event(9, anonymousId=VISITOR), event(10)]})
    await pair.delivered(2)
    await until(lambda: "m10" in pair.centre.ids())
    assert traces(pair.centre.data) == set(), "what comes later comes without the person"


@pytest.mark.parametrize("restart", [True, False])
async def test_it_is_said_after_what_is_still_on_its_way(pair: Pair, restart: bool) -> None:
    await pair.start_centre(**{"people.pace_ms": 0})
    url = pair.centre.url
    await pair.centre.stop()
    await pair.edge.start(
        profile="edge",
        forward=[{"name": "centre", "url": url, "key": EDGE_KEY, "linger_s": 0.0, "retry_s": 0.2}],
    )
    await tell(pair.edge)
    forwarder = pair.edge.app.forwarding.forwarders[0]
    await until(lambda: forwarder.counts.retries > 0)  # the person's events are in memory now
    await forget(pair.edge, user=USER)
    assert left(pair) == 1
    code, said = await command(pair.edge, "status")
    assert (code, "1 erasures to be passed on" in said) == (0, True)
    if restart:
        await pair.edge.restart()
    assert left(pair) == 1
    there = {"http.listen": url.removeprefix("http://")}
    await pair.centre.start(**pair.centre.settings | there)
    await forgotten(pair)
    assert USER not in {row["user_id"] for row in pair.centre.rows()}
    delivered = pair.centre.app.metrics.stored_events
    assert (delivered == 4) == (not restart), "what was in memory came first, and went"
    assert {name for _, name in traces(pair.centre.data)} <= {ADA}, "in what others said of her"


async def test_an_edge_without_people_leaves_a_shared_visitor_to_the_other_user(
    idle: Collector,
) -> None:
    await idle.start(profile="edge")
    calls = [
        ("user-ada-1815", "alone-1"),
        ("user-ada-1815", "shared-1"),
        ("user-bob-1", "shared-1"),
    ]
    batch = [
        event(n, type="identify", userId=user, anonymousId=visitor)
        for n, (user, visitor) in enumerate(calls)
    ]
    batch += [event(8, anonymousId="alone-1"), event(9, anonymousId="shared-1")]
    await idle.post("/v1/batch", {"batch": batch})
    await forget(idle, user=USER)
    assert idle.ids() == ["m2", "m9"]


async def test_a_kill_between_the_words_changes_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.start(**{"people.pace_ms": 0})
    await tell(pair.edge)
    await pair.delivered(4)
    persons = pair.edge.app.persons

    async def killed(target: Any) -> Any:
        raise RuntimeError("killed here")

    monkeypatch.setattr(persons.eraser, "forget", killed)
    with pytest.raises(RuntimeError):
        await forget(pair.edge, user=USER)
    monkeypatch.undo()
    await pair.edge.restart()
    await forgotten(pair)
    await until(lambda: pair.edge.ids() == ["m4"])
    assert pair.centre.ids() == ["m4"]


async def test_the_centre_erases_though_it_is_stopped_in_between(pair: Pair) -> None:
    await pair.start(**{"people.pace_ms": 0})
    await tell(pair.edge)
    await pair.delivered(4)
    persons = pair.centre.app.persons
    async with persons._one_erasure:
        await forget(pair.edge, user=USER)
        await until(lambda: left(pair) == 0)
        assert len(persons.erasures.of(None)) == 1, "said to be noted, so it is on disk"
        restarted = asyncio.create_task(pair.centre.restart())
        await asyncio.sleep(0)
    await restarted
    await until(lambda: pair.centre.ids() == ["m4"])
    await until(lambda: traces(pair.centre.data) == set())


async def test_twice_is_as_good_as_once(pair: Pair) -> None:
    await pair.start(**{"people.pace_ms": 0})
    await tell(pair.edge)
    await pair.delivered(4)
    upstream = pair.edge.app.forwarding.forwarders[0].upstream
    for _ in range(2):
        await upstream.forget("same", [("shop", "user", USER)])
    await until(lambda: not pair.centre.app.persons.erasures.of(None))
    await upstream.forget("same", [("shop", "user", USER)])
    await until(lambda: not pair.centre.app.persons.erasures.of(None))
    assert pair.centre.ids() == ["m4"]


async def ask(pair: Pair, body: Any, key: str = EDGE_KEY) -> tuple[int, Any]:
    headers = {"Authorization": basic(key)}
    return await pair.centre.post("/v1/edge/erase", body, auth=False, **headers)


async def test_only_an_edge_is_obeyed_and_only_on_its_sites(pair: Pair) -> None:
    sites = [{"name": name, "key": f"wk_of_the_site_{name}"} for name in ("shop", "blog")]
    edge = {"name": "fra-1", "key": EDGE_KEY, "sites": ["shop"]}
    await pair.centre.start(site=sites, edge=[edge], **{"people.pace_ms": 0})
    pair.centre.key = sites[1]["key"]
    await tell(pair.centre)
    names = [["shop", "user", USER], ["blog", "user", USER], ["shop", "email", "https:"]]
    status, said = await ask(pair, {"id": "1", "names": names}, "ek_of_nobody_at_all")
    assert (status, said["code"]) == (401, "unauthorized")
    assert await ask(pair, {"id": "1", "names": names}) == (200, {"names": 2, "refused": ["blog"]})
    await until(lambda: not pair.centre.app.persons.erasures.of(None))
    assert pair.centre.ids() == ["m1", "m2", "m3", "m4"]
    assert {name for _, name in traces(pair.centre.data)} == set(NAMES)


@pytest.mark.parametrize(
    "body",
    [
        {"id": "../x", "names": []},
        {"id": "1", "names": [["shop", "planet", "mars"]]},
        {"id": "1", "names": [["shop", "user", ""]]},
        {"id": "1", "names": [["shop", "user", "u"]] * 501},
        [],
    ],
)
async def test_nonsense_is_refused(pair: Pair, body: Any) -> None:
    await pair.start_centre()
    status, said = await ask(pair, body)
    assert (status, said["code"]) == (400, "bad_request")


async def test_events_of_a_site_that_the_edge_has_no_say_in_are_refused(pair: Pair) -> None:
    edge = {"name": "fra-1", "key": EDGE_KEY, "sites": ["blog"]}
    await pair.start_centre(edge=[edge])
    await pair.start_edge()
    await tell(pair.edge)
    await until(lambda: len(pair.edge.rejected()) == 4)
    assert "edge fra-1 has no say in site" in pair.edge.rejected()[0]["message"]
    assert pair.centre.ids() == []


async def test_the_operator_is_told_who_cannot_be_told(idle: Collector, tmp_path: Path) -> None:
    to = [
        {"name": "centre", "url": UNANSWERED, "key": EDGE_KEY},
        {"name": "lines", "kind": "file", "file": str(tmp_path / "lines")},
    ]
    await idle.start(forward=to)
    await tell(idle)
    given = {"COLLECTOR__ADMIN__LISTEN": idle.admin_url.removeprefix("http://")}
    for number, settings in enumerate(to):
        for name, value in settings.items():
            given[f"COLLECTOR__FORWARD__{number}__{name.upper()}"] = value
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", "forget", "--user", USER, "--data", str(idle.data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | given,
    )
    said, _ = await run.communicate()
    assert "centre is told" in said.decode()
    assert "was forwarded to lines (file): to be erased there" in said.decode()
    assert "none found" in said.decode()
