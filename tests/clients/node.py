"""Runs the clients from npm: in Node, and bundled for a browser."""

import asyncio
import json
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


async def run_node(script: str, given: dict[str, Any]) -> Any:
    """Runs `node/SCRIPT`, which reads `given` as JSON from its input (node/run.mjs) and prints
    what it found out as JSON."""
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / "node" / script), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(90):
        out, err = await process.communicate(json.dumps(given).encode())
    assert process.returncode == 0, err.decode()
    return json.loads(out.splitlines()[-1])


async def bundle(entry: str, target: Path) -> None:
    """Bundles `browser/ENTRY` and the packages that it imports into one classic script."""
    esbuild = HERE / "node_modules" / ".bin" / "esbuild"
    process = await asyncio.create_subprocess_exec(
        esbuild,
        HERE / "browser" / entry,
        "--bundle",
        "--format=iife",
        '--define:process.env.NODE_ENV="production"',
        f"--outfile={target}",
        "--log-level=warning",
    )
    assert await process.wait() == 0
