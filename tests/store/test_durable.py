"""Syncs apart from commits: nobody is told before, and a sync that failed is not forgotten."""

import asyncio
import os

import pytest

from collector import compiled
from collector.errors import StoreUnavailable
from collector.store.inserts import Inserts

pytestmark = pytest.mark.skipif(not compiled.COMPILED, reason="was not compiled")


class Held:
    """Stands before what C says, so that syncs end when a test says so."""

    def __init__(self, made: compiled.Inserts) -> None:
        self._made = made
        self.on_disk = made.synced()[1]
        self.error = 0
        self.told = 0

    def synced(self) -> tuple[int, int, int]:
        return self._made.synced()[0], self.on_disk, self.error

    def recovered(self) -> None:
        self.told += 1
        self.error = 0
        self.on_disk = self._made.synced()[0]

    def __getattr__(self, name: str):
        return getattr(self._made, name)


@pytest.fixture
async def held(store) -> tuple[Inserts, Held]:
    await store.open()
    inserts = store.database.inserts
    inserts._made = Held(inserts._made)
    return inserts, inserts._made


async def test_events_are_in_the_log_and_durable_only_with_the_sync(store, event, held):
    inserts, disk = held
    first = await store.log.insert([event("a")], [])
    second = await store.log.insert([event("b")], [])
    assert first.durable is not None and second.durable is not None
    assert await store.ids() == ["a", "b"]

    disk.on_disk = 1
    inserts._tell_synced()
    assert (first.durable.done(), second.durable.done()) == (True, False)
    disk.on_disk = 2
    inserts._tell_synced()

    await store.log.on_disk(second.durable)


async def test_a_repeat_waits_for_the_sync_of_what_it_repeats(store, event, held):
    inserts, disk = held
    await store.log.insert([event("a")], [])

    again = await store.log.insert([event("a")], [])

    assert (again.stored, again.duplicates) == (0, 1)
    assert again.durable is not None
    assert not again.durable.done()
    disk.on_disk = 1
    inserts._tell_synced()
    await again.durable
    assert (await store.log.insert([event("a")], [])).durable is None


async def test_a_sync_that_fails_is_told_and_the_log_begins_anew_before_anything_else(
    store, event, held
):
    inserts, disk = held
    waiting = await store.log.insert([event("a")], [])
    disk.error = 5
    inserts._tell_synced()
    assert waiting.durable is not None
    with pytest.raises(StoreUnavailable, match=r"sync: Input/output error"):
        await store.log.on_disk(waiting.durable)
    wal = store.path.with_name("collector.db-wal")
    assert wal.stat().st_size > 0

    again = await store.log.insert([event("a")], [])

    assert disk.told == 1
    assert (again.stored, again.duplicates, again.durable) == (0, 1, None)
    assert wal.stat().st_size == 0
    assert await store.ids() == ["a"]


async def test_after_a_sync_that_failed_nothing_is_taken_while_the_log_cannot_begin_anew(
    store, event, held, monkeypatch
):
    _, disk = held
    disk.error = 5
    monkeypatch.setattr("collector.store.database.empty", lambda connection: False)
    with pytest.raises(StoreUnavailable, match="busy"):
        await store.log.insert([event("a")], [])
    with pytest.raises(StoreUnavailable, match="busy"):
        await store.log.insert([event("a")], [])
    monkeypatch.undo()

    await store.log.insert([event("a")], [])

    assert await store.ids() == ["a"]


async def test_append_returns_when_it_is_on_disk(store, event, held):
    inserts, disk = held
    task = asyncio.create_task(store.log.append([event("a")], []))
    while await store.ids() != ["a"]:
        await asyncio.sleep(0.01)
    assert not task.done()

    disk.on_disk = 1
    inserts._tell_synced()

    assert (await task).stored == 1


async def test_with_normal_durability_nothing_waits_for_the_disk(store, event, monkeypatch):
    from collector.store import database as db
    from collector.store.log import claim, open_log

    store.folder.mkdir()
    store._mark = claim(store.folder)
    store.database = await db.open_database(store.path, "normal", 1000)
    store.log = await open_log(store.database, store._mark, 100_000, 100)

    assert (await store.log.insert([event("a")], [])).durable is None
    assert os.pread(store._mark, 32, 0).strip() == b"00000000000000000001"
