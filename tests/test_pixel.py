"""What the pixel makes of whatever a page passes to it is taken by the real collector."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Collector

PIXEL = Path(__file__).parent.parent / "pixel_js"
RUNS = os.environ.get("PIXEL_RUNS", "60")


@pytest.mark.skipif(not (PIXEL / "node_modules").exists(), reason="npm packages not installed")
async def test_all_that_the_property_test_of_the_pixel_sends_is_stored(
    collector: Collector, tmp_path: Path
) -> None:
    bodies = tmp_path / "bodies"
    node = shutil.which("node")
    assert node
    process = await asyncio.create_subprocess_exec(
        node,
        "node_modules/vitest/vitest.mjs",
        "run",
        "--silent=true",
        "tests/property.test.ts",
        cwd=PIXEL,
        env=os.environ | {"PIXEL_BODIES": str(bodies), "PIXEL_RUNS": RUNS},
    )
    assert await process.wait() == 0
    sent = []
    for body in bodies.read_bytes().splitlines():
        assert await collector.post("/c", body) == (200, {"success": True})
        sent += [event["messageId"] for event in json.loads(body)["batch"]]
    assert sorted(collector.ids()) == sorted(sent)
    assert len(sent) > int(RUNS)
