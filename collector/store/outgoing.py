"""What upstreams are sent: events beyond a cursor, written out by SQLite itself.

An event is made into its text in compiled code, without the interpreter lock: what forwarding
takes from ingest on the same core is a join of texts.
"""

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.event import Event, Outgoing
from collector.store import cursors

SPAN = 50_000  # numbers looked through in one step, so that a filter that fits few stays short
_FETCH = 100
_VISITOR = "coalesce(anonymous_id, user_id, message_id)"
# collector.event.lane, in SQL.
_LANE = (
    f"(unicode(substr({_VISITOR}, -1)) + 3 * unicode(substr({_VISITOR}, -2))"
    f" + 5 * unicode(substr({_VISITOR}, -3))) & 15"
)


_TIMES = ("timestamp", "received_at", "sent_at", "original_timestamp")


def _columns(text_times: bool) -> str:
    """An object of the table's columns; times in milliseconds, or as text in UTC."""
    pairs = []
    for name in ("seq", *Event.__struct_fields__):
        value = name
        if text_times and name in _TIMES:
            value = f"strftime('%Y-%m-%d %H:%M:%f', {name} / 1000.0, 'unixepoch')"
        pairs.append(f"'{name}', {value}")
    return f"json_object({', '.join(pairs)})"


def _segment() -> str:
    """A call as Segment's clients make it; what they would not send is left out."""
    parts = ["'{\"type\":' || json_quote(type)", "',\"messageId\":' || json_quote(message_id)"]
    parts.append("iif(type = 'track', ',\"event\":', ',\"name\":') || json_quote(event)")
    for name, said in (
        ("user_id", "userId"),
        ("anonymous_id", "anonymousId"),
        ("group_id", "groupId"),
        ("previous_id", "previousId"),
    ):
        parts.append(f"',\"{said}\":' || json_quote({name})")
    iso = "strftime('%Y-%m-%dT%H:%M:%fZ', timestamp / 1000.0, 'unixepoch')"
    parts.append(f"',\"timestamp\":\"' || {iso} || '\"'")
    parts += ["',\"properties\":' || properties", "',\"traits\":' || traits"]
    context = "coalesce(context, '{}')"
    context = f"iif(ip IS NULL, {context}, json_insert({context}, '$.ip', ip))"
    agent = "'$.userAgent', user_agent"
    context = f"iif(user_agent IS NULL, {context}, json_insert({context}, {agent}))"
    consent = f"json_set({context}, '$.consent', json(consent))"
    parts.append(f"',\"context\":' || iif(consent IS NULL, {context}, {consent})")
    optional = [
        p if i < 2 else f"iif({n} IS NULL, '', {p})"
        for i, (p, n) in enumerate(
            zip(
                parts,
                (
                    "type",
                    "message_id",
                    "event",
                    "user_id",
                    "anonymous_id",
                    "group_id",
                    "previous_id",
                    "timestamp",
                    "properties",
                    "traits",
                    "type",
                ),
                strict=True,
            )
        )
    ]
    return " || ".join(optional) + " || '}'"


FORMS = {
    "edge": f"json_array({', '.join(Event.__struct_fields__)})",
    "columns": _columns(text_times=False),
    "clickhouse": _columns(text_times=True),
    "segment": _segment(),
}
MATCHES = (
    "(?3 IS NULL OR site IN (SELECT value FROM json_each(?3))) AND "
    "(?4 IS NULL OR type IN (SELECT value FROM json_each(?4))) AND "
    "(?5 IS NULL OR event IN (SELECT value FROM json_each(?5)))"
)
_QUERIES = {
    form: f"SELECT seq, {_LANE}, {_VISITOR}, received_at, {text} FROM events "  # noqa: S608
    f"WHERE seq > ?1 AND seq <= ?2 AND {MATCHES} ORDER BY seq"
    for form, text in FORMS.items()
}
_encode = msgspec.json.Encoder().encode


class Filter(msgspec.Struct, frozen=True):
    """Which events an upstream gets; empty: all."""

    sites: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[str | None, ...]:
        return tuple(
            _encode(names).decode() if names else None
            for names in (self.sites, self.types, self.events)
        )


class Chunk(msgspec.Struct, frozen=True):
    """The events with `after` < number <= `upto` that fit; `whole`: as many as were asked for."""

    after: int
    upto: int
    rows: list[Outgoing]
    whole: bool


