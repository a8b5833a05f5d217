"""What a disk holds after the power was cut, by what was written and synced before.

`Disk` takes the calls of disk_layer.py one by one. Synced is what a sync of the file has
promised; of everything else any part may have reached the disk, in any order: as it is, not at
all, up to a sector, as zeros, or as garbage. New names, renames and removals count as promised
when the folder was synced; before that they happen in order, up to any of them.
"""

import random
from collections.abc import Callable
from pathlib import Path

from tests.faults.disk_layer import RENAME, SYNC, TRUNCATE, UNLINK, WRITE, Op

_SECTOR = 512
_NOT_KEPT = ("collector.db-shm", "snapshot.db-shm")  # lives in memory; SQLite makes it anew

Names = dict[str, "File"]
Fate = Callable[[random.Random], str]


class File:
    """What is sure of a file's content, and the calls since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[Op] = []

    def sync(self) -> None:
        for op in self.pending:
            _apply(self.synced, op)
        self.pending.clear()

    def after_cut(self, fate: Fate, roll: random.Random) -> bytearray:
        content = bytearray(self.synced)
        for op in self.pending:
            _suffer(content, op, fate(roll), roll)
        return content


class Disk:
    """Files by name as the process sees them, and as the folder on disk has them."""

    def __init__(self) -> None:
        self._names: Names = {}
        self._synced: Names = {}
        self._pending: list[Callable[[Names], object]] = []

    def take(self, op: Op) -> None:
        if op.name in _NOT_KEPT:
            return
        if op.op in (WRITE, TRUNCATE):
            self._file(op.name).pending.append(op)
        elif op.op == SYNC and op.name:
            self._file(op.name).sync()
        elif op.op == SYNC:
            self._synced = dict(self._names)
            self._pending.clear()
        elif op.op == UNLINK:
            self._change(lambda names: names.pop(op.name, None))
        elif op.op == RENAME:
            self._change(lambda names: _rename(names, op.name, op.data.decode()))

    def cut(self, folder: Path, roll: random.Random) -> None:
        """Write into `folder` one of the states that a cut at this moment can leave."""
        names = dict(self._synced)
        for change in self._pending[: roll.randint(0, len(self._pending))]:
            change(names)
        fate = roll.choice(_MANNERS)
        for name, file in names.items():
            path = folder / name
            path.write_bytes(file.after_cut(fate, roll))

    def _file(self, name: str) -> File:
        if name not in self._names:
            made = File()
            self._change(lambda names: names.setdefault(name, made))
        return self._names[name]

    def _change(self, change: Callable[[Names], object]) -> None:
        change(self._names)
        self._pending.append(change)


def _rename(names: Names, old: str, new: str) -> None:
    if old in names:
        names[new] = names.pop(old)


def _apply(content: bytearray, op: Op) -> None:
    if op.op == TRUNCATE:
        del content[op.offset :]
        content.extend(bytes(op.offset - len(content)))
        return
    content.extend(bytes(max(0, op.offset - len(content))))
    content[op.offset : op.offset + len(op.data)] = op.data


def _suffer(content: bytearray, op: Op, fate: str, roll: random.Random) -> None:
    if fate == "lost":
        return
    if op.op == WRITE and fate == "cut":
        op = op._replace(data=op.data[: roll.randrange(len(op.data)) // _SECTOR * _SECTOR])
    elif op.op == WRITE and fate == "zeros":
        op = op._replace(data=bytes(len(op.data)))
    elif op.op == WRITE and fate == "garbage":
        op = op._replace(data=roll.randbytes(len(op.data)))
    _apply(content, op)


def _any(roll: random.Random) -> str:
    return roll.choices(("whole", "lost", "cut", "zeros", "garbage"), (50, 20, 10, 10, 10))[0]


def _some(roll: random.Random) -> str:
    return roll.choice(("whole", "lost"))


_MANNERS: tuple[Fate, ...] = (_any, _any, _some, lambda roll: "lost", lambda roll: "whole")
