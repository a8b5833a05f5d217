"""What the one-file program needs beside the collector. PyInstaller's starter unpacks it into a
folder `_MEI…` in the temporary folder, runs it as a child, and removes the folder at its end.

Invariants: the child ends when the starter is killed; a folder that such an end left behind is
removed by the next start, one in use by another process never.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOCK = "in-use"
_UNPACKING_S = 600  # a folder without lock may be about to be used
_held: list[int] = []


def begin() -> None:
    """To be called first of all."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    with contextlib.suppress(OSError):  # there may be no /proc
        if Path(f"/proc/{os.getppid()}/exe").readlink() != Path("/proc/self/exe").readlink():
            raise SystemExit(1)  # the starter has gone already
    own = Path(getattr(sys, "_MEIPASS", ""))
    _hold(own)
    for folder in own.parent.glob("_MEI*"):
        if folder != own and (folder / "collector").is_dir() and _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _hold(own: Path) -> None:
    fd = os.open(own / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    _held.append(fd)


def _is_left(folder: Path) -> bool:
    try:
        fd = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        with contextlib.suppress(OSError):
            return time.time() - folder.stat().st_mtime > _UNPACKING_S
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def built() -> str:
    """When and for what the program was built; empty for an installed package."""
    file = Path(__file__).parent / "built.json"
    if not file.exists():
        return ""
    said = json.loads(file.read_text("utf-8"))
    return f", built {said['date']}, needs glibc {said['glibc']}"
