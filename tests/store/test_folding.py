"""The write-ahead log goes into the file beside the writing connection, and begins anew."""

import asyncio
import os
from contextlib import closing
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from collector import compiled
from collector.store import database as db
from collector.store import folding
from collector.store.log import claim, open_log

pytestmark = pytest.mark.skipif(not compiled.COMPILED, reason="was not compiled")
EVERY = 20  # pages


@pytest.fixture
async def small(store, monkeypatch):
    """A log that is folded back after a few batches."""
    store.folder.mkdir()
    store._mark = claim(store.folder)
    store.database = await db.open_database(store.path, "full", EVERY)
    store.log = await open_log(store.database, store._mark, 100_000, 100)
    return store


def wal(path: Path) -> int:
    """Pages in the write-ahead log's file."""
    return path.with_name(f"{path.name}-wal").stat().st_size // 8192


async def fill(store, event, batches: int) -> None:
    for _ in range(batches):
        first = store.log.last_seq
        await store.log.append(
            [event(f"m{first + n}", properties="x" * 400) for n in range(100)], []
        )


async def settled(store) -> None:
    task = store.database.inserts._folding._task
    if task:
        await task


def pages_in_file(path: Path) -> int:
    """As the file alone says, without the write-ahead log."""
    with path.open("rb") as file:
        file.seek(28)
        return int.from_bytes(file.read(4), "big")


async def test_it_is_folded_back_while_batches_are_stored(small, event):
    before = pages_in_file(small.path)

    await fill(small, event, 20)
    await settled(small)

    assert pages_in_file(small.path) > before
    assert small.database.inserts._folding._connection is not None


async def test_what_was_folded_back_is_synced_beside_the_commits(small, event, monkeypatch):
    synced: list[int] = []
    monkeypatch.setattr(folding.os, "fdatasync", lambda fd: synced.append(os.fstat(fd).st_ino))

    await fill(small, event, 20)
    await settled(small)

    assert set(synced) == {small.path.stat().st_ino}


async def test_where_that_fails_the_log_stays_and_commits_go_on(small, event, monkeypatch, caplog):
    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(folding.os, "fdatasync", fails)
    await fill(small, event, 30)
    await settled(small)

    assert "cannot be folded back: [Errno 5] Input/output error" in caplog.text
    assert len(await small.ids()) == 3000


async def test_a_log_that_is_always_written_to_begins_anew(small, event):
    await fill(small, event, 300)
    await settled(small)

    written = small.path.stat().st_size // 8192
    assert written > 2 * folding.HARD_LIMIT * EVERY
    assert wal(small.path) < (folding.HARD_LIMIT + 5) * EVERY
    assert len(await small.ids()) == small.log.last_seq == 30_000


async def test_where_no_other_connection_can_be_had_the_writing_one_does_it(
    small, event, monkeypatch, caplog
):
    def refused(*_: object, **__: object) -> None:
        raise sqlite.OperationalError("unable to open database file")

    monkeypatch.setattr(folding.sqlite, "connect", refused)
    await fill(small, event, 150)
    await settled(small)

    assert caplog.text.count("cannot be folded back: unable to open") == 1
    assert wal(small.path) < (folding.HARD_LIMIT + 5) * EVERY
    assert len(await small.ids()) == 15_000


async def test_a_reader_holds_it_up_and_is_not_harmed(small, event):
    await fill(small, event, 2)
    with closing(sqlite.connect(small.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (200,)
        await fill(small, event, 60)
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (200,)
        reader.execute("COMMIT")
    await fill(small, event, 90)
    await settled(small)

    assert len(await small.ids()) == 15_200
    assert await small.sql("PRAGMA integrity_check") == [("ok",)]


async def test_an_end_waits_for_it_and_leaves_one_file(small, event):
    await fill(small, event, 30)
    path = small.path

    await small.close()

    assert not path.with_name("collector.db-wal").exists()
    with closing(sqlite.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (3000,)


async def test_names_are_taken_out_of_the_log_beside_it(small, event):
    """An erasure empties the log; a connection that folds back just then makes it wait."""
    from collector.store import erase

    await fill(small, event, 10)
    other = await asyncio.to_thread(sqlite.connect, small.path, check_same_thread=False)

    with closing(other):
        folded = asyncio.create_task(
            asyncio.to_thread(folding._fold_back, other, small.database.file)
        )
        await small.database.run(erase.fold, False)
        await folded

    assert wal(small.path) == 0
