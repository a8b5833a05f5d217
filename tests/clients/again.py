"""HAProxy as docs/proxy/haproxy.cfg sets it: it sends again for clients that do not."""

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.faults.harness import free_ports

CONFIG = Path(__file__).parent.parent.parent / "docs" / "proxy" / "haproxy.cfg"


@asynccontextmanager
async def sending_again(folder: Path, url: str) -> AsyncIterator[str]:
    """Its address, before the collector at `url`."""
    (port,) = free_ports(1)
    text = CONFIG.read_text("utf-8")
    for there, here in (
        ("bind :8090", f"bind 127.0.0.1:{port}"),
        ("127.0.0.1:8080", url.removeprefix("http://")),
        ("abns@collector-taken", f"abns@{uuid.uuid4().hex}"),
    ):
        assert there in text
        text = text.replace(there, here)
    file = folder / "haproxy.cfg"
    file.write_text(text)
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") or "haproxy"
    process = await asyncio.create_subprocess_exec(program, "-db", "-q", "-f", str(file))
    try:
        await _listens(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def _listens(url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while True:
            try:
                async with session.get(f"{url}/healthz"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
