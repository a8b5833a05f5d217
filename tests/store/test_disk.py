"""The disk's sync is measured, and the page cache keeps the newest part of the file."""

import mmap
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from collector.store.disk import PageCache, measure_sync


def database(path: Path) -> sqlite.Connection:
    connection = sqlite.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE t (x BLOB)")
    return connection


def grow(connection: sqlite.Connection, count: int) -> None:
    connection.executemany("INSERT INTO t VALUES (zeroblob(1000000))", [()] * count)


def test_a_sync_is_measured_and_leaves_nothing_behind(tmp_path):
    assert 0 < measure_sync(tmp_path, rounds=2) < 10
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[tuple[sqlite.Connection, int]]:
    """A database, and a descriptor of its file."""
    path = tmp_path / "a.db"
    with closing(database(path)) as connection:
        file = os.open(path, os.O_RDONLY)
        yield connection, file
    os.close(file)


def test_what_was_written_long_ago_is_given_up_once(growing, monkeypatch):
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda fd, start, length, advice: given.append((start, length))
    )
    connection, file = growing
    grow(connection, 1)
    began = os.fstat(file).st_size
    cache = PageCache(file, 2_000_000)
    cache.give_up()
    grow(connection, 4)
    cache.give_up()
    cache.give_up()
    end = os.fstat(file).st_size - 2_000_000
    assert given == [(began, end - began)]

    grow(connection, 1)
    cache.give_up()

    assert given[1][0] == end


def test_with_a_size_of_nothing_the_system_decides(growing, monkeypatch):
    monkeypatch.setattr(os, "posix_fadvise", lambda *_: 1 / 0)
    connection, file = growing
    cache = PageCache(file, 0)

    grow(connection, 3)
    cache.give_up()


def test_a_file_that_is_closed_meanwhile_does_no_harm(growing):
    connection, file = growing
    other = os.dup(file)
    cache = PageCache(other, mmap.PAGESIZE)
    grow(connection, 3)
    os.close(other)

    cache.give_up()


def test_what_is_given_up_is_read_back_as_it_was(growing):
    connection, file = growing
    cache = PageCache(file, mmap.PAGESIZE)
    connection.execute("INSERT INTO t VALUES (randomblob(3000000))")
    (before,) = connection.execute("SELECT hex(x) FROM t").fetchone()

    cache.give_up()

    assert connection.execute("SELECT hex(x) FROM t").fetchone() == (before,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
