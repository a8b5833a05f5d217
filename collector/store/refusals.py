"""What was refused under a valid key, for who looks into it."""

from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store.reader import dicts


class Refusals(msgspec.Struct, frozen=True):
    """Which refused events: `since` <= time < `until` in milliseconds; None or empty is any."""

    since: int | None = None
    until: int | None = None
    sites: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[int | str | None, ...]:
        lists = (
            msgspec.json.encode(names).decode() if names else None
            for names in (self.sites, self.codes)
        )
        return (self.since, self.until, *lists)


_REFUSED = """FROM rejected WHERE (?1 IS NULL OR received_at >= ?1)
    AND (?2 IS NULL OR received_at < ?2)
    AND (?3 IS NULL OR site IN (SELECT value FROM json_each(?3)))
    AND (?4 IS NULL OR code IN (SELECT value FROM json_each(?4)))"""


def newest(connection: sqlite.Connection, wanted: Refusals, limit: int) -> list[dict[str, Any]]:
    """The newest refused events first."""
    columns = "id, site, received_at, batch_index, status, code, message, body"
    query = f"SELECT {columns} {_REFUSED} ORDER BY id DESC LIMIT ?5"
    return dicts(connection.execute(query, (*wanted.parameters, limit)))


def counts(connection: sqlite.Connection, wanted: Refusals) -> dict[str, int]:
    """How many of each code are kept."""
    query = f"SELECT code, count(*) {_REFUSED} GROUP BY code ORDER BY 2 DESC"
    return dict(connection.execute(query, wanted.parameters).fetchall())


def again(
    connection: sqlite.Connection, wanted: Refusals, after: int, limit: int
) -> list[tuple[int, str, int, bytes]]:
    """Id, site, time and bytes of those that may be tried again, the oldest first: not of what an
    upstream refused, which is in the log."""
    query = (
        f"SELECT id, site, received_at, body {_REFUSED} AND id > ?5 AND length(body) > 0 "
        "AND code != 'upstream_refused' ORDER BY id LIMIT ?6"
    )
    rows: list[tuple[int, str, int, bytes]] = connection.execute(
        query, (*wanted.parameters, after, limit)
    ).fetchall()
    return rows


def remove(connection: sqlite.Connection, ids: list[int]) -> None:
    """They are in the log now."""
    connection.executemany("DELETE FROM rejected WHERE id = ?", [(one,) for one in ids])
