"""The wheel, as somebody installs it who has Python and nothing else."""

import os
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import free_port
from tests.test_run import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, env=without_node(folder))
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
