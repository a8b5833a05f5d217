"""A data folder opened by the product's own start, in this process: cheap enough for thousands."""

import logging
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite3  # the system's older one refuses what ours takes

from collector.errors import CollectorError, Damaged
from collector.event import Event
from collector.store.database import Database, begin_anew, open_database, site_keys
from collector.store.log import claim, open_log

SETTINGS = {"durability": "full", "checkpoint_pages": 1000}
_WINDOW = 100_000


class Opened(msgspec.Struct):
    """`refused`: why it does not start. `said`: the log's lines of WARNING and above. `rows`: of
    events, none where they cannot be read. `unsound`: what SQLite finds wrong, "" for nothing.
    `takes_more`: a new event is stored. `stored_again`: events that were offered once more,
    were there, and were stored all the same."""

    refused: str = ""
    said: str = ""
    rows: list[dict[str, Any]] = []
    unsound: str = ""
    last_seq: int = 0
    stored_again: int = 0
    takes_more: bool = False


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
    path, mark = data / "collector.db", claim(data)
    try:
        database = await open_database(path, **SETTINGS)
        try:
            await _work(database, mark, again, found)
        except Damaged as error:  # as cli.py does when a start comes upon it
            await database.close()
            database = await begin_anew(path, **SETTINGS, error=error)
            await _work(database, mark, again, found)
        finally:
            await database.close()
    finally:
        os.close(mark)


async def _work(database: Database, mark: int, again: int, found: Opened) -> None:
    await database.run(site_keys, ["shop"])
    log = await open_log(database, mark, _WINDOW, 100)
    found.last_seq = log.last_seq
    found.rows, found.unsound = _look(database.path)
    known = random.sample(found.rows, min(again, len(found.rows)))
    found.stored_again = (await log.append([_event(row) for row in known], [])).stored
    found.takes_more = (await log.append([_new_event()], [])).stored == 1


def _event(row: dict[str, Any]) -> Event:
    return Event(**{name: row[name] for name in Event.__struct_fields__})


def _new_event() -> Event:
    given = {"message_id": os.urandom(16).hex(), "site": "shop", "type": "track"}
    times = {"timestamp": 0, "received_at": 0}
    return Event(**(dict.fromkeys(Event.__struct_fields__) | given | times))


def _look(path: Path) -> tuple[list[dict[str, Any]], str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        rows: list[dict[str, Any]] = []
        try:
            rows.extend(map(dict, connection.execute("SELECT * FROM events ORDER BY seq")))
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return rows, str(error)
    return rows, "" if found == "ok" else found