def chunk(
    connection: sqlite.Connection,
    form: str,
    wanted: Filter,
    after: int,
    last_seq: int,
    max_events: int,
    max_bytes: int,
) -> Chunk:
    """At most that many events and bytes (one event in any case) in the form of `form`."""
    upto = min(last_seq, after + SPAN)
    cursor = connection.execute(_QUERIES[form], (after, upto, *wanted.parameters))
    rows: list[Outgoing] = []
    size = 0
    try:
        while fetched := cursor.fetchmany(min(_FETCH, max_events - len(rows))):
            for row in fetched:
                size += len(row[4])
                if size > max_bytes and rows:
                    return Chunk(after, rows[-1].seq, rows, True)
                rows.append(Outgoing(*row))
            if len(rows) >= max_events:
                return Chunk(after, rows[-1].seq, rows, True)
    finally:
        cursor.close()
    return Chunk(after, upto, rows, False)


def start(connection: sqlite.Connection, upstream: str) -> tuple[int, tuple[int, int] | None]:
    """The cursor, and the bounds of the batch that was being sent, if one was begun. A new
    upstream gets its cursor now: retention deletes nothing beyond the cursors that there are."""
    connection.execute("INSERT OR IGNORE INTO cursors VALUES (?, 0)", (cursor_name(upstream),))
    row = connection.execute(
        "SELECT after, upto FROM forward_plans WHERE upstream = ?", (upstream,)
    ).fetchone()
    at = cursors.position(connection, cursor_name(upstream))
    return at, (int(row[0]), int(row[1])) if row else None


def first_since(connection: sqlite.Connection, at: int) -> int:
    """The number before the first event received at that time (milliseconds) or later. Halves
    the log, which is in order of arrival."""
    low, high = connection.execute(
        "SELECT coalesce(min(seq), 1) - 1, coalesce(max(seq), 0) FROM events"
    ).fetchone()
    while low < high:
        middle = (low + high + 1) // 2
        row = connection.execute(
            "SELECT seq, received_at FROM events WHERE seq <= ? AND seq > ? "
            "ORDER BY seq DESC LIMIT 1",
            (middle, low),
        ).fetchone()
        if row is None or row[1] < at:
            low = middle
        else:
            high = row[0] - 1
    return int(low)


def begin(connection: sqlite.Connection, upstream: str, after: int, upto: int) -> None:
    """Fix a batch's bounds before it is sent for the first time."""
    connection.execute(
        "INSERT OR REPLACE INTO forward_plans VALUES (?, ?, ?)", (upstream, after, upto)
    )


def confirmed(connection: sqlite.Connection, upstream: str, upto: int) -> None:
    """The upstream has everything up to `upto`."""
    with cursors.transaction(connection):
        connection.execute("DELETE FROM forward_plans WHERE upstream = ?", (upstream,))
        cursors.move(connection, cursor_name(upstream), upto)


def rewind(connection: sqlite.Connection, upstream: str, position: int) -> None:
    """Go back, or forward, to there: a batch under way is forgotten."""
    confirmed(connection, upstream, position)


def removed(connection: sqlite.Connection, configured: list[str]) -> list[tuple[str, int]]:
    """Upstreams that the settings no longer name, and where their cursors stand."""
    rows = connection.execute(
        "SELECT substr(name, 9), seq FROM cursors WHERE name LIKE 'forward %' ORDER BY name"
    ).fetchall()
    return [(name, int(seq)) for name, seq in rows if name not in configured]


def drop(connection: sqlite.Connection, upstream: str) -> None:
    """Nothing is kept for it, or of it, any more."""
    with cursors.transaction(connection):
        connection.execute("DELETE FROM cursors WHERE name = ?", (cursor_name(upstream),))
        for table in ("forward_plans", "forward_refused", "audits"):
            connection.execute(f"DELETE FROM {table} WHERE upstream = ?", (upstream,))  # noqa: S608


def cursor_name(upstream: str) -> str:
    return f"forward {upstream}"


_REFUSED = (
    "INSERT INTO rejected (site, received_at, batch_index, status, code, message, body) "
    "SELECT site, ?2, 0, ?3, 'upstream_refused', ?4, CAST(?5 AS BLOB) FROM events WHERE seq = ?1"
)
_EXPIRE = (
    "DELETE FROM rejected WHERE site = (SELECT site FROM events WHERE seq = ?1) AND id <= "
    "(SELECT id FROM rejected WHERE site = (SELECT site FROM events WHERE seq = ?1) "
    "ORDER BY id DESC LIMIT 1 OFFSET ?2)"
)


def refuse(
    connection: sqlite.Connection,
    upstream: str,
    row: Outgoing,
    at: int,
    status: int,
    words: str,
    kept: int,
) -> None:
    """Keep an event that the upstream will not have, with its words; once, however often it is
    refused. `kept`: rejected events of a site."""
    with cursors.transaction(connection):
        new = connection.execute(
            "INSERT OR IGNORE INTO forward_refused VALUES (?, ?)", (upstream, row.seq)
        ).rowcount
        if new:
            said = f"{upstream}: {words}"
            connection.execute(_REFUSED, (row.seq, at, status, said, row.text))
            connection.execute(_EXPIRE, (row.seq, kept))
