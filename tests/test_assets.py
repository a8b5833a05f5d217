"""What is built is committed, so that an installation needs no Node; here it is built again."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "collector" / "static"
PIXEL = ROOT / "pixel_js"


@pytest.mark.skipif(not (PIXEL / "node_modules").exists(), reason="npm packages not installed")
def test_the_committed_script_is_what_its_source_builds(tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node
    subprocess.run([node, "build.mjs", str(tmp_path)], cwd=PIXEL, check=True)
    for name in ("c.js", "c2.js", "segment.js", "snippet.js", "dashboard.js", "dashboard.css"):
        assert (tmp_path / name).read_bytes() == (STATIC / name).read_bytes(), "run: make pixel"


def test_the_dashboards_first_load_is_at_most_80_kb() -> None:
    files = [STATIC / f"dashboard.{kind}" for kind in ("html", "js", "css")]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= 80_000
