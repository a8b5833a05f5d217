"""When each id was last seen: kept up in large pieces.

A visit changes one number in two rows that lie anywhere among millions: written with its event
that would be two pages of 8 KiB for 16 bytes, half of all that the projector writes. Of 100,000
events at once, in order of the ids, it is a tenth of that.
"""

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.people.project import HOUR_MS
from collector.store import cursors

CURSOR = "visits"
Seen = tuple[int, int]  # an id's number, the hour

_seen = msgspec.json.Decoder(list[Seen])
_encode = msgspec.json.Encoder().encode

_IDS = """SELECT k.{column} AS id, max(e.timestamp) AS at
  FROM event_keys AS k CROSS JOIN events AS e ON e.seq = k.seq
  WHERE k.seq > ?1 AND k.seq <= ?2 AND k.{column} IS NOT NULL GROUP BY 1"""
_HOUR = f"at - (at % {HOUR_MS} + {HOUR_MS}) % {HOUR_MS}"
_SEEN = f"""WITH one AS MATERIALIZED ({_IDS.format(column="key")}
    UNION ALL {_IDS.format(column="anonymous")}),
  last AS MATERIALIZED (SELECT id, {_HOUR} AS hour
    FROM (SELECT id, max(at) AS at FROM one GROUP BY id) ORDER BY id)
  SELECT json_group_array(json_array(last.id, last.hour)) FROM last
  CROSS JOIN person_keys AS k ON k.number = last.id WHERE last.hour > k.last_seen"""  # noqa: S608
# The largest counts, so that repeating it, and the order of pieces, are nothing.
_PUT_KEYS = """UPDATE person_keys SET last_seen = max(last_seen, j.value ->> 1)
  FROM jsonb_each(?) AS j WHERE number = j.value ->> 0"""
_PUT_PEOPLE = """UPDATE people SET last_seen = s.hour FROM (
    SELECT k.person, max(j.value ->> 1) AS hour
    FROM jsonb_each(?) AS j CROSS JOIN person_keys AS k ON k.number = j.value ->> 0
    GROUP BY 1) AS s
  WHERE people.number = s.person AND people.last_seen < s.hour"""


def seen(connection: sqlite.Connection, after: int, last_seq: int) -> list[Seen]:
    """Whose last hour is another one by the events with `after` < number <= `last_seq`."""
    return _seen.decode(connection.execute(_SEEN, (after, last_seq)).fetchone()[0])


def put(connection: sqlite.Connection, some: list[Seen], reached: int | None) -> None:
    """Write a piece; with the last one the cursor moves to `reached`."""
    text = str(_encode(some), "utf-8")
    with cursors.derived(connection):
        for statement in (_PUT_KEYS, _PUT_PEOPLE) if some else ():
            connection.execute(statement, (text,))
        if reached is not None:
            cursors.move(connection, CURSOR, reached)
