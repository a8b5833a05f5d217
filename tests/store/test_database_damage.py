"""A damaged file is set aside, what it held rescued."""

import msgspec
import pytest

from collector.errors import Damaged
from collector.store import database as db
from collector.store.reader import Reader


async def opened(path):
    return await db.open_database(path, "full", 4000)


async def ask(database, sql):
    return await database.run(lambda connection: connection.execute(sql).fetchall())


@pytest.mark.parametrize("damage", ["header", "first-page", "text-file", "cut"])
async def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path, caplog, damage):
    path = tmp_path / "collector.db"
    database = await opened(path)
    await database.run(db.site_keys, ["shop"])
    await database.close()
    whole = path.read_bytes()
    path.write_bytes(
        {
            "header": b"\0" * 16 + whole[16:],
            "first-page": whole[:100] + b"\xff" * 3996 + whole[4096:],
            "text-file": b"this is no database " * 1000,
            "cut": whole[:4096],
        }[damage]
    )
    broken = path.read_bytes()

    database = await opened(path)

    assert await ask(database, "SELECT count(*) FROM events") == [(0,)]
    await database.close()
    (aside,) = tmp_path.glob("collector.db.damaged-*[0-9]")
    assert aside.read_bytes() == broken
    assert f"set aside as {aside}" in caplog.text


async def test_the_keys_of_a_damaged_file_are_rescued(tmp_path, caplog):
    path = tmp_path / "collector.db"
    database = await opened(path)
    keys = await database.run(db.site_keys, ["shop"])
    node = await database.run(db.meta, "node_id", lambda: "a-node")
    (root,) = (await ask(database, "SELECT rootpage FROM sqlite_schema WHERE name = 'rejected'"))[0]
    await database.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * 8192)
        file.write(b"\xff" * 8192)

    database = await opened(path)

    assert "set aside" in caplog.text
    assert await database.run(db.site_keys, ["shop"]) == keys
    assert await database.run(db.meta, "node_id", lambda: "another") == node
    await database.close()


async def test_two_damaged_files_in_one_second_are_both_kept(tmp_path):
    path = tmp_path / "collector.db"
    for _ in range(2):
        path.write_bytes(b"no database " * 1000)
        await (await opened(path)).close()

    assert len(list(tmp_path.glob("*.damaged-*"))) >= 2


async def test_what_is_not_what_a_column_holds_is_said_to_be_damage(tmp_path):
    """SQLite reads a page with a flipped bit without a word where only values changed."""
    path = tmp_path / "collector.db"
    database = await opened(path)
    numbers = msgspec.json.Decoder(list[int])

    def read(connection):
        return numbers.decode(connection.execute("""SELECT '["1"]'""").fetchone()[0])

    with pytest.raises(Damaged, match=r"damaged .*Expected `int`, got `str`"):
        await database.run(read)

    reader = await Reader.open(path)
    with pytest.raises(Damaged, match=r"damaged .*Expected `int`, got `str`"):
        await reader.run(read)
    await reader.close()
    await database.close()
