"""What a service manager hands over and is told: listening sockets that outlive a restart, and
when the collector is ready. The protocols are systemd's: sd_listen_fds(3) and sd_notify(3)."""

import contextlib
import os
import socket
import sys
from collections.abc import Mapping, MutableMapping

_FIRST = 3  # the number of the first socket handed over
NAMES = ("public", "admin")


def handed_over(environ: MutableMapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """The listening sockets by name: `public`, `admin`. Unnamed ones are taken in that order.
    What says so in the environment is removed, so that no child takes them for its own."""
    pid, count, names = (
        environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    )
    # The one-file program runs as the child of what the manager started.
    own = {str(os.getpid()), *([str(os.getppid())] if getattr(sys, "frozen", False) else [])}
    if pid not in own or not count.isdigit():
        return {}
    given = names.split(":") if names else []
    found: dict[str, socket.socket] = {}
    for place in range(int(count)):
        name = given[place] if place < len(given) and given[place] in NAMES else None
        name = name or next((n for n in NAMES if n not in found and n not in given), None)
        if name is not None and name not in found:
            found[name] = socket.socket(fileno=_FIRST + place)
            found[name].setblocking(False)
            os.set_inheritable(_FIRST + place, False)
    return found


def tell(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Tell the manager `READY=1`, `RELOADING=1` or `STOPPING=1`, when there is one that asked."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
    ):
        notify.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
        notify.send(state.encode())
