"""nginx before a collector, with a log of what it takes for one request."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults.harness import Collector, free_port

_CONFIG = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access.log; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream collector {{ server {upstream}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port}; client_body_timeout 1s; client_header_timeout 1s;
    location / {{
      proxy_pass http://collector; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering {buffering}; proxy_read_timeout 5s;
    }}
  }}
}}
"""
_ID = re.compile(r"id=([a-z0-9-]+)")


def program() -> str | None:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


class Nginx:
    def __init__(self, folder: Path, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self._log = folder / "access.log"

    def ids(self) -> set[str]:
        """Of the requests that it has seen as ones of their own: each has its id in its line."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        quoted = [line.split('"')[1] for line in lines if '"' in line]
        return {found for line in quoted for found in _ID.findall(line)[:1]}


@asynccontextmanager
async def nginx(folder: Path, collector: Collector, buffering: bool) -> AsyncIterator[Nginx]:
    folder.mkdir()
    port, file = free_port(), folder / "nginx.conf"
    upstream = f"{collector.address[0]}:{collector.address[1]}"
    switch = "on" if buffering else "off"
    file.write_text(_CONFIG.format(folder=folder, port=port, upstream=upstream, buffering=switch))
    process = await asyncio.create_subprocess_exec(program() or "nginx", "-c", str(file))
    try:
        await _listens(port)
        yield Nginx(folder, port)
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
