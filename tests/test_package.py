"""The wheel, as somebody installs it who has Python and nothing else."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from tests.faults.harness import free_port
from tests.test_run import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return built(folder, without_node(folder))


def built(folder: Path, environment: dict[str, str]) -> Path:
    """In a copy: what was compiled before lies beside the sources."""
    copy = folder / "copy"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "collector", "pyproject.toml", "README.md", "LICENSE"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, tracked):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w"]
    subprocess.run([*command, str(folder), str(copy)], check=True, env=environment)
    (made,) = folder.glob("*.whl")
    return made


def without_node(folder: Path) -> dict[str, str]:
    """The environment of a machine on which node and npm cannot be started."""
    for name in ("node", "npm"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_it_holds_all_that_is_not_python(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "collector"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(tracked) <= set(zipfile.ZipFile(wheel).namelist())


def test_it_was_compiled(wheel: Path) -> None:
    assert any(
        name.startswith("collector/_compiled.") and name.endswith(".so")
        for name in zipfile.ZipFile(wheel).namelist()
    )


def test_without_a_compiler_it_takes_events_all_the_same_and_says_that_it_is_slower(
    tmp_path: Path,
) -> None:
    made = built(tmp_path, os.environ | {"CC": "/bin/false"})
    unpacked, port = tmp_path / "unpacked", free_port()
    zipfile.ZipFile(made).extractall(unpacked)
    assert not list(unpacked.rglob("*.so"))
    command = [sys.executable, "-m", "collector", "serve", "--data", str(tmp_path / "data")]
    command += ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{free_port()}"]
    settings = tmp_path / "collector.toml"
    settings.write_text('[[site]]\nname = "shop"\nkey = "wk_of_the_wheel"\n')
    command += ["--config", str(settings)]
    environment = os.environ | {"PYTHONPATH": str(unpacked)}
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=said, stderr=said, env=environment)
        try:
            body = b'{"writeKey":"wk_of_the_wheel","event":"E","messageId":"m"}'
            request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/track", body)
            for _ in range(300):
                assert process.poll() is None, (tmp_path / "said").read_text()
                try:
                    with urllib.request.urlopen(request) as answer:
                        assert answer.read() == b'{"success":true}'
                    break
                except ConnectionError:
                    time.sleep(0.1)
                except urllib.error.URLError as error:
                    assert isinstance(error.reason, ConnectionError)
                    time.sleep(0.1)
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0
    assert "collector._compiled was not compiled" in (tmp_path / "said").read_text()
    with closing(sqlite.connect(tmp_path / "data" / "collector.db")) as connection:
        assert connection.execute("SELECT message_id FROM events").fetchall() == [("m",)]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The program in a virtual environment that has nothing else."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel)], check=True, env=without_node(folder))
    yield folder / "bin" / "collector"


def test_the_demo_runs_in_a_fresh_environment_without_node(installed: Path, tmp_path: Path) -> None:
    port, admin = free_port(), free_port()
    command = [str(installed), "demo", "--visits", "20", "--data", str(tmp_path / "data")]
    command += ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"]
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=said, stderr=said, env=without_node(tmp_path)
        )
        try:
            for _ in range(600):
                assert process.poll() is None, (tmp_path / "said").read_text()
                if "Dashboard on" in (tmp_path / "said").read_text():
                    break
                time.sleep(0.1)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/c.js") as script:
                assert script.status == 200
            token = (tmp_path / "data" / "admin-token").read_text().strip()
            page = urllib.request.Request(f"http://127.0.0.1:{admin}/")
            page.add_header("Authorization", f"Bearer {token}")
            with urllib.request.urlopen(page) as shown:
                assert b"<html" in shown.read()
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0
