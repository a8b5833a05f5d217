"""forget, access and rebuild, on a stopped collector and beside a running one."""

import asyncio
import json
import sys

ADA = "ada.lovelace@example.com"


async def collector_command(collector, *command):
    """Exit code and what was said."""
    admin = ["--data", str(collector.data)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", *command, *admin),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=collector.environment,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def told(idle):
    collector = await idle.start(people={"pace_ms": 0})
    collector.environment = {
        "COLLECTOR__SITE__0__NAME": "shop",
        "COLLECTOR__SITE__0__KEY": collector.key,
        "COLLECTOR__ADMIN__LISTEN": f"127.0.0.1:{collector.app.admin_port}",
    }
    me = {"type": "identify", "userId": "user-ada", "traits": {"email": ADA}}
    buy = {"type": "track", "event": "Purchase", "userId": "user-ada", "properties": {"total": 5}}
    await collector.post("/v1/batch", {"batch": [me, buy]})
    async with asyncio.timeout(30):
        while collector.app.persons.lag:
            await asyncio.sleep(0.01)
    return collector


async def test_beside_a_running_collector(idle):
    collector = await told(idle)
    code, said = await collector_command(collector, "access", "--email", ADA.title())
    rows = [json.loads(line) for line in said.splitlines()]
    assert code == 0
    assert [row["table"] for row in rows].count("events") == 2
    code, said = await collector_command(collector, "rebuild")
    assert (code, "2 events" in said) == (0, True)
    code, said = await collector_command(collector, "forget", "--user", "user-ada")
    assert code == 0
    assert "removed: 2 events" in said
    assert "none found" in said
    assert collector.rows() == []


# What SQLite asks of the locks when it opens a database, and when it closes one.
UNHELD = """
import fcntl, sys
for name, at, length in ((sys.argv[1] + "-shm", 128, 1), (sys.argv[1], 0x40000002, 510)):
    with open(name, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, at)
        except OSError:
            continue
        print(name)
"""


async def test_the_search_for_names_leaves_sqlite_its_locks(idle):
    """Without them the next reader empties the index that is mapped here: a bus error."""
    collector = await told(idle)
    code, _ = await collector_command(collector, "forget", "--user", "user-ada")
    assert code == 0
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", UNHELD, str(collector.data / "collector.db")),
        stdout=asyncio.subprocess.PIPE,
    )
    unheld, _ = await process.communicate()
    assert (process.returncode, unheld.decode()) == (0, "")


async def test_a_word_of_the_schema_is_no_name_left_behind(idle):
    collector = await told(idle)
    code, said = await collector_command(collector, "forget", "--user", "nobody")
    assert code == 0, said
    assert "were not searched" in said
    code, said = await collector_command(collector, "access", "--user", "nobody")
    assert (code, said) == (0, "Nothing is stored of user 'nobody'.\n")


async def test_on_a_stopped_collector(idle):
    collector = await told(idle)
    before = collector.rows("SELECT * FROM people")
    await collector.stop()
    code, said = await collector_command(collector, "rebuild")
    assert (code, "Made anew from 2 events" in said) == (0, True)
    assert collector.rows("SELECT * FROM people") == before
    code, said = await collector_command(collector, "forget", "--email", ADA)
    assert (code, "none found" in said) == (0, True)
    assert collector.rows("SELECT * FROM people") == []
    code, said = await collector_command(collector, "forget", "--email", ADA, "--lift")
    assert (code, "1 names may be recorded again" in said) == (0, True)


async def test_the_name_has_to_be_one(idle):
    collector = await told(idle)
    for wrong in ([], ["--user", "a", "--email", "b"]):
        code, said = await collector_command(collector, "forget", *wrong)
        assert (code, "name one of" in said) == (2, True)


async def test_the_admin_api_hands_out_what_is_stored(idle):
    collector = await told(idle)
    headers = {"Authorization": f"Bearer {collector.app.token}"}
    url = f"{collector.admin_url}/api/access"
    async with collector.session.get(url, headers=headers, params={"email": ADA}) as answer:
        rows = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert {"people", "events"} <= {row["table"] for row in rows}
    for wrong in ({}, {"email": ADA, "user": "x"}, {"mail": ADA}):
        async with collector.session.get(url, headers=headers, params=wrong) as answer:
            assert answer.status == 400
    async with collector.session.get(url, params={"email": ADA}) as answer:
        assert answer.status == 401
