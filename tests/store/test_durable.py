"""Syncs apart from commits: nobody is told before, and a sync that failed is not forgotten."""

import asyncio
import os
import shutil
import threading

import pytest

from collector import compiled
from collector.errors import StoreUnavailable
from collector.store import failures
from collector.store.edges import open_edges
from collector.store.inserts import Inserts

pytestmark = pytest.mark.skipif(not compiled.COMPILED, reason="was not compiled")


class Held:
    """Stands before what C says, so that syncs end when a test says so."""

    def __init__(self, made: compiled.Inserts) -> None:
        self._made = made
        self.on_disk = made.synced()[1]
        self.error = 0
        self.told: list[int] = []  # on which threads

    def synced(self) -> tuple[int, int, int]:
        return self._made.synced()[0], self.on_disk, self.error

    def recovered(self) -> None:
        self.told.append(threading.get_ident())
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
    inserts.tell_synced()
    assert (first.durable.done(), second.durable.done()) == (True, False)
    disk.on_disk = 2
    inserts.tell_synced()

    await store.log.on_disk(second.durable)


async def test_a_repeat_waits_for_the_sync_of_what_it_repeats(store, event, held):
    inserts, disk = held
    await store.log.insert([event("a")], [])

    again = await store.log.insert([event("a")], [])

    assert (again.stored, again.duplicates) == (0, 1)
    assert again.durable is not None
    assert not again.durable.done()
    disk.on_disk = 1
    inserts.tell_synced()
    await again.durable
    assert (await store.log.insert([event("a")], [])).durable is None


async def test_a_sync_that_fails_is_told_and_the_log_begins_anew_before_anything_else(
    store, event, held
):
    inserts, disk = held
    waiting = await store.log.insert([event("a")], [])
    disk.error = 5
    inserts.tell_synced()
    assert waiting.durable is not None
    with pytest.raises(StoreUnavailable, match=r"sync: Input/output error"):
        await store.log.on_disk(waiting.durable)
    wal = store.path.with_name("collector.db-wal")
    assert wal.stat().st_size > 0

    again = await store.log.insert([event("a")], [])

    assert len(disk.told) == 1
    assert (again.stored, again.duplicates, again.durable) == (0, 1, None)
    assert wal.stat().st_size == 0
    assert await store.ids() == ["a"]


async def test_after_a_sync_that_failed_nothing_is_taken_while_the_log_cannot_begin_anew(
    store, event, held, monkeypatch
):
    _, disk = held
    disk.error = 5
    monkeypatch.setattr("collector.store.folding.empty", lambda connection: False)
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
    inserts.tell_synced()

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


async def test_two_who_find_that_a_sync_has_failed_have_the_log_begin_anew_once(store, event, held):
    """And on the writing thread: what is inserted next has a sync of its own to wait for."""
    _, disk = held
    await store.log.insert([event("a")], [])
    disk.error = 5

    await asyncio.gather(store.sql("SELECT 1"), store.log.insert([event("b")], []))

    assert len(disk.told) == 1
    assert disk.told[0] != threading.get_ident()


async def test_the_log_that_begins_anew_is_cut_off_on_disk_as_well(store, event, held, monkeypatch):
    """One that came back after a power cut, with a hole, would be laid over what is newer."""
    _, disk = held
    wal = store.path.with_name("collector.db-wal")
    synced: list[tuple[int, int]] = []
    fsync = os.fsync

    def seen(fd: int) -> None:
        fsync(fd)
        synced.append((os.fstat(fd).st_ino, os.fstat(fd).st_size))

    await store.log.insert([event("a")], [])
    disk.error = 5
    monkeypatch.setattr(os, "fsync", seen)
    await store.sql("SELECT 1")

    assert synced == [(wal.stat().st_ino, 0)]


async def test_a_log_that_cannot_be_cut_off_on_disk_is_not_trusted(store, event, held, monkeypatch):
    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    _, disk = held
    disk.error = 5
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StoreUnavailable, match=r"disk I/O error \(sync: Input/output error\)"):
        await store.log.insert([event("a")], [])
    assert disk.told == []
    monkeypatch.undo()

    await store.log.insert([event("a")], [])

    assert await store.ids() == ["a"]


async def test_what_a_killed_process_left_is_on_disk_before_it_is_answered_for(
    store, event, tmp_path, held
):
    """It was in the system's memory alone, if the kill came before the sync."""
    await store.log.insert([event("a")], [])
    killed = type(store)(tmp_path / "killed")
    shutil.copytree(store.folder, killed.folder)

    await killed.open()

    assert killed.path.with_name("collector.db-wal").stat().st_size == 0
    assert (await killed.log.insert([event("a")], [])).duplicates == 1
    await killed.close()


async def test_after_a_sync_of_sqlites_own_has_failed_the_log_begins_anew(store, event, held):
    def fails(connection: object) -> None:
        raise failures.made(failures.IOERR_FSYNC, "disk I/O error")

    _, disk = held
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        await store.database.run(fails)

    await store.log.insert([event("a")], [])

    assert len(disk.told) == 1


async def test_where_syncs_of_the_connection_cannot_be_had_back_nothing_is_stored(store, event):
    """Other work commits on the same connection and relies on them."""
    await store.open()
    await store.log.append([event("a")], [])

    def refuse(action: int, name: str, value: str, *_: object) -> int:
        return int((name, value) == ("synchronous", "FULL"))

    connection = store.database._connection._conn
    connection.set_authorizer(refuse)
    await store.log.append([event("b")], [])
    store.database.inserts.leave()
    while not store.database.inserts.failed:
        await asyncio.sleep(0.01)
    with pytest.raises(StoreUnavailable, match="syncs cannot be had: not authorized"):
        await store.log.append([event("c")], [])
    connection.set_authorizer(None)

    await store.log.append([event("c")], [])

    assert await store.ids() == ["a", "b", "c"]


async def test_who_waits_at_the_end_is_told(store, event, held):
    _, disk = held
    waiting = (await store.log.insert([event("a")], [])).durable
    disk.on_disk = 1

    await store.close()

    assert waiting is not None and waiting.done()


async def test_what_an_edge_sends_again_after_a_sync_that_failed_is_known(store, event, held):
    """It is in the log, by its node's number: not taken, and not noted as absent."""
    inserts, disk = held
    edges = await open_edges(store.database, store.log, frozenset({"fra"}))
    batch = [event(f"e{n}", node_id="n", node_seq=n) for n in (1, 2)]
    await store.log.insert([event("own")], [])
    first = await edges.append("fra", batch, [], [])
    disk.error = 5
    inserts.tell_synced()
    assert first.durable is not None
    with pytest.raises(StoreUnavailable):
        await store.log.on_disk(first.durable)

    again = await edges.append("fra", batch, [], [])

    assert (again.stored, again.duplicates) == (0, 2)
    assert await store.sql("SELECT * FROM absent_numbers") == []
    assert await store.ids() == ["own", "e1", "e2"]
