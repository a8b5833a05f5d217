"""Old events leave the log; what they stood for stays, and can be made anew."""

import asyncio
import time

from collector import clock
from collector.config import Config, Store
from collector.store import audiences, retention
from collector.store.database import open_database
from collector.workers.retention import SNAPSHOT

DAY_MS = 86_400_000
# One counts changes of people, not events.
CURSORS = "SELECT seq FROM cursors WHERE name <> 'audiences: people'"
TABLES = ("people", "person_keys", "person_ties", "purchases", "purchase_items", "leads")


def happened(number, days_ago, **fields):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days_ago * 86_400 + number))
    made = {"type": "track", "event": "Tried", "messageId": f"m{number}", "timestamp": at}
    return made | {"anonymousId": "visitor-1"} | fields


def story(days_ago):
    return [
        happened(1, days_ago, event="Lead", properties={"email": "ada@example.com"}),
        happened(2, days_ago, type="identify", userId="ada", traits={"plan": "pro"}),
        happened(3, days_ago, event="Purchase", userId="ada", properties={"total": 5}),
    ]


async def caught_up(collector):
    """All readers of the log are done with it: what one has not read yet would stay."""
    newest = collector.app.writer.committed.seq
    async with asyncio.timeout(60):
        while collector.app.persons.lag or any(
            cursor["seq"] < newest for cursor in collector.rows(CURSORS)
        ):
            await asyncio.sleep(0.02)


async def aged(collector, days):
    """As if all that is in the log had arrived that many days ago."""
    await collector.app._database.run(
        lambda c: c.execute("UPDATE events SET received_at = received_at - ?", (days * DAY_MS,))
    )


async def told(idle, **settings):
    """Old events, expired, and new ones."""
    collector = await idle.start(
        people={"pace_ms": 0, "visits_s": 0.05},
        store={"retention": "30 days", "retention_every_s": 3600},
        **settings,
    )
    await collector.post("/v1/batch", {"batch": story(60)})
    await caught_up(collector)
    await aged(collector, 60)
    new = [happened(9, 0, event="Purchase", userId="ada", properties={"total": 7})]
    await collector.post("/v1/batch", {"batch": new})
    await caught_up(collector)
    return collector


async def indexed_again(collector):
    """After a rebuild the audiences begin at the log's start."""
    async with asyncio.timeout(60):
        while not collector.rows("SELECT seq FROM cursors WHERE name = 'audiences' AND seq > 0"):
            await asyncio.sleep(0.02)
    await caught_up(collector)


def projected(collector):
    return [collector.rows(f"SELECT * FROM {table}") for table in TABLES]


async def expire(collector):
    while await collector.app.persons.retention.step():
        pass


async def test_a_clock_set_ahead_by_mistake_takes_no_events(idle, monkeypatch):
    collector = await told(idle)
    await expire(collector)
    kept = collector.rows("SELECT seq FROM events")
    real = clock.now_ms
    with monkeypatch.context() as ten_years_ahead:
        ten_years_ahead.setattr(clock, "now_ms", lambda: real() + 3650 * DAY_MS)
        await collector.post("/v1/batch", {"batch": [happened(10, 0)]})
        await caught_up(collector)
        await expire(collector)
    assert collector.rows("SELECT seq FROM events") == [*kept, {"seq": kept[-1]["seq"] + 1}]


async def test_while_the_clock_is_set_back_nothing_goes(idle, monkeypatch):
    collector = await told(idle)
    monkeypatch.setattr(clock, "now_ms", lambda: 1)
    assert not await collector.app.persons.retention.step()
    monkeypatch.undo()
    assert await collector.app.persons.retention.step()


async def test_an_event_of_a_wrong_clock_goes_with_its_neighbours(idle):
    collector = await told(idle)
    ahead = "UPDATE events SET received_at = received_at + ? WHERE seq = 1"
    await collector.app._database.run(lambda c: c.execute(ahead, (3650 * DAY_MS,)))
    await expire(collector)
    assert [row["message_id"] for row in collector.rows("SELECT message_id FROM events")] == ["m9"]


async def test_a_leap_of_the_clock_is_followed_slowly(tmp_path):
    database = await open_database(tmp_path / "collector.db", "full", 1000)
    try:
        times = [
            await database.run(retention.believed, now, 60)
            for now in (1000, 1050, 9000, 9000, 500, 9000, 1250)
        ]
    finally:
        await database.close()
    assert [now for now, _ in times] == [1000, 1050, 1110, 1170, 500, 1230, 1250]
    assert [latest for _, latest in times] == [1000, 1050, 1110, 1170, 1170, 1230, 1250]


