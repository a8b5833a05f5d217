"""What an operator sees of upstreams, and going back."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable

import pytest
from pysqlite3 import dbapi2 as sqlite

from collector.workers.forward_metrics import COUNTERS, GAUGES
from tests.conftest import Collector
from tests.forward.conftest import UNANSWERED, Pair, until

Fill = Callable[..., Awaitable[list[str]]]


async def command(
    collector: Collector, *words: str, group: str = "forward", beside: bool = True
) -> tuple[int, str]:
    """What `collector forward …` says beside the running collector."""
    if beside:
        words += ("--admin", collector.admin_url.removeprefix("http://"))
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", group, *words, "--data", str(collector.data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    return run.returncode or 0, said.decode()


async def metrics(collector: Collector) -> str:
    headers = {"Authorization": f"Bearer {collector.app.token}"}
    async with collector.session.get(collector.admin_url + "/metrics", headers=headers) as answer:
        return await answer.text()


async def test_status_names_lag_last_error_and_next_try(idle: Collector, fill: Fill) -> None:
    to = {"name": "centre", "url": UNANSWERED, "key": "ek_of_nobody_00001", "linger_s": 0.0}
    await idle.start(forward=[to])
    await fill(idle, 5)
    await until(lambda: idle.app.forwarding.forwarders[0].last_error is not None)
    code, said = await command(idle, "status")
    assert code == 0
    assert "centre (http http://127.0.0.1:9): trying again, 5 events behind" in said
    assert "last error" in said
    assert "next try in" in said
    assert 'collector_forward_lag_events{upstream="centre"} 5.0' in await metrics(idle)


async def test_every_metric_of_an_upstream_is_there(pair: Pair, fill: Fill) -> None:
    await pair.start()
    await fill(pair.edge, 10)
    await pair.delivered(10)
    forwarder = pair.edge.app.forwarding.forwarders[0]
    await until(lambda: forwarder.status().lag_events == 0)
    text = await metrics(pair.edge)
    for name in COUNTERS:
        assert f'collector_{name}_total{{upstream="centre"}}' in text
    for name in GAUGES:
        assert f'collector_{name}{{upstream="centre"}}' in text
    assert 'collector_forwarded_events_total{upstream="centre"} 10.0' in text


@pytest.mark.parametrize("since", ["time", "seq"])
async def test_rewind_sends_again_and_the_centre_takes_what_it_lacks(
    pair: Pair, fill: Fill, since: str
) -> None:
    await pair.start()
    await fill(pair.edge, 10)
    await pair.delivered(10)
    await until(lambda: pair.edge.app.forwarding.status()[0].lag_events == 0)
    way = ["--to", "2026-01-01"] if since == "time" else ["--seq", "0"]
    code, said = await command(pair.edge, "rewind", "centre", *way)
    assert (code, said) == (0, "centre goes on after event 0\n")
    await until(lambda: pair.edge.app.forwarding.status()[0].forwarded_events == 20)
    assert len(pair.centre.ids()) == 10


async def test_an_unknown_upstream_is_named(pair: Pair) -> None:
    await pair.start()
    code, said = await command(pair.edge, "rewind", "mars", "--seq", "0")
    assert (code, said) == (2, "Error: there is no upstream mars; known: centre\n")


async def test_the_status_is_json_for_programs(pair: Pair) -> None:
    await pair.start()
    code, said = await command(pair.edge, "status", "--json")
    assert code == 0
    assert json.loads(said)[0]["state"] == "running"


async def test_an_upstream_that_was_removed_holds_retention_until_it_is_dropped(
    idle: Collector, fill: Fill, caplog: pytest.LogCaptureFixture
) -> None:
    to = {"name": "old-centre", "url": UNANSWERED, "key": "ek_of_nobody_00001"}
    await idle.start(forward=[to])
    await fill(idle, 5)
    code, said = await command(idle, "drop", "old-centre")
    assert (code, "take its [[forward]] out first" in said) == (2, True)
    await idle.stop()
    with contextlib.closing(sqlite.connect(idle.data / "collector.db")) as connection, connection:
        connection.execute("UPDATE events SET received_at = 1")
    await idle.start(**{"store.retention": "1 day", "store.retention_every_s": 0.05})
    assert "old-centre is not in the settings any more" in caplog.text
    code, said = await command(idle, "status")
    assert (code, said.startswith("old-centre is not in the settings any more")) == (0, True)
    others = "SELECT min(seq) AS n FROM cursors WHERE name NOT LIKE 'forward %' AND seq > 0"
    await until(lambda: idle.rows(others)[0]["n"] == 5)
    assert not await idle.app.persons.retention.step()
    assert len(idle.ids()) == 5
    code, said = await command(idle, "drop", "old-centre")
    assert (code, said) == (0, "nothing is kept for old-centre any more\n")
    await until(lambda: idle.ids() == [])
    code, said = await command(idle, "drop", "old-centre")
    assert (code, "nothing is kept for old-centre" in said) == (2, True)


async def test_without_the_token_nobody_sees_it(pair: Pair) -> None:
    await pair.start()
    async with pair.edge.session.get(pair.edge.admin_url + "/api/forward") as answer:
        assert answer.status == 401
