"""Events of the log as hits: in small numbers, so that what the dashboard asks is soon looked
through or added up (store/seals.py).

The follower is the only one that writes here, so it hands out the numbers of names and visitors
itself: what it has read before its transaction is still true in it, unless somebody was erased
meanwhile (`epoch`).
"""

from typing import Any, NamedTuple

import msgspec
import xxhash
from pysqlite3 import dbapi2 as sqlite

from collector.audience.rule import OWN_EVENTS
from collector.people.commerce import LEADS, PURCHASES
from collector.store import cursors, sale_pieces, seals
from collector.store.hits import COLUMNS

CURSOR = "rollups"
_LONGEST_NAME = 500
_MOST_REMEMBERED = 50_000
_encode = msgspec.json.Encoder().encode


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    seq: int
    site: str
    type: str
    event: str | None
    visitor: str | None
    timestamp: int
    url: str | None
    path: str | None
    referrer: str | None
    user_agent: str | None
    ip: str | None
    bot: int | None
    sale: str | None  # the message id of what may be a purchase or lead


class Seen(NamedTuple):
    """A row, and what it says of the visit."""

    row: Row
    referrer: str
    campaign: str
    device: str
    browser: str
    country: str


class Step(msgspec.Struct):
    """What one transaction writes."""

    epoch: int
    names: list[tuple[int, str]] = []
    visitors: list[tuple[int, int]] = []
    hits: list[tuple[int, ...]] = []
    sales: list[tuple[int, str, str]] = []


_rows = msgspec.json.Decoder(list[Row])
_SALES = ", ".join(f"'{name}'" for name in sorted(LEADS | PURCHASES))
_AFTER = f"""SELECT json_group_array(json_array(seq, site, type, iif(type = 'track', event, NULL),
  coalesce(anonymous_id, user_id), timestamp, substr(url, 1, 2000), substr(path, 1, 500),
  substr(referrer, 1, 2000), substr(user_agent, 1, 500), ip, bot,
  iif(type = 'track' AND event IN ({_SALES}), message_id, NULL))) FROM (
  SELECT * FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)"""
_NAMES = """SELECT n.text, n.number FROM json_each(?) AS j
  CROSS JOIN rollup_names AS n ON n.text = j.value"""
_VISITORS = """SELECT v.hash, v.number FROM json_each(?) AS j
  CROSS JOIN rollup_visitors AS v ON v.hash = j.value"""


def rows(connection: sqlite.Connection, after: int, last_seq: int, limit: int) -> list[Row]:
    """At most `limit` events with `after` < number <= `last_seq`, in order."""
    return _rows.decode(connection.execute(_AFTER, (after, last_seq, limit)).fetchone()[0])


class Book:
    """The numbers of names and visitors. What is remembered is what the database has, or will
    have when the step is written: `forget` after a step that was not."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._visitors: dict[int, int] = {}
        self._epoch = -1

    def forget(self) -> None:
        self._names.clear()
        self._visitors.clear()

    def step(self, connection: sqlite.Connection, seen: list[Seen]) -> Step:
        """What follows from these events."""
        step = Step(seals.epoch(connection))
        remembered = max(len(self._names), len(self._visitors))
        if step.epoch != self._epoch or remembered > _MOST_REMEMBERED:
            self.forget()
            self._epoch = step.epoch
        texts = [_texts(one) for one in seen]
        hashes = [_hash(one.row) for one in seen]
        wanted = set().union(*texts) - {""}
        step.names = _learn(connection, self._names, wanted, "rollup_names", _NAMES)
        step.visitors = _learn(
            connection, self._visitors, set(hashes) - {0}, "rollup_visitors", _VISITORS
        )
        for one, said, visitor in zip(seen, texts, hashes, strict=True):
            step.hits.append(self._hit(one.row, said, visitor))
            if one.row.sale:
                step.sales.append((one.row.seq, one.row.sale, one.row.site))
        return step

    def _hit(self, row: Row, said: tuple[str, ...], visitor: int) -> tuple[int, ...]:
        site, *values = [self._names.get(text, 0) for text in said]
        view = int(row.type in ("page", "screen"))
        who = self._visitors.get(visitor, 0)
        return (row.seq, row.timestamp, int(bool(row.bot)), view, site, who, *values)


def _texts(one: Seen) -> tuple[str, ...]:
    row = one.row
    return (
        row.site,
        row.path or "",
        one.referrer,
        one.campaign[:_LONGEST_NAME],
        (row.event or "")[:_LONGEST_NAME],
        one.device,
        one.browser,
        one.country,
        row.type,
    )


def _hash(row: Row) -> int:
    """0 for nobody: whoever enters an audience is not there because of it."""
    if not row.visitor or row.event in OWN_EVENTS:
        return 0
    return visitor_hash(row.site, row.visitor)


def visitor_hash(site: str, visitor: str) -> int:
    """Signed as SQLite has it; 0 is nobody."""
    digest = xxhash.xxh3_64_intdigest(f"{site}\0{visitor}")
    return (digest - (1 << 64) if digest >> 63 else digest) or 1


def forget_visitors(connection: sqlite.Connection, names: list[tuple[str, str, str]]) -> int:
    """Numbers of visitors stay, and lead to nobody any more: nor to whoever comes by the same id.
    `names`: site, kind and value. Within a transaction; returns how many there were."""
    hashes = [visitor_hash(site, value) for site, kind, value in names if kind != "email"]
    seals.advance(connection)
    return int(
        connection.execute(
            "UPDATE rollup_visitors SET hash = random() "
            "WHERE hash IN (SELECT value FROM json_each(?))",
            (_text(hashes),),
        ).rowcount
    )


def _learn(
    connection: sqlite.Connection, known: dict[Any, int], wanted: set[Any], table: str, find: str
) -> list[tuple[int, Any]]:
    """Numbers for all of `wanted`; returns those that are new."""
    missing = [value for value in wanted if value not in known]
    if not missing:
        return []
    known.update(connection.execute(find, (_text(missing),)).fetchall())
    missing = sorted(value for value in missing if value not in known)
    last = connection.execute(f"SELECT coalesce(max(number), 0) FROM {table}").fetchone()[0]
    new = list(enumerate(missing, last + 1))
    known.update((value, number) for number, value in new)
    return new


_PUT = {
    "names": "INSERT INTO rollup_names SELECT value ->> 0, value ->> 1 FROM json_each(?)",
    "visitors": "INSERT INTO rollup_visitors SELECT value ->> 0, value ->> 1 FROM json_each(?)",
    "hits": f"""INSERT INTO hits SELECT {", ".join(f"value ->> {i}" for i in range(len(COLUMNS)))}
        FROM jsonb_each(?)""",
    "sales": """INSERT INTO hit_sales SELECT h.*, j.value ->> 1, j.value ->> 2
        FROM json_each(?) AS j CROSS JOIN hits AS h ON h.seq = j.value ->> 0""",
}


def apply(connection: sqlite.Connection, step: Step, seq: int) -> bool:
    """Write a step and its cursor in one transaction; False when it is not true any more."""
    with cursors.derived(connection):
        if seals.epoch(connection) != step.epoch:
            return False
        for field, statement in _PUT.items():
            if part := getattr(step, field):
                connection.execute(statement, (_text(part),))
        if step.hits:
            sale_pieces.touched(
                connection, "t.seq BETWEEN ? AND ?", (step.hits[0][0], step.hits[-1][0])
            )
        cursors.move(connection, CURSOR, seq)
    return True


def _text(value: Any) -> str:
    return str(_encode(value), "utf-8")
