"""`collector tail`, `stats`, `rejected` and `completion`: what a terminal shows of a running
collector."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.cli import main
from collector.terminal import bar, line, safe
from tests.conftest import OPEN_SITE

ESCAPES = "\x1b]0;owned\x07\x1b[31mred\u202e\n\tx"


async def command(collector, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    given = (*arguments, "--data", str(collector.data))
    result = await asyncio.to_thread(CliRunner().invoke, main, given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
async def busy(collector):
    events = [
        {"type": "page", "anonymousId": "a1", "properties": {"path": "/pricing"}},
        {"type": "page", "anonymousId": "a1", "properties": {"path": "/"}},
        {"type": "page", "anonymousId": "a2", "properties": {"path": "/"}},
        {"type": "track", "event": ESCAPES, "userId": "u1", "properties": {"a": ESCAPES}},
        {"type": "track", "event": "Purchase", "userId": "u2", "properties": {"total": 5}},
    ]
    await collector.post("/v1/batch", {"batch": [*events, {"type": "track", "event": ""}]})
    return collector


async def test_tail_shows_the_newest_events_of_those_asked_for(busy):
    code, said, _ = await command(busy, "tail", "--no-follow", "-n", "2")
    assert (code, len(said.splitlines())) == (0, 2)
    assert "Purchase" in said.splitlines()[1]
    for options, shown in (
        (("--type", "page"), 3),
        (("--event", "Purchase"), 1),
        (("--user", "a1"), 2),
        (("--site", "nobody"), 0),
    ):
        _, said, _ = await command(busy, "tail", "--no-follow", *options)
        assert len(said.splitlines()) == shown, options
    _, _, told = await command(busy, "tail", "--no-follow", "--site", "nobody")
    assert told.startswith("--site: no site is called nobody now, there are: ")


async def test_tail_in_json_is_what_export_writes(busy):
    _, shown, _ = await command(busy, "tail", "--no-follow", "--json")
    _, exported, _ = await command(busy, "export")
    assert shown == exported


async def test_what_strangers_sent_does_nothing_to_the_terminal(busy):
    for arguments in (("tail", "--no-follow"), ("stats", "--bots"), ("rejected", "list", "--body")):
        _, said, _ = await command(busy, *arguments)
        assert all(c.isprintable() or c == "\n" for c in said), arguments
    assert safe(ESCAPES) == "\\x1b]0;owned\\x07\\x1b[31mred\\u202e\\n\\tx"


async def test_tail_goes_on_as_events_arrive_and_ends_when_broken_off(busy):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", "tail", "-n", "0", "--data", str(busy.data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            reading = asyncio.create_task(process.stdout.readline())
            while not reading.done():  # it may still be starting
                await busy.post("/v1/track", {"event": "Now", "userId": "u"})
                await asyncio.sleep(0.1)
        assert b"Now" in await reading
        process.send_signal(2)
        _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert (process.returncode, err) == (0, b"")


async def test_stats_of_an_edge_say_where_the_counts_are(busy, monkeypatch):
    monkeypatch.setenv("COLLECTOR__PROFILE", "edge")
    code, said, error = await command(busy, "stats")
    assert (code, said) == (2, "")
    assert "ask the centre" in error


async def test_stats_count_what_is_there(busy):
    async with asyncio.timeout(60):
        while True:
            _, said, _ = await command(busy, "stats", "--json", "--since", "1h")
            found = json.loads(said)
            if not found["uncounted_events"]:
                break
            await asyncio.sleep(0.1)
    assert (found["totals"]["views"], found["totals"]["visitors"]) == (3, 4)
    assert sum(found["chart"]["events"]) == 5
    assert found["top"]["path"][0] == {"value": "/", "count": 2}
    _, said, _ = await command(busy, "stats")
    assert "views                3" in said
    assert "/pricing" in said
    _, said, _ = await command(busy, "stats", "--site", "nobody", "--json")
    assert json.loads(said)["totals"]["events"] == 0


async def test_a_range_that_is_none_is_named(busy):
    for options, why in (
        (("--since", "soon"), "2026-01-31"),
        (("--since", "1d", "--until", "2d"), "before --until"),
        (("--since", "1990-01-01"), "1000 days"),
    ):
        code, _, said = await command(busy, "stats", *options)
        assert (code, why in said) == (2, True), said


async def test_rejected_events_are_listed_with_their_reason(busy):
    code, said, counts = await command(busy, "rejected", "list")
    assert (code, "expected a name" in said, "1 invalid_event" in counts) == (0, True, True)
    _, said, _ = await command(busy, "rejected", "list", "--json")
    row = json.loads(said)
    assert (row["code"], row["status"], row["site"]) == ("invalid_event", 400, "shop")
    assert json.loads(row["body"])["type"] == "track"
    for options in (("--code", "other"), ("--site", "nobody"), ("--until", "1h")):
        _, said, counts = await command(busy, "rejected", "list", *options)
        assert (said, counts) == ("", "Refused: none.\n"), options


def test_without_a_database_it_is_said_where_one_was_looked_for(tmp_path):
    for arguments in (["tail"], ["stats"], ["rejected", "list"], ["export"]):
        result = CliRunner().invoke(main, [*arguments, "--data", str(tmp_path / "none")])
        assert (result.exit_code, "there is no database" in result.stderr) == (2, True)


def test_bars_are_as_long_as_what_they_stand_for(monkeypatch):
    monkeypatch.setattr("collector.terminal._blocks", lambda: True)
    assert (bar(10, 10, 4), bar(5, 10, 4), bar(0, 10, 4), bar(0, 0, 4)) == ("████", "██", "", "")
    assert bar(1, 8, 4) == "▌"
    assert line([0, 5, 10]) == "▁▅█"
    assert line([]) == ""
    monkeypatch.setattr("collector.terminal._blocks", lambda: False)
    assert (bar(10, 10, 4), line([0, 10])) == ("####", "_#")


def test_bash_completes_commands_and_options(tmp_path):
    script = CliRunner().invoke(main, ["completion", "bash"], prog_name="collector").stdout
    (tmp_path / "c.sh").write_text(script)
    ask = f"""export PATH={Path(sys.executable).parent}:$PATH; source {tmp_path}/c.sh
    COMP_WORDS=(collector rej) COMP_CWORD=1; _collector_completion collector
    echo "${{COMPREPLY[@]}}"
    COMPREPLY=(); COMP_WORDS=(collector tail --no) COMP_CWORD=2; _collector_completion collector
    echo "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True)
    assert done.stdout.split() == ["rejected", "--no-follow"], done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shells_script_names_the_program(shell):
    said = CliRunner().invoke(main, ["completion", shell], prog_name="collector").stdout
    assert "_COLLECTOR_COMPLETE" in said


