"""What the collector is compared with. A further peer is a Peer and a row of PEERS."""

import os
import shutil
import sys
from collections.abc import Callable

import msgspec

from bench.process import KEY, Collector, Served, free_ports, scratch_folder

_NGINX = """
{user}worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log combined buffer=64k flush=1s;
  keepalive_requests 1000000000;
  keepalive_timeout 30s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location = /c.gif {{ empty_gif; }}
    location = /readyz {{ access_log off; return 200; }}
  }}
}}
"""


class Peer(msgspec.Struct, frozen=True):
    """A system to load. `start` makes it, not yet running; `missing` says why it cannot be
    started here, None when it can; `shapes` are those of traffic.py that it takes. `full`: only
    with --full. A peer with another API overrides Served's `pool`, and `last_seq` where it can
    tell how many events it has stored."""

    name: str
    shapes: tuple[str, ...]
    start: Callable[[], Served]
    missing: Callable[[], str | None]
    full: bool = False


class Nginx(Served):
    """One worker, the built-in empty GIF, a buffered access log: no parsing, nothing stored."""

    name = "nginx"
    readable = False

    def __init__(self, program: str) -> None:
        folder, port = scratch_folder(), free_ports(1)[0]
        user = "user root;\n" if os.geteuid() == 0 else ""
        config = folder / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, port=port, user=user), "utf-8")
        command = [program, "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")]
        super().__init__(command, folder, port)

    def last_seq(self) -> int | None:
        return None


class Baseline(Served):
    """The plain aiohttp and aiosqlite design of baseline.py."""

    name = "baseline"

    def __init__(self) -> None:
        folder, port = scratch_folder(), free_ports(1)[0]
        command = [sys.executable, "-m", "bench.baseline", str(folder), str(port), KEY]
        super().__init__(command, folder, port)


def nginx_program() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _nginx() -> Served:
    program = nginx_program()
    assert program
    return Nginx(program)


PEERS = (
    Peer("nginx", ("gif",), _nginx, lambda: None if nginx_program() else "nginx is not installed"),
    Peer("baseline", ("single", "batch20"), Baseline, lambda: None),
    Peer("collector", ("single", "batch20", "gif"), Collector, lambda: None),
)
