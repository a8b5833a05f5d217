"""What the log still knows after a restart, and after a failure."""

import shutil
from itertools import pairwise

import pytest

from collector.errors import StoreUnavailable
from collector.store import log as log_module
from collector.store.window import Window


async def test_a_duplicate_is_known_after_a_restart(store, event):
    log = await store.open()
    await log.append([event("a")], [])

    log = await store.reopen()
    done = await log.append([event("a"), event("b")], [])

    assert (done.stored, done.duplicates) == (1, 1)
    assert await store.ids() == ["a", "b"]


async def test_outside_the_window_an_id_may_come_again(store, event):
    log = await store.open(dedupe_ids=1000)
    await log.append([event("old")], [])
    for start in range(0, 5000, 500):
        await log.append([event(f"n-{start + i}") for i in range(500)], [])

    log = await store.reopen(dedupe_ids=1000)
    done = await log.append([event("old"), event("n-4999"), event("n-4001")], [])

    assert (done.stored, done.duplicates) == (1, 2)


async def test_after_a_failed_commit_the_same_events_can_be_stored(store, event):
    log = await store.open()
    await log.append([event("before")], [])
    pages = (await store.sql("PRAGMA page_count"))[0][0]
    await store.sql(f"PRAGMA max_page_count = {pages}")
    large = [event(f"m-{n}", properties='{"a":"%s"}' % ("x" * 9000)) for n in range(5)]

    with pytest.raises(StoreUnavailable, match="disk or database full"):
        await log.append(large, [])
    assert await store.ids() == ["before"]
    assert log.last_seq == 1

    await store.sql("PRAGMA max_page_count = 100000")
    done = await log.append(large, [])
    assert (done.stored, done.duplicates) == (5, 0)
    assert await store.ids() == ["before", *(f"m-{n}" for n in range(5))]


async def test_ids_whose_hashes_are_all_the_same_are_told_apart(store, event, monkeypatch):
    monkeypatch.setattr(Window, "hash", lambda self, identity: 7)
    log = await store.open()

    first = await log.append([event("a"), event("b")], [])
    second = await log.append([event("b"), event("c"), event("c"), event("a", site="x")], [])
    log = await store.reopen()
    third = await log.append([event("a"), event("d")], [])

    assert [(d.stored, d.duplicates) for d in (first, second, third)] == [(2, 0), (2, 2), (1, 1)]
    assert await store.ids() == ["a", "b", "c", "a", "d"]


async def test_segments_hold_the_window_over_a_restart(store, event, monkeypatch):
    monkeypatch.setattr(log_module, "SEGMENT", 100)
    log = await store.open(dedupe_ids=1000)
    for start in range(0, 2000, 70):
        await log.append([event(f"m-{start + i}") for i in range(70)], [])
    last = log.last_seq

    segments = await store.sql("SELECT first_seq, length(hashes) FROM dedupe_segments ORDER BY 1")
    assert {length for _, length in segments} == {100 * 8 + 8}
    assert {b - a for (a, _), (b, _) in pairwise(segments)} == {100}
    assert last - 1300 < segments[0][0] < last - 1000
    assert last - 200 < segments[-1][0]

    log = await store.reopen(dedupe_ids=1000)
    done = await log.append([event(f"m-{n}") for n in range(last - 1000, last)], [])
    assert (done.stored, done.duplicates) == (0, 1000)
    await log.append([event(f"late-{n}") for n in range(150)], [])
    rows = await store.sql("SELECT first_seq FROM dedupe_segments ORDER BY 1")
    assert {b - a for (a,), (b,) in pairwise(rows)} == {100}


async def test_the_segments_are_what_is_read_back(store, event, monkeypatch):
    """Not the events: with those of a whole segment gone, its ids are still candidates, and the
    full id, which is gone, decides."""
    monkeypatch.setattr(log_module, "SEGMENT", 100)
    log = await store.open()
    await log.append([event(f"m-{n}") for n in range(250)], [])
    await store.sql("DELETE FROM events WHERE seq <= 100")

    log = await store.reopen()

    key = log._seen.hash(b"shop\0m-0")
    assert log._seen.candidates([key], log.last_seq) == [1]
    assert (await log.append([event("m-0"), event("m-150")], [])).duplicates == 1


async def damaged_hashes(store):
    await store.sql("UPDATE dedupe_segments SET hashes = zeroblob(length(hashes))")


async def damaged_seed(store):
    await store.sql("UPDATE meta SET value = '5584<3' WHERE name = 'dedupe_seed'")


async def moved_segment(store):
    await store.sql("UPDATE dedupe_segments SET first_seq = first_seq + 1")


@pytest.mark.parametrize("damage", [damaged_hashes, damaged_seed, moved_segment])
async def test_where_a_segment_is_not_what_was_stored_the_events_are_read(
    store, event, monkeypatch, damage
):
    monkeypatch.setattr(log_module, "SEGMENT", 100)
    log = await store.open()
    await log.append([event(f"m-{n}") for n in range(250)], [])
    await damage(store)

    log = await store.reopen()

    assert (await log.append([event("m-0"), event("m-150")], [])).duplicates == 2


async def test_a_number_is_never_used_again(store, event):
    log = await store.open()
    await log.append([event("a"), event("b")], [])
    await store.sql("DELETE FROM events")

    log = await store.reopen()
    await log.append([event("c")], [])

    assert await store.sql("SELECT seq, node_seq FROM events") == [(3, 3)]


async def test_a_count_that_is_behind_the_events_does_not_stop_the_next_one(store, event):
    await (await store.open()).append([event("a"), event("b"), event("c")], [])
    await store.sql("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'events'")

    log = await store.reopen()
    done = await log.append([event("b"), event("d")], [])

    assert (done.stored, done.duplicates) == (1, 1)
    assert await store.sql("SELECT max(seq) FROM events") == [(4,)]


async def test_an_older_copy_of_the_file_is_noticed(store, event, caplog):
    await (await store.open()).append([event("a")], [])
    await store.close()
    copy = store.folder / "copy"
    shutil.copy(store.path, copy)
    await (await store.open()).append([event("b"), event("c")], [])
    await store.close()
    shutil.copy(copy, store.path)

    log = await store.open()

    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert said.startswith("the newest 2 events (seq 2 to 3) are missing")
    await log.append([event("d")], [])
    assert await store.sql("SELECT seq, message_id FROM events") == [(1, "a"), (4, "d")]
    caplog.clear()
    await store.reopen()
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []
