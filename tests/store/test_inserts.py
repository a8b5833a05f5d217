"""Batches of events alone, without Python on the writing thread: in turn with other work, and
failures told as they are."""

import asyncio
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from collector import compiled
from collector.errors import BadRow, CollectorError, StoreUnavailable
from collector.store import database as db
from collector.store import inserts

pytestmark = pytest.mark.skipif(not compiled.COMPILED, reason="was not compiled")


async def test_a_batch_of_events_alone_needs_no_python_on_the_writing_thread(
    store, event, reject, monkeypatch
):
    log = await store.open()
    ran: list[str] = []
    run = db.Database.run

    async def noted(self, work, *args, **kwargs):
        ran.append(work.__name__)
        return await run(self, work, *args, **kwargs)

    monkeypatch.setattr(db.Database, "run", noted)
    await log.append([event("a"), event("b", traits="{}")], [])
    await log.append([event("c", consent="all")], [])
    assert ran == []
    await log.append([event("d")], [reject("no")])

    assert ran == ["_append"]
    monkeypatch.undo()
    assert await store.ids() == ["a", "b", "c", "d"]


async def test_other_work_has_its_turn_and_sees_what_was_stored_before(store, event):
    log = await store.open()
    seen: list[int] = []

    async def look() -> None:
        while len(seen) < 50:
            ((count,),) = await store.sql("SELECT count(*) FROM events")
            seen.append(count)

    async def fill() -> None:
        number = 0
        while len(seen) < 50:
            number += 1
            await log.append([event(str(number))], [])
            ((count,),) = await store.sql("SELECT count(*) FROM events")
            assert count >= number

    await asyncio.gather(look(), fill())

    assert seen == sorted(seen)
    assert len(await store.ids()) == log.last_seq


async def test_a_thread_that_has_left_for_want_of_work_comes_again(store, event):
    log = await store.open()
    await log.append([event("a")], [])

    await asyncio.sleep(1.2)
    await log.append([event("b")], [])

    assert await store.ids() == ["a", "b"]


async def test_a_row_that_is_refused_is_told_and_the_next_batch_is_stored(store, event):
    log = await store.open()
    await store.sql(
        "CREATE TRIGGER no BEFORE INSERT ON events WHEN new.user_id = 'bad' "
        "BEGIN SELECT raise(ABORT, 'not this one'); END"
    )

    with pytest.raises(BadRow, match="not this one"):
        await log.append([event("a"), event("b", user_id="bad")], [])
    await log.append([event("a")], [])

    assert await store.ids() == ["a"]
    assert log.last_seq == 1


async def test_nothing_is_stored_within_a_transaction_that_was_left_open(store, event):
    log = await store.open()
    await store.sql("BEGIN")

    with pytest.raises(StoreUnavailable, match="left open"):
        await log.append([event("a")], [])

    await store.sql("ROLLBACK")
    await log.append([event("a")], [])
    assert await store.ids() == ["a"]


@pytest.mark.parametrize(
    "batch",
    [b"", b"\x17a", b"\x2b\x17a", b"\x1b\xfb", b"\xfb", b"\xcb\xff\x1b\x17", b"\x3b\x2b\x27a"],
    ids=["nothing", "no-array", "no-rows", "no-size", "head-alone", "cut-off", "text-cut-off"],
)
async def test_a_batch_that_is_none_is_told_and_nothing_of_it_stored(store, event, batch):
    log = await store.open()

    with pytest.raises(BadRow, match="mismatch"):
        await store.database.insert(store.database.inserts, 0, batch, 1, 1, b"n", store._mark)

    assert await store.ids() == []
    await log.append([event("a")], [])
    assert await store.ids() == ["a"]


async def test_texts_numbers_and_nothing_are_stored_as_they_were_sent(store, event):
    """Of every length that a head is written for, and with all that JSON escapes."""
    log = await store.open()
    texts = ["", "\0", 'a"\\/\b\f\n\r\t', "é€😀", "x" * 11, "x" * 12, "x" * 256, "x" * 70_000]
    sent = [
        event(f"{number}", title=text, sent_at=None, original_timestamp=at)
        for number, (text, at) in enumerate(
            zip(texts, [0, 1, -1, 2**62, -(2**62), None, 10**11, 10**12], strict=True)
        )
    ]
    await log.append(sent, [])

    rows = await store.sql("SELECT title, sent_at, original_timestamp FROM events ORDER BY seq")
    assert rows == [(one.title, None, one.original_timestamp) for one in sent]


async def test_without_a_file_of_the_write_ahead_log_batches_are_stored_the_slower_way(
    store, event, monkeypatch, caplog
):
    await store.open()

    def refused(path: str, *args: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inserts.os, "open", refused)
    before = len(list(Path("/proc/self/fd").iterdir()))
    made = await inserts.begin(store.database._connection, store.path, -1, ())

    assert made is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert "the slower way: [Errno 24] Too many open files" in caplog.text


async def test_a_column_added_meanwhile_does_no_harm(store, event):
    log = await store.open()
    await log.append([event("a")], [])
    await store.sql("ALTER TABLE events ADD COLUMN later TEXT")

    await log.append([event("b")], [])

    assert await store.ids() == ["a", "b"]


async def test_a_caller_that_is_gone_does_not_stop_the_work(store, event):
    log = await store.open()
    task = asyncio.create_task(log.append([event("a")], []))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(5):
        while await store.ids() != ["a"]:
            await asyncio.sleep(0.01)


async def test_where_sqlite_loads_no_extensions_batches_are_stored_all_the_same(
    store, event, monkeypatch, caplog
):
    class Without:
        def __init__(self, *args, **kwargs):
            raise RuntimeError("not loaded")

    monkeypatch.setattr(compiled, "Inserts", Without)
    log = await store.open()

    await log.append([event("a")], [])

    assert await store.ids() == ["a"]
    assert store.database.inserts is None
    assert "batches go to the store the slower way: not loaded" in caplog.text


async def test_a_second_batch_while_one_is_under_way_is_refused(store, event):
    log = await store.open()
    first = asyncio.create_task(log.append([event("a")], []))
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="under way"):
        await store.database.inserts(0, b"", 1, 1, b"", 0)

    await first
    assert await store.ids() == ["a"]


async def test_extensions_cannot_be_loaded_by_sql(store):
    await store.open()

    with pytest.raises(CollectorError, match="not authorized"):
        await store.sql(f"SELECT load_extension('{compiled.FILE}')")


def test_it_is_made_only_where_a_connection_has_loaded_it():
    with pytest.raises(RuntimeError, match="not loaded"):
        compiled.Inserts(("SELECT 1",), 1, 1, -1)
    connection = sqlite.connect(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(compiled.FILE)

    with pytest.raises(RuntimeError, match="no such table"):
        compiled.Inserts(("INSERT INTO none VALUES (?, ?, ?)",), 1, 1, -1)
    with pytest.raises(RuntimeError, match="not loaded"):
        compiled.Inserts(("SELECT 1",), 1, 1, -1)
    connection.close()