async def test_old_events_go_and_people_stay(idle):
    collector = await told(idle)
    before = projected(collector)
    await expire(collector)
    assert collector.ids() == ["m9"]
    assert projected(collector) == before


async def test_what_is_too_much_goes_oldest_first_and_people_stay(idle):
    collector = await idle.start(
        people={"pace_ms": 0, "visits_s": 0.05},
        store={"retention": "forever", "retention_bytes": 2_500_000, "retention_every_s": 3600},
    )
    await collector.post("/v1/batch", {"batch": story(0)})
    for first in range(10, 1510, 100):
        filler = [happened(n, 0, properties={"a": "x" * 2000}) for n in range(first, first + 100)]
        assert (await collector.post("/v1/batch", {"batch": filler}))[0] == 200
    await caught_up(collector)
    before = projected(collector)
    await expire(collector)
    held = collector.rows("SELECT message_id FROM events ORDER BY seq")
    assert held[-1] == {"message_id": "m1509"}
    assert 100 < len(held) <= 1003
    assert held == [{"message_id": f"m{1510 - len(held) + n}"} for n in range(len(held))]
    assert projected(collector) == before
    (pages,) = collector.rows("PRAGMA page_count")
    assert pages["page_count"] * 8192 <= 2_500_000  # given back, not only free


async def test_a_rebuild_starts_from_the_snapshot(idle):
    collector = await told(idle)
    before = projected(collector)
    await expire(collector)
    await collector.app.persons.rebuild()
    await caught_up(collector)
    assert projected(collector) == before


async def test_audiences_keep_nothing_of_what_has_left_the_log_also_after_a_rebuild(idle):
    audience = {"name": "a", "rule": {"event": "Purchase"}, "record": False}
    collector = await told(idle, audience=[audience])
    await expire(collector)
    await collector.app.persons.rebuild()
    await indexed_again(collector)
    index = "SELECT seq FROM event_index"
    assert collector.rows(index) == collector.rows("SELECT seq FROM events") != []
    await aged(collector, 60)
    await expire(collector)
    assert collector.rows(index) == collector.rows("SELECT seq FROM events") == []


async def test_while_the_index_is_made_anew_retention_waits_for_it(idle):
    audience = {"name": "a", "rule": {"event": "Purchase"}, "record": False}
    collector = await told(idle, audience=[audience])
    async with collector.app.membership.paused():
        await collector.app._database.run(audiences.reset)
        await collector.app._database.run(audiences.define, [], 0)
        await expire(collector)
        assert collector.ids() == ["m1", "m2", "m3", "m9"]


async def test_the_snapshot_goes_on_where_it_stands_after_a_restart(idle):
    collector = await told(idle)
    await expire(collector)
    await aged(collector, 60)
    await collector.restart()
    await caught_up(collector)
    await expire(collector)
    before = projected(collector)
    assert collector.ids() == []
    await collector.app.persons.rebuild()
    await caught_up(collector)
    assert projected(collector) == before


async def test_who_is_forgotten_is_in_no_snapshot(idle):
    collector = await told(idle)
    await expire(collector)
    assert (
        b"ada@example.com"
        in (collector.data / SNAPSHOT).read_bytes()
        + (collector.data / f"{SNAPSHOT}-wal").read_bytes()
    )
    report = await collector.app.persons.forget(None, None, "ada@example.com", None)
    assert report.found_in == []
    await collector.app.persons.rebuild()
    await caught_up(collector)
    assert projected(collector) == [[]] * len(TABLES)


async def test_what_somebody_has_not_read_yet_stays(idle):
    collector = await told(idle)
    await collector.app._database.run(
        lambda c: c.execute("INSERT INTO cursors VALUES ('another', 1)")
    )
    await expire(collector)
    assert collector.ids() == ["m2", "m3", "m9"]


async def test_the_file_gets_shorter(idle):
    collector = await told(idle)
    big = [happened(100 + i, 0, properties={"text": "x" * 9000}) for i in range(40)]
    await collector.post("/v1/batch", {"batch": big})
    await caught_up(collector)
    await aged(collector, 60)
    (before,) = collector.rows("PRAGMA page_count")
    await expire(collector)
    (after,) = collector.rows("PRAGMA page_count")
    assert after["page_count"] < before["page_count"] - 30


def test_retention_is_written_in_words():
    assert Config().store.keep_ms == int(25 * 30.4375 * DAY_MS)
    assert Store(retention="forever").keep_ms is None
    assert Store(retention="90 days").keep_ms == 90 * DAY_MS
