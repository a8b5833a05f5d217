"""`collector export` and `collector import`, as commands: what goes out comes in again."""

import asyncio
import csv
import gzip
import io
import json
import os
import sys
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from pysqlite3 import dbapi2 as sqlite

from collector import demo
from collector.cli import main
from collector.clock import now_ms

EVENTS = "SELECT * FROM events ORDER BY seq"
AGENT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
HOSTILE = [
    {"type": "track", "event": "=cmd()|' /C calc'!A0", "userId": "-1+1", "messageId": "h1"},
    {"type": "track", "event": "Purchase", "userId": "u", "properties": {"total": "no"}},
    {"type": "page", "anonymousId": "a\n\r\"\\,;'", "name": "\u2028 Zürich 東京 🛒 \x7f"},
    {"type": "identify", "userId": "@u", "traits": {"email": "a@example.com", "n": 1e300}},
    {"type": "track", "event": "B", "userId": "u", "context": {"consent": {"ads": False}}},
]
INDENTED = b'{"batch":[{"type":"track","event":"I","userId":"u","properties":{\n\t"a" : 1.0\r\n}}]}'


class Command:
    """Commands on the folder `data`, in a thread; `start` gives one a process of its own."""

    def __init__(self, data: Path, **environ: str) -> None:
        self.data = data
        self.environ = {"COLLECTOR__SITE__0__NAME": "shop"} | environ

    async def start(self, *arguments: str, **pipes: object) -> asyncio.subprocess.Process:
        kept = {n: v for n, v in os.environ.items() if not n.startswith("COLLECTOR")}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "collector", *arguments, "--data", str(self.data)),
            env=kept | self.environ,
            **({"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE} | pipes),
        )

    async def __call__(self, *arguments: str, given: bytes = b"") -> tuple[int, bytes, str]:
        """Exit code, standard output, standard error."""
        arguments = (*arguments, "--data", str(self.data))
        result = await asyncio.to_thread(
            CliRunner().invoke, main, arguments, input=given, env=self.environ
        )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout_bytes, result.stderr


def rows(data: Path, sql: str = EVENTS) -> list[tuple[object, ...]]:
    connection = sqlite.connect(f"{(data / 'collector.db').as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def beside(collector):
    """Commands on the folder of a collector that runs."""
    return Command(
        collector.data,
        COLLECTOR__SITE__0__KEY=collector.key,
        COLLECTOR__ADMIN__LISTEN=f"127.0.0.1:{collector.app.admin_port}",
    )


@pytest.fixture
async def full(collector):
    """A collector with a few hundred events, hostile ones among them."""
    await collector.post("/v1/batch", {"batch": HOSTILE})
    await collector.post("/v1/batch", INDENTED)
    await collector.app.writer.append(list(demo.events(now_ms(), 150)))
    return collector


@pytest.fixture
async def exported(full, tmp_path):
    """Its export, and its rows."""
    path = tmp_path / "all.ndjson"
    code, _, said = await beside(full)("export", str(path))
    assert code == 0, said
    return path, rows(full.data)


def calls(count: int) -> bytes:
    return b"".join(
        b'{"type":"track","event":"E%d","userId":"u","messageId":"m%d"}\n' % (n % 7, n)
        for n in range(count)
    )


async def test_an_export_imported_into_an_empty_collector_gives_the_same_rows(exported, tmp_path):
    path, before = exported
    assert path.stat().st_mode & 0o777 == 0o600
    empty = Command(tmp_path / "empty")
    code, _, said = await empty("import", str(path))
    assert (code, f"{len(before):,} new, 0 were there" in said) == (0, True), said
    assert rows(empty.data) == before
    assert any("\n" in row[17] for row in before if row[17]), "line breaks are among them"


async def test_an_export_goes_through_a_pipe_into_a_running_collector(
    exported, tmp_path, make_collector
):
    path, before = exported
    other = await make_collector(tmp_path / "other").start()
    code, _, said = await beside(other)("import", "-", given=path.read_bytes())
    assert (code, f"{len(before):,} events are in the log" in said) == (0, True), said
    assert rows(other.data) == before


async def test_imported_where_it_is_from_it_changes_nothing(exported, full):
    path, before = exported
    code, _, said = await beside(full)("import", str(path))
    assert (code, rows(full.data) == before) == (0, True), said
    await full.stop()
    code, _, said = await Command(full.data)("import", "--again", str(path))
    assert (code, f"0 new, {len(before):,} were there" in said) == (0, True), said
    assert rows(full.data) == before


async def test_what_is_missing_of_ones_own_comes_back_with_its_numbers(exported, full):
    path, before = exported
    await full.stop()
    connection = sqlite.connect(full.data / "collector.db")
    with connection:
        connection.execute("DELETE FROM events WHERE seq > 100 OR seq = 50")
        connection.execute("UPDATE sqlite_sequence SET seq = 100 WHERE name = 'events'")
    connection.close()
    (full.data / "collector.mark").unlink()
    code, _, said = await Command(full.data)("import", str(path))
    assert code == 0, said
    numbers = "SELECT message_id, node_id, node_seq FROM events ORDER BY node_seq"
    columns = [(row[1], row[-2], row[-1]) for row in before]
    assert rows(full.data, numbers) == columns
    (last,) = rows(full.data, "SELECT min(seq) FROM events WHERE seq > 100")
    assert last[0] > before[-1][0], "no number of an event is given to another"


async def test_only_what_was_asked_for_is_exported(full):
    command = beside(full)
    _, out, _ = await command("export", "--type", "identify", "--site", "shop")
    kinds = {json.loads(line)["type"] for line in out.splitlines()}
    assert kinds == {"identify"}
    _, out, _ = await command("export", "--site", "nobody")
    assert out == b""
    _, out, _ = await command("export", "--since", "3d", "--until", "1d")
    times = [json.loads(line)["timestamp"] for line in out.splitlines()]
    assert times
    assert all(now_ms() - 3 * 86_400_000 <= at <= now_ms() - 86_000_000 for at in times)


async def test_no_cell_of_a_csv_is_a_formula(full):
    code, out, _ = await beside(full)("export", "--format", "csv")
    assert code == 0
    found = list(csv.reader(io.StringIO(out.decode(), newline="")))
    assert len(found) == 1 + len(rows(full.data))
    assert found[0][:3] == ["seq", "message_id", "site"]
    cells = [cell for row in found[1:] for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t")]
    assert "'=cmd()|' /C calc'!A0" in cells


async def test_parquet_holds_the_same_values(full, tmp_path):
    path = tmp_path / "it's.parquet"
    code, _, said = await beside(full)("export", str(path))
    assert code == 0, said
    quoted = str(path).replace("'", "''")
    with duckdb.connect() as database:
        found = database.execute(f"SELECT * FROM '{quoted}' ORDER BY seq").fetchall()
    assert found == rows(full.data)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_file_that_cannot_be_written_is_named_and_none_is_left(full, tmp_path):
    for name in ("nowhere/x.ndjson", "nowhere/x.parquet"):
        code, _, said = await beside(full)("export", str(tmp_path / name))
        assert (code, "nowhere/x" in said, "Traceback" in said) == (2, True, False)
    code, _, said = await beside(full)("export", "--format", "parquet")
    assert (code, "goes to a file" in said) == (2, True)


async def test_killed_in_the_middle_and_started_again_nothing_is_twice(tmp_path):
    command, file = Command(tmp_path / "data"), calls(40_000)
    process = await command.start("import", "--format", "segment", stdin=asyncio.subprocess.PIPE)
    try:
        process.stdin.write(file[: len(file) * 3 // 4])
        async with asyncio.timeout(60):
            while not stored(command.data):
                await asyncio.sleep(0.02)
    finally:
        process.kill()
        await process.communicate()
    half = stored(command.data)
    assert 0 < half < 40_000
    code, _, said = await command("import", given=file)
    assert code == 0, said
    assert rows(command.data, "SELECT count(*), count(DISTINCT message_id) FROM events") == [
        (40_000, 40_000)
    ]


def stored(data: Path) -> int:
    try:
        return rows(data, "SELECT count(*) FROM events")[0][0]
    except sqlite.OperationalError:  # not there yet
        return 0


async def test_a_file_that_has_grown_is_read_on_where_it_was_left(tmp_path):
    command, path = Command(tmp_path / "data"), tmp_path / "calls.json"
    path.write_bytes(calls(10))
    await command("import", str(path))
    path.write_bytes(calls(15))
    code, _, said = await command("import", str(path))
    assert (code, "5 lines read" in said, "after 10" in said) == (0, True, True), said
    path.write_bytes(calls(1) + calls(20).replace(b'"m', b'"n'))
    code, _, said = await command("import", str(path))
    assert (code, "21 lines read" in said) == (0, True), "begins alike, but is another"
    process = await command.start("import", stdin=asyncio.subprocess.PIPE)
    _, said = await process.communicate(calls(1) + b"{}\n" * 60)
    assert (process.returncode, b"--again" in said) == (2, True), "a pipe is read once"


async def test_lines_that_are_refused_are_named_with_number_and_reason(tmp_path):
    command = Command(tmp_path / "data")
    lines = [*calls(2).splitlines(), b"{", b'{"type":"nothing"}', b"", b'{"type":"track"}']
    given = b"\n".join([*lines, b'{"batch":[{"type":"page"},{"type":"x"}]}', b"\xff", b""])
    code, out, said = await command("import", "--json", given=given)
    assert code == 1
    refused = [line for line in said.splitlines() if line.startswith("line ")]
    numbers = [int(line.split()[1].rstrip(":")) for line in refused]
    assert numbers == [3, 4, 6, 7, 8]
    assert "expected a name" in refused[2]
    summary = json.loads(out)
    assert (summary["accepted"], summary["refused"], summary["lines"]) == (3, 5, 8)


async def test_a_file_of_no_known_format_is_refused_as_a_whole(tmp_path):
    command = Command(tmp_path / "data")
    code, _, said = await command("import", given=b"date,path\n2026-01-02,/\n")
    assert (code, len(said.splitlines())) == (2, 1)
    assert "the first line is no event of an export" in said
    code, _, said = await command("import", "--format", "nginx", given=b"date,path\n")
    assert (code, "line 1: no line of the format" in said) == (1, True)


async def test_packed_access_logs_become_page_views_and_bots_are_marked(tmp_path):
    hit = '203.0.113.7 - - [24/Nov/2025:22:08:0{n} +0000] "GET {to} HTTP/1.1" 200 5 "-" "{agent}"\n'
    lines = [
        hit.format(n=1, to="/pricing?utm_source=x", agent="Firefox/145.0"),
        hit.format(n=2, to="/logo.png", agent="Firefox/145.0"),
        hit.format(n=3, to="/", agent=AGENT),
        hit.format(n=4, to="/c.gif?e=Opened&p.a=b", agent="Firefox/145.0"),
    ]
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))
    command = Command(tmp_path / "data")
    code, _, said = await command("import", str(path), "--url", "https://shop.example/")
    assert (code, "1 lines of no page" in said) == (0, True), said
    found = rows(command.data, "SELECT type, url, path, ip, bot, event, timestamp FROM events")
    at = 1_764_022_081_000
    place = "https://shop.example"
    assert found == [
        ("page", f"{place}/pricing?utm_source=x", "/pricing", "203.0.113.0", None, None, at),
        ("page", f"{place}/", "/", "203.0.113.0", 1, None, at + 2000),
        ("track", None, None, "203.0.113.0", None, "Opened", at + 3000),
    ]


async def test_a_line_that_is_still_being_written_is_left_for_the_next_time(tmp_path):
    command, path = Command(tmp_path / "data"), tmp_path / "access.log"
    line = '203.0.113.7 - - [24/Nov/2025:22:08:01 +0000] "GET / HTTP/1.1" 200 5 "-" "F"\n'
    path.write_text(line + line[:40])
    code, _, said = await command("import", str(path))
    assert (code, "1 lines read" in said) == (0, True), said
    path.write_text(line * 2)
    code, _, said = await command("import", str(path))
    assert (code, "1 lines read" in said) == (0, True), said
    assert stored(command.data) == 2


async def test_who_was_forgotten_does_not_come_back(exported, full, tmp_path):
    path, before = exported
    code, _, said = await beside(full)("forget", "--user", "u")
    assert code == 0, said
    left = rows(full.data)
    assert 0 < len(left) < len(before)
    code, _, said = await beside(full)("import", "--again", str(path))
    assert (code, "forgotten" in said) == (0, True), said
    again = b'{"type":"page","userId":"u"}\n{"type":"page","userId":"other"}\n'
    code, _, said = await beside(full)("import", given=again)
    assert (code, "1 events are in the log" in said) == (0, True), said
    assert rows(full.data)[:-1] == left


async def test_a_site_that_is_not_known_is_refused(full):
    code, _, said = await beside(full)("import", "--site", "nobody", given=calls(1))
    assert (code, "--site: expected one of shop" in said) == (2, True)


async def test_a_folder_in_use_by_no_collector_is_said(full, tmp_path):
    code, _, said = await Command(full.data)("import", given=calls(1))
    assert (code, "site shop is not known to the running collector" in said) == (2, True)
    command = beside(full)
    command.environ["COLLECTOR__ADMIN__LISTEN"] = "127.0.0.1:1"
    code, _, said = await command("import", given=calls(1))
    assert (code, "is in use, and no collector answers at 127.0.0.1:1" in said) == (2, True)


async def test_the_admin_api_takes_no_import_without_the_token(collector):
    url = f"{collector.admin_url}/api/import?site=shop"
    async with collector.session.post(url, data=b'{"batch":[]}') as answer:
        assert answer.status in (401, 403)
    headers = {"Authorization": f"Bearer {collector.app.token}"}
    for body in (b"nonsense", b"[]", b'{"batch":7}', b"\xff" * 70_000):
        async with collector.session.post(url, data=body, headers=headers) as answer:
            assert answer.status == 400
    assert collector.rows() == []