def test_every_command_that_shows_something_can_say_it_in_json():
    shown = ["stats", "tail", "verify", "backup", "import", "forget", "access", "rebuild", "audit"]
    nested = [("audience", "list"), ("audience", "members"), ("audience", "preview")]
    nested += [("rejected", "list"), ("forward", "status"), ("forward", "rewind")]
    for path in [*((name,) for name in shown), *nested]:
        said = CliRunner().invoke(main, [*path, "--help"]).stdout
        assert "--json" in said, path
        assert "--data" in said or path == ("verify",), path


async def test_what_was_refused_is_stored_when_its_reason_is_gone(idle, monkeypatch):
    await idle.start(**{"limits.message_id_chars": 10})
    long, bad = {"messageId": "m" * 20, "userId": "u"}, {"type": "track", "userId": "u"}
    await idle.post("/v1/batch", {"batch": [long | {"type": "track", "event": "Long"}, bad]})
    await idle.post("/v1/track", long | {"event": "Single", "messageId": "n" * 20})
    (first, *_) = idle.rows("SELECT received_at FROM rejected ORDER BY id")
    await idle.stop()
    await idle.start()
    monkeypatch.setenv("COLLECTOR__ADMIN__LISTEN", idle.admin_url.removeprefix("http://"))

    code, said, _ = await command(idle, "rejected", "replay")

    assert (code, said.splitlines()[0]) == (1, "2 are stored now, 1 are refused again.")
    assert "expected a name - at `$.batch[0].event`" in said
    assert [row["event"] for row in idle.rows()] == ["Long", "Single"]
    assert idle.rows()[0]["timestamp"] == first["received_at"]
    assert len(idle.rows("SELECT id FROM rejected")) == 1
    code, said, _ = await command(idle, "rejected", "replay", "--json", "--code", "nothing")
    assert (code, json.loads(said)) == (0, {"stored": 0, "refused": []})


async def test_a_stopped_collectors_refusals_are_replayed_too(idle, monkeypatch):
    await idle.start(**{"limits.message_id_chars": 10})
    long = {"type": "track", "event": "Long", "userId": "u", "messageId": "m" * 20}
    await idle.post("/v1/batch", {"batch": [long]})
    await idle.stop()
    for name, value in OPEN_SITE[0].items():
        monkeypatch.setenv(f"COLLECTOR__SITE__0__{name.upper()}", value)

    code, said, _ = await command(idle, "rejected", "replay")

    assert (code, said) == (0, "1 are stored now, 0 are refused again.\n")
    assert [row["event"] for row in idle.rows()] == ["Long"]
