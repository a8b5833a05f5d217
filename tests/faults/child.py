"""The collector, made to die at a named point: `python -m tests.faults.child serve …`.

FAULT_POINT: functions that run on the writing thread, as "people.apply,people.begin" (the last
part of the module's name); FAULT_MOMENT: before such a function, within it (after FAULT_STEPS
steps of SQLite's machine, or at its end where it took fewer) or after it, that is: committed, and
nobody has heard of it; FAULT_NTH: which call. FAULT_POINT "migration": FAULT_NTH is the statement.
"""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

from collector.cli import main
from collector.store import database as db

_POINTS = os.environ["FAULT_POINT"].split(",")
_MOMENT = os.environ.get("FAULT_MOMENT", "before")
_STEPS = int(os.environ.get("FAULT_STEPS", "1"))
_left = int(os.environ.get("FAULT_NTH", "1"))


def die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def _due() -> bool:
    global _left  # noqa: PLW0603
    _left -= 1
    return _left == 0


def _deadly(work: Callable[..., Any]) -> Callable[..., Any]:
    def run(connection: Any, *args: Any, **kwargs: Any) -> Any:
        if not _due():
            return work(connection, *args, **kwargs)
        if _MOMENT == "before":
            die()
        if _MOMENT == "within":
            connection.set_progress_handler(die, _STEPS)
        work(connection, *args, **kwargs)
        return die()

    return run


_run = db.Database.run


async def run(self: db.Database, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    module = getattr(work, "__module__", "").rpartition(".")[2]
    if f"{module}.{getattr(work, '__name__', '')}" in _POINTS:
        work = _deadly(work)
    return await _run(self, work, *args, **kwargs)


_insert = db.Database.insert


async def insert(self: db.Database, *batch: Any) -> None:
    """Batches of events alone, which run no Python on the writing thread."""
    if "log._append" not in _POINTS or not _due():
        await _insert(self, *batch)
        return
    if _MOMENT == "before":
        die()
    if _MOMENT == "within":
        await _run(self, lambda connection: connection.set_progress_handler(die, _STEPS))
    await _insert(self, *batch)
    die()


_statements = db._statements


def statements(script: str) -> Iterator[str]:
    for statement in _statements(script):
        if _due():
            die()
        yield statement


if _POINTS == ["migration"]:
    db._statements = statements  # type: ignore[assignment]
db.Database.run = run  # type: ignore[method-assign]
db.Database.insert = insert  # type: ignore[method-assign]

if __name__ == "__main__":
    main(prog_name="collector")
