"""The oracle itself: each kind of wrong is seen and named."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.harness import Collector, Oracle
from tests.faults.load import KINDS, Load

SEED = 1
WRONGS = {
    "lost": "DELETE FROM events WHERE seq = 7",
    "duplicated": "UPDATE events SET message_id = (SELECT message_id FROM events WHERE seq = 7) "
    "WHERE seq = 8",
    "invented": "UPDATE events SET message_id = 'nobody sent this' WHERE seq = 7",
    "altered": "UPDATE events SET properties = json_set(properties, '$.n', 'other') WHERE seq = 7",
}


async def loaded(tmp_path: Path, kinds: tuple[str, ...] = KINDS) -> tuple[Collector, Load]:
    """A stopped collector, and the load that it took without a fault."""
    async with Collector(tmp_path) as collector:
        load = Load(collector.url, collector.key, SEED, clients=4, kinds=kinds)
        load.start()
        await load.acknowledges(50)
        await load.finish()
        await collector.stop()
        return collector, load


async def test_a_sound_run_is_told_as_sound(tmp_path: Path) -> None:
    collector, load = await loaded(tmp_path)
    verdict = Oracle(load, collector).check_all()
    assert verdict.stored == len(load.sent) >= 50
    assert set(load.answers) == {"200"}


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_call_arrives_as_it_was_sent(tmp_path: Path, kind: str) -> None:
    collector, load = await loaded(tmp_path, (kind,))
    Oracle(load, collector).check_all()


async def test_each_wrong_is_named(tmp_path: Path) -> None:
    collector, load = await loaded(tmp_path)
    path = collector.data / "collector.db"
    sound = path.read_bytes()
    for wrong, statement in WRONGS.items():
        path.write_bytes(sound)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)
        verdict = Oracle(load, collector).judge()
        assert getattr(verdict, wrong), (wrong, str(verdict))
        with pytest.raises(AssertionError, match=f"seed {SEED}: .*{wrong} 1 "):
            Oracle(load, collector).check()
