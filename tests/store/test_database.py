"""The file: made, looked at, refused, set aside."""

import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest
from pysqlite3 import dbapi2

from collector.errors import CollectorError, StoreUnavailable
from collector.store import database as db


async def opened(path):
    return await db.open_database(path, "full", 4000)


async def ask(database, sql):
    return await database.run(lambda connection: connection.execute(sql).fetchall())


async def test_a_new_file_gets_the_schema_and_its_settings(tmp_path):
    database = await opened(tmp_path / "new" / "collector.db")

    for pragma, value in (
        ("user_version", len(db.migrations())),
        ("application_id", db.APPLICATION_ID),
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("wal_autocheckpoint", 4000),
    ):
        assert await ask(database, f"PRAGMA {pragma}") == [(value,)]
    await database.close()
    assert stat.S_IMODE((tmp_path / "new" / "collector.db").stat().st_mode) == 0o600


async def test_opening_again_changes_nothing(tmp_path):
    path = tmp_path / "collector.db"
    database = await opened(path)
    keys = await database.run(db.site_keys, ["shop"])
    await database.close()

    database = await opened(path)

    again = await database.run(db.site_keys, ["shop", "blog"])
    assert again["shop"] == keys["shop"]
    assert again["blog"].startswith("wk_")
    await database.close()


async def test_a_half_done_migration_is_rolled_back(tmp_path, monkeypatch):
    path = tmp_path / "collector.db"
    await (await opened(path)).close()
    steps = db.migrations()
    broken = "CREATE TABLE half (a);\nINSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(db, "migrations", lambda: [*steps, broken])
    with pytest.raises(CollectorError, match="nowhere"):
        await opened(path)

    monkeypatch.setattr(db, "migrations", lambda: [*steps, "CREATE TABLE whole (a);\n"])
    database = await opened(path)

    tables = await ask(database, "SELECT name FROM sqlite_schema WHERE name IN ('half', 'whole')")
    assert tables == [("whole",)]
    assert await ask(database, "PRAGMA user_version") == [(len(steps) + 1,)]
    await database.close()


async def test_rows_of_an_older_version_are_carried_over(tmp_path):
    path = tmp_path / "collector.db"
    with closing(dbapi2.connect(path)) as connection:
        for step in db.migrations()[:11]:
            connection.executescript(step)
        connection.executescript(f"""
            PRAGMA application_id = {db.APPLICATION_ID};
            PRAGMA user_version = 11;
            INSERT INTO rollup_marks VALUES (1, 7, 96, 3, 0, x'0102');
            INSERT INTO purchases
              (seq, message_id, site, person, timestamp, event, order_id, counted, repeat_of, cart)
              VALUES (1, 'a', 's', 4, 10, 'Purchase', 'o', 1, NULL, 'c'),
                (2, 'b', 's', 4, 20, 'Purchase', 'o', 0, 'a', 'c'),
                (3, 'c', 's', 4, 20, 'Purchase', NULL, 1, NULL, 'c');""")

    database = await opened(path)

    assert await ask(database, "SELECT * FROM rollup_marks") == [(1, 1, 96, 7, 3, 0, 0, b"\1\2")]
    bought = await ask(database, "SELECT message_id, counted, cart FROM purchases ORDER BY seq")
    assert bought == [("a", 1, ""), ("b", 0, ""), ("c", 1, "c")]  # a cart tells nothing of an order
    await database.close()


async def test_a_file_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "collector.db"
    database = await opened(path)
    await ask(database, "PRAGMA user_version = 99")
    await database.close()

    with pytest.raises(CollectorError, match=r"schema 99.* run the newer version"):
        await opened(path)


async def test_another_programs_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "collector.db"
    make_foreign(path)
    before = path.read_bytes()

    with pytest.raises(CollectorError, match="database of another program"):
        await opened(path)

    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["collector.db"]


def make_foreign(path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url)")
        other.commit()


async def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "collector.db"
    path.mkdir()

    with pytest.raises(CollectorError, match=r"collector\.db"):
        await opened(path)


async def test_a_locked_file_is_unavailable_not_a_bad_row(tmp_path):
    path = tmp_path / "collector.db"
    database = await opened(path)
    await ask(database, "PRAGMA busy_timeout = 50")
    with closing(db.sqlite.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="busy"):
            await database.run(db.site_keys, ["shop"])
    await database.close()


async def test_kept_keys_are_read_beside_a_running_collector(tmp_path):
    path = tmp_path / "collector.db"
    assert db.read_site_keys(path) == {}
    database = await opened(path)
    keys = await database.run(db.site_keys, ["shop"])

    assert db.read_site_keys(path) == keys
    await database.close()
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(CollectorError, match="not a database"):
        db.read_site_keys(path)


async def test_any_sqlite3_reads_the_file_beside_us(tmp_path):
    path = tmp_path / "collector.db"
    database = await opened(path)
    await database.run(db.site_keys, ["shop"])
    script = (
        "import sqlite3, sys; c = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True);"
        "print(c.execute('SELECT site FROM site_keys').fetchall(),"
        " c.execute('SELECT count(*) FROM events').fetchall())"
    )

    said = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    ).stdout

    assert said.strip() == "[('shop',)] [(0,)]"
    await database.close()


async def test_after_a_close_the_one_file_is_all(tmp_path):
    path = tmp_path / "collector.db"
    database = await opened(path)
    await database.run(db.site_keys, ["shop"])
    await database.close()
    shutil.copy(path, tmp_path / "copy.db")

    assert not path.with_name("collector.db-wal").exists()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT site FROM site_keys").fetchall() == [("shop",)]
