"""`collector backup` and `collector verify`: a copy under load, and what is found in copies."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.cli import main
from tests.faults.harness import Collector
from tests.faults.load import Load


async def run(*arguments: str, given: bytes | None = None) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def command(*arguments: str, given: bytes | None = None) -> tuple[int, str, str]:
    """`run` in this process, where no collector is running."""
    result = CliRunner().invoke(main, arguments, input=given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def rows(path: Path, upto: int = 2**62) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        query = "SELECT * FROM events WHERE seq <= ? ORDER BY seq"
        return database.execute(query, (upto,)).fetchall()


async def test_a_backup_under_load_has_all_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    data, to = tmp_path / "data", tmp_path / "backup"
    old = b"".join(b'{"type":"page","userId":"u%d"}\n' % n for n in range(20_000))
    code, _, said = await run("import", "--data", str(data), given=old)
    assert code == 0, said
    async with Collector(tmp_path, data) as collector:
        load = Load(collector.url, collector.key, seed=1)
        load.start()
        await load.acknowledges(300)
        before = set(load.acknowledged)
        code, out, said = await run("backup", "--data", str(data), "--json", str(to))
        assert code == 0, said
        await load.acknowledges(100)
        await load.finish()
        mark = json.loads(out)["last_seq"]
        copied = rows(to / "collector.db")
        assert before <= {row[1] for row in copied}
        assert len(copied) >= 20_000 + len(before)
        assert copied == rows(data / "collector.db", mark)
    code, out, said = await run("verify", "--json", str(to))
    found = json.loads(out)
    assert (code, found["sound"], found["last_seq"]) == (0, True, mark)
    assert found["counts"]["events"] == len(copied)
    await restored(tmp_path, to / "collector.db")


async def restored(tmp_path: Path, copy: Path) -> None:
    """A collector on the copy has its rows and takes new events after them."""
    data = tmp_path / "restored"
    data.mkdir()
    shutil.copy(copy, data / "collector.db")
    (tmp_path / "other").mkdir()
    async with Collector(tmp_path / "other", data) as collector:
        load = Load(collector.url, collector.key, seed=2)
        load.start()
        await load.acknowledges(50)
        await load.finish()
        await collector.stop()
    there = rows(data / "collector.db")
    assert there[: -len(load.sent)] == rows(copy)
    assert {row[1] for row in there[-len(load.sent) :]} == set(load.sent)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small database, and the folder it lies in."""
    data = tmp_path_factory.mktemp("data")
    calls = b"".join(b'{"type":"page","userId":"%d"}\n' % n for n in range(500))
    code, _, said = command("import", "--data", str(data), given=calls)
    assert code == 0, said
    return data / "collector.db"


def test_a_stopped_collectors_files_are_all_copied(sound: Path, tmp_path: Path) -> None:
    (sound.parent / "collector.forgotten").write_text("00\nff\n")
    code, _, said = command("backup", "--data", str(sound.parent), str(tmp_path / "to"))
    (sound.parent / "collector.forgotten").unlink()
    assert (code, "up to event 500" in said) == (0, True), said
    copy = tmp_path / "to" / "collector.db"
    assert rows(copy) == rows(sound)
    assert sorted(path.name for path in copy.parent.iterdir()) == [
        "collector.db",
        "collector.forgotten",
    ]
    assert {path.stat().st_mode & 0o777 for path in copy.parent.iterdir()} == {0o600}
    code, out, _ = command("verify", str(copy))
    assert (code, "sound" in out, "high-water mark: event 500" in out) == (0, True, True)


def test_damage_is_found(sound: Path, tmp_path: Path) -> None:
    whole = sound.read_bytes()
    for name, raw in (
        ("cut", whole[: len(whole) // 2]),
        ("overwritten", whole[:40_000] + b"\xff" * 20_000 + whole[60_000:]),
    ):
        path = tmp_path / name
        path.write_bytes(raw)
        code, out, said = command("verify", "--json", str(path))
        assert (code, json.loads(out)["sound"], "Traceback" in said) == (1, False, False), name


def test_missing_events_are_found_by_the_mark_beside(sound: Path, tmp_path: Path) -> None:
    shutil.copy(sound, tmp_path / "collector.db")
    (tmp_path / "collector.mark").write_text("00000000000000000777\n")
    code, out, _ = command("verify", str(tmp_path / "collector.db"))
    assert (code, "newest 277 events are missing" in out) == (1, True)


def test_what_is_no_collectors_database_is_said(sound: Path, tmp_path: Path) -> None:
    text, other, newer = tmp_path / "text", tmp_path / "other", tmp_path / "newer"
    text.write_text("no database" * 1000)
    with contextlib.closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE t (a)")
    shutil.copy(sound, newer)
    with contextlib.closing(sqlite3.connect(newer)) as database:
        database.execute("PRAGMA user_version = 9999")
    for path, why in ((text, "not a database"), (other, "not a collector's"), (newer, "9999")):
        code, _, said = command("verify", str(path))
        assert (code, why in said, "Traceback" in said) == (2, True, False), said


def test_a_backup_that_fails_says_why_and_leaves_nothing(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for data, to, why in (
        (sound.parent, tmp_path / "file" / "to", "Not a directory"),
        (sound.parent, sound.parent, "itself"),
        (tmp_path, tmp_path / "to", "there is no database"),
    ):
        code, _, said = command("backup", "--data", str(data), str(to))
        assert (code, why in said, "Traceback" in said) == (2, True, False), said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert rows(sound)
