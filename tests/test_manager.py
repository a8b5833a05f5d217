"""Sockets that a service manager hands over, and what it is told."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from collector import manager

SHOW = """
from collector import manager
for name, found in manager.handed_over().items():
    print(name, found.getsockname()[1])
"""


def shown(names: str, pid: str = "$$") -> dict[str, int]:
    """What a process finds that is given two listening sockets as numbers 3 and 4."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        ports = {one.getsockname()[1]: 3, two.getsockname()[1]: 4}
        said = subprocess.run(
            [
                "bash",
                "-c",
                f'LISTEN_PID={pid} LISTEN_FDS=2 LISTEN_FDNAMES={names} exec "$@"'
                f" 3<&{one.fileno()} 4<&{two.fileno()}",
                "bash",
                sys.executable,
                "-c",
                SHOW,
            ],
            pass_fds=(one.fileno(), two.fileno()),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return {line.split()[0]: ports[int(line.split()[1])] for line in said.splitlines()}


def test_sockets_are_taken_by_name() -> None:
    assert shown("admin:public") == {"admin": 3, "public": 4}


def test_sockets_without_names_are_public_then_admin() -> None:
    assert shown("''") == {"public": 3, "admin": 4}
    assert shown("collector.socket:admin") == {"public": 3, "admin": 4}


def test_what_is_meant_for_another_process_is_left_alone() -> None:
    assert shown("public:admin", pid="1") == {}


def test_a_manager_that_asked_is_told(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        manager.tell("READY=1", {"NOTIFY_SOCKET": str(address)})
        assert listener.recv(100) == b"READY=1"


def test_nobody_is_told_where_nobody_asked() -> None:
    assert "NOTIFY_SOCKET" not in os.environ
    manager.tell("READY=1")
    manager.tell("READY=1", {"NOTIFY_SOCKET": "/nowhere/at/all"})
