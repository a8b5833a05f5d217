"""The outbox: changes of memberships that destinations have yet to hear of.

Invariant: of a person, a destination hears one change at a time, in order; a row goes only when
it has been delivered, or must not be.
"""

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.audience.consent import Statement, read
from collector.store import cursors
from collector.store.histories import MINE
from collector.upstream.parcel import Answer, Parcel

_encode = msgspec.json.Encoder().encode
_parcels = msgspec.json.Decoder(list[Parcel], strict=False)
_said = msgspec.json.Decoder(list[tuple[int, int, int, str]])

_DUE = """SELECT json_group_array(json_array(o.number, o.id, a.name, o.person, o.change, o.at,
    o.first, o.address, o.attempts, o.job,
    coalesce(p.site, (SELECT k.site FROM person_keys AS k WHERE k.number = o.person)),
    p.user_id, p.email, json(p.traits),
    json((SELECT json_group_array(value) FROM (SELECT k.value FROM person_keys AS k
      WHERE (k.person = o.person OR k.number = o.person) AND k.kind = 'anonymous'
      ORDER BY k.last_seen DESC, k.number LIMIT 20))),
    (SELECT printf('%016x', k.person) FROM person_keys AS k
      WHERE k.number = o.person AND k.person <> o.person)))
  FROM (SELECT * FROM outbox AS o WHERE o.destination = ?1 AND o.next_at <= ?2 AND NOT EXISTS (
      SELECT 1 FROM outbox AS b WHERE b.destination = o.destination AND b.person = o.person
        AND b.number < o.number) ORDER BY o.number LIMIT ?3) AS o
  JOIN audiences AS a ON a.number = o.audience
  LEFT JOIN people AS p ON p.number = o.person"""
_SAID = f"""{MINE} SELECT json_group_array(json_array(m.person, i.key, i.at, n.name))
  FROM mine AS m CROSS JOIN event_index AS i ON i.key = m.key
  CROSS JOIN event_names AS n ON n.id = i.consent
  WHERE NOT m.shared OR m.person = (SELECT p.person FROM person_periods AS p
    WHERE p.key = m.key AND p.since <= i.at ORDER BY p.since DESC LIMIT 1)"""  # noqa: S608
_LATER = """UPDATE outbox SET attempts = attempts + ?2, next_at = ?3, job = ?4, error = ?5
  WHERE number = ?1"""
_UNTELL = """DELETE FROM audience_told WHERE (person, audience, destination) IN (
  SELECT person, audience, destination FROM outbox WHERE number = ?)"""


def due(connection: sqlite.Connection, destination: str, now: int, limit: int) -> list[Parcel]:
    """The next change of each person that may be tried now, the oldest first."""
    return _parcels.decode(connection.execute(_DUE, (destination, now, limit)).fetchone()[0])


def next_at(connection: sqlite.Connection, destination: str) -> int | None:
    """When the next one may be tried."""
    row = connection.execute(
        "SELECT min(next_at) FROM outbox WHERE destination = ?", (destination,)
    ).fetchone()
    return None if row[0] is None else int(row[0])


def waiting(connection: sqlite.Connection) -> list[tuple[str, int, str | None]]:
    """Of each destination how many changes wait, and the last error."""
    rows = connection.execute(
        "SELECT destination, count(*), max(error) FROM outbox GROUP BY destination"
    )
    return [(row[0], row[1], row[2]) for row in rows.fetchall()]


def statements(connection: sqlite.Connection, people: list[int]) -> dict[int, list[Statement]]:
    """What each person has said of consent, as far as the index knows it."""
    found: dict[int, list[Statement]] = {person: [] for person in people}
    text = str(_encode(people), "utf-8")
    for person, key, at, said in _said.decode(connection.execute(_SAID, (text,)).fetchone()[0]):
        found[person].append(Statement(key, at, read(said)))
    return found


def settle(
    connection: sqlite.Connection,
    withheld: list[int],
    answers: list[Answer],
    next_times: dict[int, int],
) -> None:
    """Take out what was delivered and what must not be; note the rest, to be tried at the times
    given."""
    with cursors.transaction(connection):
        connection.executemany(_UNTELL, [(number,) for number in withheld])
        done = withheld + [answer.number for answer in answers if answer.done]
        connection.executemany("DELETE FROM outbox WHERE number = ?", [(n,) for n in done])
        connection.executemany(
            _LATER,
            [
                (a.number, int(a.error is not None), next_times[a.number], a.job, a.error)
                for a in answers
                if not a.done
            ],
        )
