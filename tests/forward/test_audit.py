"""Edge and centre compared; what the centre knows of its edges; the spool's bounds."""

from collections.abc import Awaitable, Callable

from pysqlite3 import dbapi2 as sqlite

from tests.conftest import Collector
from tests.forward.conftest import EDGE_KEY, UNANSWERED, Pair, until
from tests.forward.test_status import command, metrics

Fill = Callable[..., Awaitable[list[str]]]


def spoil(collector: Collector, sql: str) -> None:
    with sqlite.connect(collector.data / "collector.db") as connection:
        connection.execute(sql)
    connection.close()


async def delivered(pair: Pair, count: int) -> None:
    await pair.delivered(count)
    await until(lambda: pair.edge.app.forwarding.status()[0].lag_events == 0)


async def ask(pair: Pair) -> tuple[int, str]:
    config = pair.edge.data.with_name("edge.toml")
    config.write_text(
        f'[[forward]]\nname = "centre"\nurl = "{pair.centre.url}"\nkey = "{EDGE_KEY}"\n'
    )
    admin = pair.edge.admin_url.removeprefix("http://")
    return await command(
        pair.edge, "--config", str(config), "--admin", admin, group="audit", beside=False
    )


async def test_nothing_is_lost(pair: Pair, fill: Fill) -> None:
    await pair.start()
    await fill(pair.edge, 700)
    await delivered(pair, 700)
    assert await ask(pair) == (0, "centre: lost 0 of 700 events\n")


async def test_what_the_centre_lacks_is_named(pair: Pair, fill: Fill) -> None:
    await pair.start()
    await fill(pair.edge, 100)
    await delivered(pair, 100)
    spoil(pair.centre, "DELETE FROM events WHERE node_seq IN (7, 8, 9, 50)")
    code, said = await ask(pair)
    assert code == 1
    assert said.splitlines() == [
        "centre: lost 4 of 100 events",
        "  missing: 7 to 9",
        "  missing: 50",
    ]


async def test_erased_and_expired_are_not_lost(pair: Pair, fill: Fill) -> None:
    await pair.start()
    await fill(pair.edge, 100)
    await delivered(pair, 100)
    node = pair.edge.rows()[0]["node_id"]
    spoil(pair.centre, "DELETE FROM events WHERE node_seq = 30")
    spoil(pair.centre, f"INSERT INTO absent_numbers VALUES ('{node}', 30, 30, 'erased')")
    spoil(pair.edge, "DELETE FROM events WHERE seq <= 10")
    code, said = await ask(pair)
    assert code == 0
    assert said == (
        "centre: lost 0 of 90 events; 10 numbers have expired here and cannot be compared; "
        "1 absent at the centre: erased\n"
    )


async def test_the_audit_goes_on_in_the_background(pair: Pair, fill: Fill) -> None:
    await pair.start(audit_s=0.05)
    await fill(pair.edge, 50)
    await delivered(pair, 50)
    auditor = pair.edge.app.forwarding.auditors["centre"]
    await until(lambda: auditor.total.upto == 50)
    assert (auditor.total.events, auditor.total.lost) == (50, 0)
    assert 'collector_forward_lost_events{upstream="centre"} 0.0' in await metrics(pair.edge)
    await pair.edge.restart()
    assert pair.edge.app.forwarding.auditors["centre"].total.events == 50


async def test_the_centre_shows_its_edges_and_which_are_silent(pair: Pair) -> None:
    silent = {"name": "nyc-1", "key": "ek_of_the_tests_0003"}
    await pair.start_centre(edge=[{"name": "fra-1", "key": EDGE_KEY}, silent])
    await pair.start_edge(heartbeat_s=0.05)
    rows = pair.centre.app.forwarding.fleet.rows
    await until(lambda: "heard" in rows()["edge fra-1"])
    assert rows()["edge nyc-1"] == "has not been heard of"
    text = await metrics(pair.centre)
    assert 'collector_edge_silent{edge="fra-1"} 0.0' in text
    assert 'collector_edge_silent{edge="nyc-1"} 1.0' in text
    assert 'collector_edge_backlog_events{edge="fra-1"' in text


async def test_questions_without_an_edges_key_are_refused(pair: Pair) -> None:
    await pair.start()
    for path in ("/v1/edge/audit", "/v1/edge/heartbeat"):
        status, said = await pair.centre.post(path, {"node": "n", "range": [1, 2]})
        assert (status, said["code"]) == (401, "unauthorized")


async def test_a_full_spool_refuses_new_events_and_says_why(idle: Collector, fill: Fill) -> None:
    to = {"name": "centre", "url": UNANSWERED, "key": EDGE_KEY}
    await idle.start(**{"forward": [to], "spool.max_bytes": 1_000_000})
    await fill(idle, 500)
    await fill(idle, 2000, first=500)
    spool = idle.app.forwarding.spool
    assert spool is not None
    await until(lambda: spool.state.reached is not None)
    status, said = await idle.post("/v1/batch", {"batch": []})
    assert status == 503
    assert said["message"].startswith("the spool is full: spool.max_bytes (1,000,000)")


async def test_dropping_the_oldest_counts_them_as_lost(idle: Collector, fill: Fill) -> None:
    to = {"name": "centre", "url": UNANSWERED, "key": EDGE_KEY}
    bounds = {"spool.max_bytes": 1_500_000, "spool.policy": "drop_oldest", "profile": "edge"}
    await idle.start(**{"forward": [to], **bounds})
    await fill(idle, 5000)
    spool = idle.app.forwarding.spool
    assert spool is not None
    await until(lambda: spool.state.lost_events > 0 and spool.state.reached is None)
    left = idle.ids()
    assert left[-1] == "m-4999"
    assert len(left) + spool.state.lost_events == 5000
    absent = idle.rows("SELECT * FROM absent_numbers")
    assert {row["why"] for row in absent} == {"dropped"}


async def test_what_all_have_expires_and_the_disk_gets_it_back(pair: Pair, fill: Fill) -> None:
    await pair.start_centre()
    await pair.edge.start(profile="edge")
    await fill(pair.edge, 5000)
    await pair.edge.stop()
    before = (pair.edge.data / "collector.db").stat().st_size
    await pair.start_edge(
        **{"profile": "edge", "audit_s": 0.05, "spool.keep_s": 0.0, "batch_events": 2000}
    )
    await until(lambda: pair.edge.ids() == [], 100)
    assert len(pair.centre.ids()) == 5000
    free = "PRAGMA freelist_count"
    await until(lambda: pair.edge.rows(free)[0]["freelist_count"] < 10, 60)  # piece by piece
    await pair.edge.stop()
    assert (pair.edge.data / "collector.db").stat().st_size < before / 2
