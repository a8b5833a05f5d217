"""The disk's sync is measured, and the page cache keeps the newest part of the file."""

import mmap
import os
from contextlib import closing
from pathlib import Path

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


def test_what_was_written_long_ago_is_given_up_once(tmp_path, monkeypatch):
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda fd, start, length, advice: given.append((start, length))
    )
    path = tmp_path / "a.db"
    with closing(database(path)) as connection:
        grow(connection, 1)
        began = path.stat().st_size
        cache = PageCache(path, 2_000_000)
        cache.give_up(connection)
        grow(connection, 4)
        cache.give_up(connection)
        cache.give_up(connection)
        end = path.stat().st_size - 2_000_000
        assert given == [(began, end - began)]
        grow(connection, 1)
        cache.give_up(connection)
    assert given[1][0] == end


def test_it_asks_by_the_descriptor_of_the_connection_and_opens_none(tmp_path, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, *_: asked.append(os.fstat(fd).st_ino))
    path = tmp_path / "a.db"
    with closing(database(path)) as connection:
        cache = PageCache(path, 1000)
        grow(connection, 1)
        before = len(list(Path("/proc/self/fd").iterdir()))
        cache.give_up(connection)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert asked == [path.stat().st_ino]


def test_with_a_size_of_nothing_the_system_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fadvise", lambda *_: 1 / 0)
    path = tmp_path / "a.db"
    with closing(database(path)) as connection:
        cache = PageCache(path, 0)
        grow(connection, 3)
        cache.give_up(connection)


def test_what_is_given_up_is_read_back_as_it_was(tmp_path):
    path = tmp_path / "a.db"
    with closing(database(path)) as connection:
        cache = PageCache(path, mmap.PAGESIZE)
        connection.execute("INSERT INTO t VALUES (randomblob(3000000))")
        (before,) = connection.execute("SELECT hex(x) FROM t").fetchone()
        cache.give_up(connection)
        assert connection.execute("SELECT hex(x) FROM t").fetchone() == (before,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
