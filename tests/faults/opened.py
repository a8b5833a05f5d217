"""A data folder opened by the product's own start, in this process: cheap enough for thousands."""

import logging
import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from collector.errors import CollectorError
from collector.event import Event
from collector.store.database import open_database, site_keys
from collector.store.log import claim, open_log

SETTINGS = {"durability": "full", "checkpoint_pages": 1000}
_WINDOW = 100_000


class Opened(msgspec.Struct):
    """`refused`: why it does not start. `said`: the log's lines of WARNING and above. `rows`: of
    events, none where they cannot be read. `unsound`: what SQLite finds wrong, "" for nothing.
    `stored_again`: events that were offered once more, were there, and were stored all the same."""

    refused: str = ""
    said: str = ""
    rows: list[dict[str, Any]] = []
    unsound: str = ""
    last_seq: int = 0
    stored_again: int = 0


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """In memory where there is such a place: syncs cost nothing, and what they promise is not
    in question here."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


async def opened(data: Path, again: int = 0) -> Opened:
    """Start on the folder, look, offer `again` of the events once more, as clients do that had
    no answer, and stop."""
    handler, found = _Lines(), Opened()
    logging.getLogger("collector").addHandler(handler)
    try:
        await _start(data, again, found)
    except CollectorError as error:
        found.refused = str(error)
    finally:
        logging.getLogger("collector").removeHandler(handler)
    found.said = "\n".join(handler.lines)
    return found


async def _start(data: Path, again: int, found: Opened) -> None:
    mark = claim(data)
    try:
        database = await open_database(data / "collector.db", **SETTINGS)
        try:
            await database.run(site_keys, ["shop"])
            log = await open_log(database, mark, _WINDOW, 100)
            found.last_seq = log.last_seq
            found.rows, found.unsound = _look(data / "collector.db")
            known = random.sample(found.rows, min(again, len(found.rows)))
            found.stored_again = (await log.append([_event(row) for row in known], [])).stored
        finally:
            await database.close()
    finally:
        os.close(mark)


def _event(row: dict[str, Any]) -> Event:
    return Event(**{name: row[name] for name in Event.__struct_fields__})


def _look(path: Path) -> tuple[list[dict[str, Any]], str]:
    if not path.exists():
        return [], ""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            rows = [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY seq")]
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return [], str(error)
    return rows, "" if found == "ok" else found
