"""Who is forgotten leaves no byte in any file, and does not come back."""

import asyncio
import json
import shutil

import pytest

ADA = "ada.lovelace@example.com"
VISITOR = "visitor-of-ada-1815"
USER = "user-ada-1815"
NAMES = (ADA, VISITOR, USER)


def event(number, kind="track", **fields):
    made = {"type": kind, "messageId": f"m{number}", "timestamp": f"2026-01-01T00:00:{number:02}Z"}
    return made | ({"event": "Tried"} if kind == "track" else {}) | fields


def story():
    """Ada as a visitor, a lead, a user and a buyer; and Bob, who once mentions her."""
    me = {"anonymousId": VISITOR}
    return [
        event(1, "page", **me, properties={"path": "/pricing", "url": f"https://x/?m={ADA}"}),
        event(2, **me, event="Lead Captured", properties={"email": ADA.title()}),
        event(3, "identify", **me, userId=USER, traits={"email": ADA, "name": "Ada"}),
        event(4, **me, userId=USER, event="Purchase", properties={"total": 5, "order_id": "o1"}),
        event(5, userId="bob-the-builder", anonymousId="visitor-of-bob"),
        event(6, userId="bob-the-builder", event="Invited", properties={"whom": ADA, "n": 1}),
        event(7, userId="bob-the-builder", event="Purchase", properties={"order_id": "o1"}),
    ]


async def caught_up(collector):
    async with asyncio.timeout(30):
        while collector.app.persons.lag:
            await asyncio.sleep(0.01)


@pytest.fixture
async def told(idle):
    collector = await idle.start(people={"pace_ms": 0})
    answer = await collector.post("/v1/batch", {"batch": story()})
    assert answer == (200, {"success": True})
    await collector.post("/v1/batch", {"batch": [event(8, "track", event=5, userId=USER)]})
    assert len(collector.rejected()) == 1
    await caught_up(collector)
    return collector


def traces(folder):
    """Names that stand in a file of the folder."""
    return {
        (path.name, name)
        for path in folder.iterdir()
        for name in NAMES
        if name.encode() in path.read_bytes().lower()
    }


async def forget(collector, **whom):
    return await collector.app.persons.forget(
        whom.get("user"), whom.get("anonymous"), whom.get("email"), None
    )


@pytest.mark.parametrize("whom", [{"user": USER}, {"anonymous": VISITOR}, {"email": ADA}])
async def test_nothing_is_left_in_any_file_whichever_name_is_given(told, whom):
    assert {name for _, name in traces(told.data)} == set(NAMES)
    report = await forget(told, **whom)
    assert report.found_in == []
    assert traces(told.data) == set()
    assert told.ids() == ["m5", "m6", "m7"]
    assert told.rejected() == []
    assert told.rows("SELECT count(*) AS n FROM leads") == [{"n": 0}]
    await told.stop()
    assert traces(told.data) == set()


async def test_others_keep_what_is_theirs_without_the_name(told):
    await forget(told, user=USER)
    (invited,) = told.rows("SELECT * FROM events WHERE message_id = 'm6'")
    assert json.loads(invited["properties"]) == {"whom": "erased", "n": 1}
    (bob,) = told.rows("SELECT * FROM people")
    assert bob["user_id"] == "bob-the-builder"
    assert told.rows("SELECT message_id, counted FROM purchases") == [
        {"message_id": "m7", "counted": 1}
    ]


async def test_a_late_queue_and_an_import_do_not_bring_the_person_back(told):
    export = [
        {"type": "track", "event": "Late", "messageId": "n1", "anonymousId": VISITOR},
        {"type": "identify", "messageId": "n2", "traits": {"email": ADA.upper()}},
        {"type": "alias", "messageId": "n3", "userId": "other-user", "previousId": USER},
        {"type": "track", "event": "Mail", "messageId": "n4", "properties": {"to": [ADA]}},
    ]
    await forget(told, email=ADA)
    for path in ("/v1/batch", "/v1/import"):
        answer = await told.post(path, {"batch": story() + export})
        assert answer == (200, {"success": True})
    await caught_up(told)
    assert [i for i in told.ids() if i not in ("m5", "m6", "m7")] == []
    assert traces(told.data) == set()


async def test_a_restart_remembers_who_was_forgotten(told):
    await forget(told, email=ADA)
    await told.restart()
    await told.post("/v1/batch", {"batch": story()})
    await caught_up(told)
    assert traces(told.data) == set()


async def test_a_restored_backup_does_not_bring_the_person_back(told, tmp_path, caplog):
    await told.stop()
    backup = tmp_path / "backup.db"
    shutil.copy(told.data / "collector.db", backup)
    await told.start(**told.settings)
    await forget(told, user=USER)
    await told.stop()
    shutil.copy(backup, told.data / "collector.db")
    await told.start(**told.settings)
    async with asyncio.timeout(30):
        while traces(told.data):
            await asyncio.sleep(0.05)
    assert told.ids() == ["m5", "m6", "m7"]


async def test_shared_device_keeps_the_other_ones_history(idle):
    collector = await idle.start(people={"pace_ms": 0})
    shared = {"anonymousId": "device-in-the-kitchen"}
    story = [
        event(1, "identify", **shared, userId=USER),
        event(2, **shared),
        event(3, "identify", **shared, userId="bob-the-builder"),
        event(4, **shared),
    ]
    await collector.post("/v1/batch", {"batch": story})
    await caught_up(collector)
    await forget(collector, user=USER)
    people = collector.rows("SELECT message_id, user_id FROM person_events AS e ORDER BY seq")
    assert [row["message_id"] for row in people] == ["m3", "m4"]
    (bob,) = collector.rows("SELECT * FROM people")
    ids = {row["person_id"] for row in collector.rows("SELECT person_id FROM person_events")}
    assert (bob["user_id"], ids) == ("bob-the-builder", {bob["id"]})


async def test_after_forgetting_a_rebuild_changes_nothing(told):
    await forget(told, user=USER)
    tables = ("people", "person_keys", "purchases", "leads", "event_keys")
    before = [told.rows(f"SELECT * FROM {table}") for table in tables]
    await told.app.persons.rebuild()
    await caught_up(told)
    assert [told.rows(f"SELECT * FROM {table}") for table in tables] == before


async def test_access_hands_out_all_that_is_stored_of_a_person(told):
    eraser = told.app.persons.eraser
    target = await eraser.find("email", ADA, ["shop"])
    rows = [pair async for pair in eraser.access(target)]
    tables = {table for table, _ in rows}
    assert {"people", "person_keys", "purchases", "leads", "events", "rejected"} <= tables
    events = [row["message_id"] for table, row in rows if table == "events"]
    assert events == ["m1", "m2", "m3", "m4"]
    assert not any("bob" in repr(row) for _, row in rows)
