"""What the dashboard looks up in the tables themselves: people, purchases, leads, the newest
events, what properties an event has.
"""

import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from pysqlite3 import dbapi2 as sqlite

from collector.people.identity import KINDS, number
from collector.store import marks, members, timelines
from collector.store.question import Question
from collector.store.reader import dicts, snapshot, tell
from collector.store.timelines import EVENT

Found = list[dict[str, Any]]
_JSON = ("properties", "traits", "context", "consent", "violations")


def _opened(rows: Found) -> Found:
    """JSON columns as what they say."""
    for row in rows:
        for name in _JSON:
            if row.get(name) is not None:
                row[name] = _value(row[name])
    return rows


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def newest(connection: sqlite.Connection, after: int, limit: int, site: str | None) -> Found:
    """The newest events beyond `after`, oldest first."""
    among = "" if site is None else " AND site = ?"
    values = [after, *([] if site is None else [site]), limit]
    cursor = connection.execute(
        f"SELECT {EVENT} FROM events WHERE seq > ?{among} ORDER BY seq DESC LIMIT ?", values
    )
    return _opened(dicts(cursor))[::-1]


def last_seq(connection: sqlite.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def rejected(connection: sqlite.Connection, after: int | None, limit: int) -> Found:
    """What was refused after row `after`, oldest first."""
    cursor = connection.execute(
        "SELECT id, site, received_at, status, code, message, substr(body, 1, 4000) AS body "
        "FROM rejected WHERE id > ? ORDER BY id DESC LIMIT ?",
        (after or 0, limit),
    )
    rows = dicts(cursor)[::-1]
    for row in rows:
        row["body"] = bytes(row["body"]).decode("utf-8", "replace")
    return rows


# In small rows as far back as they are counted, and the newest few, which may not be yet.
_LAST_HEARD = """WITH last (seq) AS (
    SELECT max(seq) FROM (SELECT site, seq FROM hits NOT INDEXED
      WHERE seq > (SELECT max(seq) FROM hits) - 20000) GROUP BY site
    UNION SELECT seq FROM (SELECT seq FROM events ORDER BY seq DESC LIMIT 100))
  SELECT e.site, max(e.received_at) FROM last CROSS JOIN events AS e ON e.seq = last.seq
  GROUP BY 1"""


def last_heard(connection: sqlite.Connection) -> dict[str, int]:
    """When the newest event of each site came in, among the last 20,000."""
    return dict(connection.execute(_LAST_HEARD).fetchall())


_PERSON = "id, site, user_id, email, traits, first_seen, last_seen, trusted"


_LEAST = -(1 << 63)
_AT_ONCE = 50_000  # people looked at between two words on how far it is
_WHOLE = f"""SELECT {_PERSON} FROM people WHERE number = ? OR number IN (SELECT k.person
  FROM json_each(?) AS j CROSS JOIN person_keys AS k ON k.number = j.value) ORDER BY last_seen DESC
  LIMIT ?"""
_NEXT = "SELECT max(number) FROM (SELECT number FROM people WHERE number > ? ORDER BY 1 LIMIT ?)"
_PART = f"""SELECT {_PERSON} FROM people WHERE number > ?2 AND number <= ?3
    AND (email LIKE ?1 ESCAPE '\\' OR user_id LIKE ?1 ESCAPE '\\' OR traits LIKE ?1 ESCAPE '\\')
  ORDER BY last_seen DESC LIMIT ?4"""


def people(connection: sqlite.Connection, text: str, sites: Sequence[str], limit: int) -> Found:
    """By the whole of an id or address, found at once; the newest when nothing is asked."""
    if not text:
        select = f"SELECT {_PERSON} FROM people ORDER BY last_seen DESC LIMIT ?"
        return _opened(dicts(connection.execute(select, (limit,))))
    texts = {text, text.lower()}
    names = itertools.product(sites, range(len(KINDS)), texts)
    keys = [number(*name) for name in names]
    values = (_signed(text), json.dumps(keys), limit)
    return _opened(dicts(connection.execute(_WHOLE, values)))


def people_with(connection: sqlite.Connection, text: str, limit: int) -> Found:
    """By a part of the address, of an id or of a trait: all people are looked through."""
    like = "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
    found: Found = []
    after, seen, many = _LEAST, 0, connection.execute("SELECT count(*) FROM people").fetchone()[0]
    while (last := connection.execute(_NEXT, (after, _AT_ONCE)).fetchone()[0]) is not None:
        found += dicts(connection.execute(_PART, (like, after, last, limit)))
        after, seen = last, seen + _AT_ONCE
        tell(connection, seen / many)
    return _opened(sorted(found, key=lambda row: -row["last_seen"])[:limit])


def person(connection: sqlite.Connection, person_id: str) -> dict[str, Any] | None:
    """Who it is, by which ids, with purchases and leads."""
    number = _signed(person_id)
    if number is None:
        return None
    found = _opened(
        dicts(connection.execute(f"SELECT {_PERSON} FROM people WHERE number = ?", (number,)))
    )
    if not found:
        return None
    keys = connection.execute(
        "SELECT kind, value, first_seen, last_seen, shared FROM person_keys "
        "WHERE number = ?1 AND person = ?1 OR person = ?1 AND person <> number LIMIT 500",
        (number,),
    )
    bought = connection.execute(
        "SELECT seq, timestamp, order_id, currency, total_micros, counted FROM purchases "
        "WHERE person = ? ORDER BY timestamp DESC LIMIT 200",
        (number,),
    )
    leads = connection.execute(
        "SELECT email, timestamp, source, times FROM leads WHERE person = ? LIMIT 200", (number,)
    )
    return {
        **found[0],
        "keys": dicts(keys),
        "purchases": dicts(bought),
        "leads": dicts(leads),
        "audiences": members.of_person(connection, number),
        "events": _opened(timelines.timeline(connection, number)),
    }


def _signed(person_id: str) -> int | None:
    if not re.fullmatch(r"[0-9a-f]{16}", person_id):
        return None
    number = int(person_id, 16)
    return number - (1 << 64) if number >> 63 else number


_SAMPLE = 500
_PROPERTIES = """WITH sample AS (SELECT e.properties FROM json_each(?) AS j
    CROSS JOIN events AS e ON e.seq = j.value WHERE e.properties IS NOT NULL)
  SELECT j.key AS name, j.type AS type, count(*) AS count,
    min(substr(j.value, 1, 200)) AS example
  FROM sample, json_each(sample.properties) AS j GROUP BY 1, 2 ORDER BY 1, 3 DESC LIMIT 300"""


def properties(connection: sqlite.Connection, question: Question, event: str) -> Found:
    """Names, types and an example of the properties in the newest 500 events of that name."""
    with snapshot(connection):
        asked = Question(question.start, question.end, bots=True)
        found = marks.of_question(connection, asked, "event", event, most=_SAMPLE)
        newest = sorted(zip(found.at, found.seqs, strict=True))[-_SAMPLE:]
        text = json.dumps([seq for _, seq in newest])
        return dicts(connection.execute(_PROPERTIES, (text,)))


def sizes(connection: sqlite.Connection) -> dict[str, int]:
    """Rows of the store, as far as they are quick to count."""
    pages, size, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "page_size", "freelist_count")
    )
    return {"bytes": pages * size, "free_bytes": free * size}
