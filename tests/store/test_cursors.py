"""Cursors move with the work they stand for, and readers see the log in order."""

import pytest

from collector.errors import CollectorError
from collector.store import cursors
from collector.store.reader import Reader, TookTooLong


async def test_reader_without_cursor_begins_at_the_start(store):
    await store.open()
    assert await store.database.run(cursors.position, "projector") == 0


async def test_cursor_survives_a_restart(store):
    await store.open()

    def work(connection):
        with cursors.transaction(connection):
            cursors.move(connection, "projector", 7)

    await store.database.run(work)
    await store.reopen()
    assert await store.database.run(cursors.position, "projector") == 7


async def test_cursor_stays_where_the_work_failed(store):
    await store.open()

    def work(connection):
        with cursors.transaction(connection):
            cursors.move(connection, "projector", 7)
            raise CollectorError("no")

    with pytest.raises(CollectorError):
        await store.database.run(work)
    assert await store.database.run(cursors.position, "projector") == 0


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("level", [2, 1, 0])
async def test_what_is_derived_does_not_wait_for_the_disk_and_all_else_does(store, level, fails):
    await store.open()

    def work(connection):
        connection.execute(f"PRAGMA synchronous = {level}")
        try:
            with cursors.derived(connection):
                within = connection.execute("PRAGMA synchronous").fetchone()[0]
                cursors.move(connection, "projector", 7)
                if fails:
                    raise CollectorError("no")
        except CollectorError:
            pass
        return within, connection.execute("PRAGMA synchronous").fetchone()[0]

    assert await store.database.run(work) == (min(level, 1), level)
    assert await store.database.run(cursors.position, "projector") == (0 if fails else 7)


async def test_events_come_in_order_and_no_further_than_asked(store, event):
    log = await store.open()
    sent = [event(f"m{i}", properties='{"a":1}') for i in range(5)]
    await log.append(sent, [])
    rows = await store.database.run(cursors.events_after, 1, 4, 2)
    assert [row.seq for row in rows] == [2, 3]
    assert rows[0].event.message_id == "m1"
    assert rows[0].event.properties == '{"a":1}'
    last = await store.database.run(cursors.events_after, 3, 4, 10)
    assert [row.seq for row in last] == [4]


async def test_reader_cannot_write(store):
    await store.open()
    reader = await Reader.open(store.path)
    with pytest.raises(CollectorError, match="read-only"):
        await reader.run(lambda c: c.execute("DELETE FROM events"))
    await reader.close()


async def test_reader_sees_what_is_committed(store, event):
    log = await store.open()
    reader = await Reader.open(store.path)
    await log.append([event("a")], [])
    assert len(await reader.run(cursors.events_after, 0, 9, 9)) == 1
    await reader.close()


async def test_long_query_is_broken_off(store):
    await store.open()
    reader = await Reader.open(store.path, limit_s=0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(TookTooLong, match=r"0\.05 s"):
        await reader.run(lambda c: c.execute(endless).fetchall())
    assert await reader.run(lambda c: c.execute("SELECT 1").fetchone()) == (1,)
    await reader.close()
