"""The day's salt: one a day, kept over restarts, the former one gone."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from collector import clock
from collector.errors import StoreUnavailable
from collector.store import database as db
from collector.workers.salts import Salts

DAY_MS = 86_400_000


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[db.Database]:
    opened = await db.open_database(tmp_path / "collector.db", "full", 2000)
    yield opened
    await opened.close()


@pytest.fixture
def pass_days(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock; it begins at noon."""
    now = [20_000 * DAY_MS + DAY_MS // 2]
    monkeypatch.setattr(clock, "now_ms", lambda: now[0])

    def move(days: float) -> None:
        now[0] += int(days * DAY_MS)

    return move


async def kept(database: db.Database) -> list[str]:
    rows = await database.run(
        lambda c: c.execute("SELECT value FROM meta WHERE name = 'visitor_salt'").fetchall()
    )
    return [str(value) for (value,) in rows]


def on_disk(database: db.Database, salt: bytes) -> bool:
    files = database.path.parent.glob("collector.db*")
    return any(salt.hex().encode() in file.read_bytes() for file in files)


async def test_a_salt_lasts_from_midnight_to_midnight(
    database: db.Database, pass_days: Callable[[float], None]
) -> None:
    salts = Salts(database)
    first = salts.current()
    pass_days(0.49)
    assert salts.current() == first
    pass_days(0.02)
    assert salts.current() != first
    assert len(first) == 32


async def test_a_restart_on_the_same_day_finds_it_and_on_another_does_not(
    database: db.Database, pass_days: Callable[[float], None]
) -> None:
    salts = Salts(database)
    await salts.start()
    await salts.stop()
    first, again = salts.current(), Salts(database)
    await again.start()
    await again.stop()
    assert again.current() == first
    pass_days(1)
    later = Salts(database)
    await later.start()
    await later.stop()
    assert later.current() != first
    assert await kept(database) == [f"20001:{later.current().hex()}"]


async def test_the_former_salt_is_in_no_file(
    database: db.Database, pass_days: Callable[[float], None]
) -> None:
    salts = Salts(database)
    await salts.keep()
    former = salts.current()
    assert on_disk(database, former)
    pass_days(1)
    await salts.keep()
    assert not on_disk(database, former)
    assert on_disk(database, salts.current())


async def test_while_a_reader_holds_the_log_it_is_tried_again(
    database: db.Database, pass_days: Callable[[float], None]
) -> None:
    salts = Salts(database)
    await salts.keep()
    former = salts.current()
    pass_days(1)
    uri = f"{database.path.as_uri()}?mode=ro"
    with contextlib.closing(sqlite.connect(uri, uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchone()
        await salts.keep()
        assert await kept(database) == [f"20001:{salts.current().hex()}"]
    await salts.keep()
    assert not on_disk(database, former)


async def test_a_store_that_cannot_write_keeps_no_salt_back(
    database: db.Database, pass_days: Callable[[float], None]
) -> None:
    salts = Salts(database)
    await salts.start()
    former = salts.current()
    pass_days(1)
    await database.run(lambda c: c.execute("PRAGMA query_only = ON") and None)
    with pytest.raises(StoreUnavailable):
        await salts.keep()
    made = salts.current()
    assert made != former
    await database.run(lambda c: c.execute("PRAGMA query_only = OFF") and None)
    await salts.keep()
    await salts.stop()
    assert salts.current() == made
    assert not on_disk(database, former)
