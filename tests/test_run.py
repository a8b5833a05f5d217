"""The commands of the README's first screen, as a user has them: started, asked, stopped."""

import os
import re
import signal
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.harness import free_port

ROOT = Path(__file__).parent.parent


@contextmanager
def running(command: list[str], data: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    output = (data.parent / "output.txt").open("w+")
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        for _ in range(300):
            assert process.poll() is None, (data.parent / "output.txt").read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)
        output.close()


def take_an_event(data: Path, port: int) -> None:
    """Send what the README's curl sends, with the key that was printed."""
    printed = (data.parent / "output.txt").read_text()
    key = re.search(r"wk_[\w-]+", printed)
    assert key, printed
    body = f'{{"writeKey":"{key[0]}","userId":"1","event":"Signed Up"}}'
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/track", body.encode()) as answer:
        assert answer.read() == b'{"success":true}'
    with sqlite3.connect(f"file:{data}/collector.db?mode=ro", uri=True) as database:
        assert database.execute("SELECT type, event FROM events").fetchall() == [
            ("track", "Signed Up")
        ]
    database.close()


def arguments(data: Path, port: int) -> list[str]:
    return ["--data", str(data), "--listen", f"127.0.0.1:{port}", "--admin", "127.0.0.1:0"]


def test_make_run_serves_and_prints_the_snippet(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    command = ["make", "run", f"ARGS={' '.join(arguments(data, port))}"]
    with running(command, data, port):
        take_an_event(data, port)
    assert "<script>" in (tmp_path / "output.txt").read_text()
