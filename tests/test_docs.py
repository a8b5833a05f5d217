"""The documents say what is there: settings, endpoints, metrics, and commands that work."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click import Group

from collector.cli import main
from collector.config import declared
from collector.config_clients import Clients
from collector.config_http import Http
from collector.metrics import COUNTERS
from collector.reference import reference
from collector.wire.table import routes
from collector.workers import forward_metrics

ROOT = Path(__file__).parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BEHAVIOR = (ROOT / "docs" / "BEHAVIOR.md").read_text("utf-8")
CLIENTS = (ROOT / "docs" / "CLIENTS.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def test_the_reference_of_settings_is_fresh() -> None:
    assert (ROOT / "docs" / "CONFIG.md").read_text("utf-8") == reference(), "run: make docs"


def test_settings_named_in_the_documents_exist() -> None:
    sections = {path.partition(".")[0] for path, _, _ in declared()}
    known = {path.replace("[]", "") for path, _, _ in declared()}
    for document in DOCS:
        for name in re.findall(r"`([a-z]+\.[a-z_]+)`", document.read_text("utf-8")):
            if name.partition(".")[0] in sections:
                assert name in known, f"{document.name}: {name}"


@pytest.mark.parametrize("path", sorted(routes(Http(), Clients())))
def test_every_endpoint_is_described(path: str) -> None:
    shape = re.sub(r"^/v1/pixel/\w+$", "/v1/pixel/{type}", path)
    if re.fullmatch(r"/v1/[a-z]", shape):
        shape = "/v1/b" if shape == "/v1/b" else "/v1/i"
    assert f"{shape}`" in BEHAVIOR + CLIENTS


@pytest.mark.parametrize("name", sorted(COUNTERS))
def test_every_counter_is_described(name: str) -> None:
    assert f"`collector_{name}_total`" in BEHAVIOR


@pytest.mark.parametrize(
    "name", [*(f"{n}_total" for n in forward_metrics.COUNTERS), *forward_metrics.GAUGES]
)
def test_every_metric_of_an_upstream_is_described(name: str) -> None:
    assert f"`collector_{name}`" in BEHAVIOR


def test_every_command_is_in_the_readme_and_says_what_it_does() -> None:
    assert isinstance(main, Group)
    for name, command in main.commands.items():
        assert f"`collector {name}`" in README
        assert command.help


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_between_the_documents_lead_somewhere() -> None:
    for document in DOCS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("command", [["--help"], ["serve", "--help"], ["--version"]])
def test_the_program_explains_itself(command: list[str]) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "collector", *command], capture_output=True, text=True, check=True
    )
    assert "collector" in said.stdout.lower()
