"""What leaves by `collector export`: rows of the log as text, written out by SQLite itself.

A line of JSON holds its JSON columns byte for byte. Where one of them has a line break (a client
that indents), it is shown with spaces, and `exact` has it as it is.
"""

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.event import JSON_COLUMNS, PLAIN_COLUMNS, Event

_TIMES = ("timestamp", "received_at", "sent_at", "original_timestamp")
_SPAN = 50_000  # numbers looked through in one read, so that a filter that fits few stays short
COLUMNS = ("seq", *Event.__struct_fields__)


class Filter(msgspec.Struct, frozen=True):
    """Which events: `since` <= timestamp < `until` in milliseconds; None is any."""

    since: int | None = None
    until: int | None = None
    sites: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    user: str | None = None

    @property
    def parameters(self) -> tuple[int | str | None, ...]:
        lists = (
            msgspec.json.encode(names).decode() if names else None
            for names in (self.sites, self.types, self.events)
        )
        return (self.since, self.until, *lists, self.user)


def _broken(column: str) -> str:
    return f"(instr({column}, char(10)) OR instr({column}, char(13)))"


def _line() -> str:
    """A JSON object: the plain columns by name, the JSON columns as they are."""
    plain = ", ".join(f"'{name}', {name}" for name in ("seq", *PLAIN_COLUMNS))
    parts = [f"rtrim(json_object({plain}), '}}')"]  # a last text ends with a quote
    for name in JSON_COLUMNS:
        shown = f"replace(replace({name}, char(10), ' '), char(13), ' ')"
        parts.append(f"',\"{name}\":' || coalesce({shown}, 'null')")
    texts = ", ".join(f"'{name}', iif({_broken(name)}, {name}, NULL)" for name in JSON_COLUMNS)
    broken = " OR ".join(f"coalesce({_broken(name)}, 0)" for name in JSON_COLUMNS)
    parts.append(f"iif({broken}, ',\"exact\":' || json_object({texts}), '')")
    return " || ".join(parts) + " || '}'"


def _cells() -> str:
    """Times as text in UTC, for people."""
    iso = "strftime('%Y-%m-%dT%H:%M:%fZ', {} / 1000.0, 'unixepoch')"
    return ", ".join(iso.format(name) if name in _TIMES else name for name in COLUMNS)


_BRIEF = "received_at, site, type, event, user_id, anonymous_id, path, bot, violations, properties"
# `ndjson`: a line; `brief`: what `tail` shows; `csv`: a row's cells; `record`: an object of
# scalars.
FORMS = {
    "ndjson": _line(),
    "csv": _cells(),
    "brief": _BRIEF,
    "record": f"json_object({', '.join(chr(39) + n + chr(39) + ',' + n for n in COLUMNS)})",
}
MATCHES = (
    "(?4 IS NULL OR timestamp >= ?4) AND (?5 IS NULL OR timestamp < ?5) AND "
    "(?6 IS NULL OR site IN (SELECT value FROM json_each(?6))) AND "
    "(?7 IS NULL OR type IN (SELECT value FROM json_each(?7))) AND "
    "(?8 IS NULL OR event IN (SELECT value FROM json_each(?8))) AND "
    "(?9 IS NULL OR user_id = ?9 OR anonymous_id = ?9)"
)


class Portion(msgspec.Struct, frozen=True):
    """The rows found, without their numbers, and up to which number was looked."""

    rows: list[tuple[str | int | None, ...]]
    upto: int


def portion(
    connection: sqlite.Connection, form: str, wanted: Filter, after: int, last: int, limit: int
) -> Portion:
    """At most `limit` rows with `after` < number <= `last`, in order."""
    upto = min(last, after + _SPAN)
    rows = connection.execute(
        f"SELECT seq, {FORMS[form]} FROM events WHERE seq > ?1 AND seq <= ?2 AND {MATCHES} "
        "ORDER BY seq LIMIT ?3",
        (after, upto, limit, *wanted.parameters),
    ).fetchall()
    if len(rows) == limit:
        upto = rows[-1][0]
    return Portion([row[1:] for row in rows], upto)


def latest(
    connection: sqlite.Connection, form: str, wanted: Filter, limit: int
) -> tuple[list[tuple[str | int | None, ...]], int]:
    """The last rows among the newest numbers, in order, and the last number."""
    last = bounds(connection)[1]
    rows = connection.execute(
        f"SELECT {FORMS[form]} FROM events WHERE seq > ?1 AND seq <= ?2 AND {MATCHES} "
        "ORDER BY seq DESC LIMIT ?3",
        (last - _SPAN, last, limit, *wanted.parameters),
    ).fetchall()
    return rows[::-1], last


def bounds(connection: sqlite.Connection) -> tuple[int, int]:
    """The number before the first event, and the last one's."""
    first, last = connection.execute("SELECT min(seq), max(seq) FROM events").fetchone()
    return (int(first) - 1, int(last)) if last else (0, 0)
