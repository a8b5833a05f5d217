"""The one file of `make binary`, as it is carried to a machine without Python."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.async_api import async_playwright

from tests.clients.shop import CHROMIUM, FLAGS
from tests.faults.harness import free_port
from tests.test_run import ROOT, arguments, running, take_an_event

BINARY = ROOT / "dist" / "collector"
pytestmark = pytest.mark.skipif(not BINARY.exists(), reason="make binary has not been run")


def until(what: Callable[[], bool]) -> None:
    for _ in range(600):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true in 30 s")


def allowed(*command: str) -> list[str]:
    """The command; skips the test where it is not permitted, as in some containers."""
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip(f"{command[0]} is not permitted here")
    return list(command)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def is_gone(pid: int) -> bool:
    """Ended, also where nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program unpacks itself."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_it_starts_answers_stops_and_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    data, port = tmp_path / "data", free_port()
    with running([str(BINARY), "serve", *arguments(data, port)], data, port):
        take_an_event(data, port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/c.js") as script:
            assert script.status == 200
        assert visitors_of_today(data) == 1
    assert list(scratch.iterdir()) == []


def visitors_of_today(data: Path) -> int:
    """As the dashboard asks, once they are counted: what is asked is read by another process."""
    printed = (data.parent / "output.txt").read_text()
    found = re.search(r"Dashboard on (http://\S+/)", printed)
    assert found, printed
    token = (data / "admin-token").read_text().strip()
    asked = urllib.request.Request(
        f"{found[1]}api/totals", headers={"Authorization": f"Bearer {token}"}
    )

    def totals() -> int:
        with urllib.request.urlopen(asked) as answer:
            return int(json.load(answer)["now"]["visitors"])

    until(lambda: totals() > 0)
    return totals()


def test_it_says_when_it_was_built_and_what_it_needs() -> None:
    said = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"built \d{4}-\d\d-\d\d, needs glibc (2\.\d+) \(SQLite 3\.", said)
    assert found, said
    assert f"glibc {found[1]}" in (ROOT / "docs" / "INSTALL.md").read_text("utf-8")


def test_it_is_smaller_than_25_megabytes() -> None:
    assert BINARY.stat().st_size < 25_000_000


def test_a_temporary_folder_that_runs_nothing_is_named(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o noexec none {tmp_path} && TMPDIR={tmp_path} {BINARY} --version"
    enter = allowed("unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"]))
    done = subprocess.run([*enter, "sh", "-c", mount], capture_output=True, text=True)
    assert done.returncode != 0
    assert f"TMPDIR may be noexec; set another: '{tmp_path}/_MEI" in done.stderr


def bare(root: Path) -> list[str]:
    """Makes a root of its own: the program, the libraries that it names, and an empty /tmp. The
    command that runs the program in it."""
    for name in ("tmp", "data", "bin"):
        (root / name).mkdir(parents=True)
    shutil.copy(BINARY, root / "bin" / "collector")
    named = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    # What the parts inside need of the C library, beside what the program itself names.
    more = [f"/lib/x86_64-linux-gnu/{n}" for n in ("libm.so.6", "librt.so.1", "libutil.so.1")]
    for library in {*re.findall(r"(/\S+\.so\S*)", named), *filter(os.path.exists, more)}:
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])
    enter = [*([] if os.getuid() == 0 else allowed("unshare", "--map-root-user")), "chroot"]
    return [*enter, str(root), "/bin/collector"]


async def test_where_there_is_nothing_but_the_c_library_it_takes_what_chromium_sends(
    tmp_path: Path,
) -> None:
    data, port = tmp_path / "root" / "data", free_port()
    command = [*bare(tmp_path / "root"), "serve", *arguments(Path("/data"), port)]
    with running(command, data, port):
        printed = (data.parent / "output.txt").read_text()
        snippet = re.search(r"<script>.*?</script>", printed, re.S)
        assert snippet, printed
        (tmp_path / "index.html").write_text(f"<!doctype html><title>Shop</title>{snippet[0]}")
        shop = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)
        )
        Thread(target=shop.serve_forever, daemon=True).start()
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            tab = await browser.new_page()
            await tab.goto(f"http://127.0.0.1:{shop.server_port}/")
            await tab.evaluate("pixel.track('Purchase Completed', {total: 5, currency: 'USD'})")
            await asyncio.to_thread(until, lambda: len(stored(data)) == 2)
            await browser.close()
        shop.shutdown()
        shop.server_close()
        assert stored(data) == [("page", None, "/"), ("track", "Purchase Completed", "/")]


def stored(data: Path) -> list[tuple[str, ...]]:
    with contextlib.closing(
        sqlite3.connect(f"file:{data}/collector.db?mode=ro", uri=True)
    ) as database:
        return database.execute("SELECT type, event, path FROM events ORDER BY seq").fetchall()


@pytest.mark.parametrize("killed", ["starter", "child"])
def test_neither_outlives_the_other_and_what_is_left_goes_with_the_next_start(
    tmp_path: Path, scratch: Path, killed: str
) -> None:
    data, port = tmp_path / "data", free_port()
    command = [str(BINARY), "serve", *arguments(data, port)]
    with running(command, data, port) as process:
        starter, child = process.pid, child_of(process.pid)
        os.kill(starter if killed == "starter" else child, signal.SIGKILL)
        process.wait(timeout=30)
        until(lambda: is_gone(child))
    left = list(scratch.iterdir())
    assert len(left) == (1 if killed == "starter" else 0)
    with running(command, data, port):
        take_an_event(data, port)
        assert not set(left) & set(scratch.iterdir())
