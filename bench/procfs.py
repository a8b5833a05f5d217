"""What Linux says of processes and the machine."""

import contextlib
import os
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids += [int(child) for child in children.read_text("ascii").split()]
    return pids


def ticks(pid: int) -> int:
    """Also of children that have ended and were waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15])


def rss(pid: int) -> tuple[int, int]:
    """VmRSS and VmHWM."""
    found = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                found[name] = int(value.split()[0]) * 1024
    return found.get("VmRSS", 0), found.get("VmHWM", 0)


def process_ticks() -> dict[int, tuple[str, int, set[int]]]:
    """Name, processor ticks and line of ancestors (itself included) of each process."""
    parents: dict[int, int] = {}
    found: dict[int, tuple[str, int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text("utf-8", "replace")
        except OSError:
            continue
        name, rest = text.partition("(")[2].rsplit(")", 1)
        fields = rest.split()
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        found[pid] = (name, int(fields[11]) + int(fields[12]))
    return {pid: (name, ticks, _line(pid, parents)) for pid, (name, ticks) in found.items()}


def _line(pid: int, parents: dict[int, int]) -> set[int]:
    line = set()
    while pid and pid not in line:
        line.add(pid)
        pid = parents.get(pid, 0)
    return line


def machine_ticks() -> tuple[int, int]:
    """Ticks of all cores in use, and ticks that the hypervisor gave to other guests."""
    try:
        line = Path("/proc/stat").read_text("ascii").split("\n", 1)[0]
    except OSError:
        return 0, 0
    user, nice, system, _, _, irq, soft, stolen = (int(field) for field in line.split()[1:9])
    return user + nice + system + irq + soft, stolen


def own_seconds() -> float:
    """Of this process and the children that were waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
