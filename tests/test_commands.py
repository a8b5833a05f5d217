"""The commands of README and docs, as they stand there, run one after the other by a person who
has just started a collector. A block that cannot be run here says so: ```sh not-run: REASON."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.faults.harness import Collector

ROOT = Path(__file__).parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What the documents' examples speak of.
SETTINGS = """
[[site]]
name = "shop"
key = "wk_shop_0123456789"
server_keys = ["sk_shop_0123456789"]
[[audience]]
name = "saw-pricing"
rule = { page = "/pricing*", within = "7d" }
"""
RULE = 'all = [{ page = "/pricing*", within = "7d" }, { not = { event = "purchase" } }]\n'
# Run by `make test` itself and by tests/test_run.py.
ELSEWHERE = re.compile(r"^make (run|test|binary|bench)\b")


class Block(NamedTuple):
    document: str
    line: int
    kind: str
    reason: str | None
    text: str


def blocks() -> list[Block]:
    found = []
    for document in DOCS:
        text = document.read_text("utf-8")
        for m in re.finditer(r"^```(sh|python)(?: ([^\n]*))?\n(.*?)^```", text, re.M | re.S):
            line = text.count("\n", 0, m.start()) + 1
            found.append(Block(document.name, line, m[1], m[2], m[3]))
    return found


BLOCKS = blocks()
RUN = [block for block in BLOCKS if block.reason is None]


class Desk(NamedTuple):
    """Where a person sits: a folder with `data`, and the program on the PATH."""

    collector: Collector
    folder: Path

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        text = block.text
        for there, here in (
            ("http://127.0.0.1:8080", self.collector.url),
            ("http://127.0.0.1:8081", self.collector.admin_url),
            ("wk_…", "wk_shop_0123456789"),
            ("sk_…", "sk_shop_0123456789"),
        ):
            text = text.replace(there, here)
        lines = [line for line in text.splitlines() if not ELSEWHERE.match(line)]
        shell = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
        command = shell if block.kind == "sh" else [sys.executable, "-c", text]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        settings = {"COLLECTOR_CONFIG": str(self.folder / "settings.toml"), "PATH": path}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | settings | {"COLLECTOR__ADMIN__LISTEN": self.admin},
            capture_output=True,
            text=True,
            timeout=90,
            stdin=subprocess.DEVNULL,
        )

    @property
    def admin(self) -> str:
        return self.collector.admin_url.removeprefix("http://")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "settings.toml").write_text(SETTINGS)
    (folder / "rule.toml").write_text(RULE)
    if (ROOT / "dist" / "collector").exists():
        (folder / "dist").mkdir()
        shutil.copy(ROOT / "dist" / "collector", folder / "dist" / "collector")
    collector = Collector(folder)
    collector._command += ["--config", str(folder / "settings.toml")]
    async with collector:
        yield Desk(collector, folder)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("block", RUN, ids=[f"{b.document}:{b.line}" for b in RUN])
async def test_what_the_documents_say_to_run_works(desk: Desk, block: Block) -> None:
    if "dist/collector" in block.text and not (desk.folder / "dist").exists():
        pytest.skip("make binary has not been run")
    done = desk.run(block)
    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"


def test_what_is_not_run_says_why() -> None:
    for block in BLOCKS:
        if block.reason is not None:
            assert re.fullmatch(r"not-run: .{10,}", block.reason), f"{block.document}:{block.line}"
