"""Who belongs to which audience, as it is shown and exported."""

import bisect
import itertools
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.audience.consent import Policy, allowed
from collector.audience.layouts import Person
from collector.store.audiences import MOVES_MS
from collector.store.deliveries import statements

_MEMBERS = """SELECT json_group_array(json_array(s.person, p.trusted, json_array(
    printf('%016x', s.person), p.user_id, p.email, p.first_seen, p.last_seen, s.entered_at)))
  FROM (SELECT person, entered_at FROM audience_states AS s
    WHERE audience = (SELECT number FROM audiences WHERE name = ?1)
      AND person >= ?2 AND entered_at IS NOT NULL ORDER BY person LIMIT ?3) AS s
  CROSS JOIN people AS p ON p.number = s.person"""
_SUMMARY = """SELECT a.name, a.site, a.evaluated_at, (SELECT count(*) FROM audience_states AS s
    WHERE s.audience = a.number AND s.entered_at IS NOT NULL) FROM audiences AS a ORDER BY a.name"""


_WAITING = """SELECT destination, count(*), min(at), max(attempts), min(next_at), max(error)
  FROM outbox WHERE audience = ? GROUP BY 1"""
_TOLD = "SELECT destination, count(*) FROM audience_told WHERE audience = ? GROUP BY 1"
_MOVES = "SELECT slot, entered, exited FROM audience_moves WHERE audience = ? ORDER BY slot"
_OF_PERSON = """SELECT a.name, s.entered_at FROM audience_states AS s
  JOIN audiences AS a ON a.number = s.audience
  WHERE s.person = ? AND s.entered_at IS NOT NULL ORDER BY a.name"""
_WHO = """SELECT printf('%016x', number), site, user_id, email FROM json_each(?) AS j
  CROSS JOIN people ON number = j.value"""


class Summary(msgspec.Struct, frozen=True):
    """`evaluated_at` None: all of history has not been looked at yet."""

    name: str
    site: str
    evaluated_at: int | None
    members: int


class Member(msgspec.Struct, array_like=True, frozen=True):
    number: int
    trusted: int
    person: Person


_members = msgspec.json.Decoder(list[Member])


def summaries(connection: sqlite.Connection) -> list[Summary]:
    return [
        Summary(name, site or "", evaluated_at, members)
        for name, site, evaluated_at, members in connection.execute(_SUMMARY).fetchall()
    ]


def members(
    connection: sqlite.Connection, audience: str, policy: Policy | None, first: int, limit: int
) -> tuple[list[Person], int | None]:
    """Some members, by the numbers of people from `first` on, and the number at which the next
    ones begin. With a policy only those who may be delivered."""
    text = connection.execute(_MEMBERS, (audience, first, limit)).fetchone()[0]
    found = _members.decode(text)
    following = found[-1].number + 1 if len(found) == limit else None
    if policy is None:
        return [one.person for one in found], following
    said = statements(connection, [one.number for one in found])
    may = [one.person for one in found if one.trusted and allowed(policy, said[one.number])]
    return may, following


def everybody(connection: sqlite.Connection) -> int:
    """How many people are known."""
    return int(connection.execute("SELECT count(*) FROM people").fetchone()[0])


class Waiting(msgspec.Struct, frozen=True):
    """What a destination knows of an audience, and what it has yet to hear. `since`, `next_at`:
    the time of the oldest change that waits, and of the next try."""

    destination: str
    told: int
    waiting: int
    since: int | None
    attempts: int
    next_at: int | None
    error: str | None


def deliveries(connection: sqlite.Connection, audience: str) -> list[Waiting]:
    """By destination; the empty one is the log."""
    number = _number(connection, audience)
    told = dict(connection.execute(_TOLD, (number,)).fetchall())
    waiting = {row[0]: row[1:] for row in connection.execute(_WAITING, (number,)).fetchall()}
    nothing = (0, None, 0, None, None)
    return [
        Waiting(name, told.get(name, 0), *waiting.get(name, nothing))
        for name in sorted(told.keys() | waiting.keys())
    ]


def history(
    connection: sqlite.Connection, audience: str, bounds: list[int]
) -> dict[str, list[int | None]]:
    """Of each piece between two neighbours in `bounds` (times): how many entered, how many left,
    and the members at its end, None where that is not known: before the first full evaluation."""
    number = _number(connection, audience)
    evaluated_at, members = connection.execute(
        "SELECT evaluated_at, (SELECT count(*) FROM audience_states WHERE audience = ?1 "
        "AND entered_at IS NOT NULL) FROM audiences WHERE number = ?1",
        (number,),
    ).fetchone() or (None, 0)
    moves = [(slot * MOVES_MS, *n) for slot, *n in connection.execute(_MOVES, (number,))]
    times = [at for at, _, _ in moves]
    came, went = ([0, *itertools.accumulate(move[i] for move in moves)] for i in (1, 2))
    first = min((at for at in (evaluated_at, *times[:1]) if at is not None), default=None)
    found: dict[str, list[int | None]] = {"members": [], "entered": [], "exited": []}
    for start, end in itertools.pairwise(bounds):
        a, b = bisect.bisect_left(times, start), bisect.bisect_left(times, end)
        later = (came[-1] - came[b]) - (went[-1] - went[b])
        known = first is not None and first < end
        found["members"].append(members - later if known else None)
        found["entered"].append(came[b] - came[a])
        found["exited"].append(went[b] - went[a])
    return found


def of_person(connection: sqlite.Connection, number: int) -> list[dict[str, Any]]:
    """The audiences that somebody is in."""
    rows = connection.execute(_OF_PERSON, (number,)).fetchall()
    return [{"name": name, "entered_at": entered_at} for name, entered_at in rows]


def who(connection: sqlite.Connection, numbers: list[int]) -> list[dict[str, Any]]:
    """Some people, as a list shows them."""
    rows = connection.execute(_WHO, (msgspec.json.encode(numbers).decode(),)).fetchall()
    return [dict(zip(("id", "site", "user_id", "email"), row, strict=True)) for row in rows]


def _number(connection: sqlite.Connection, audience: str) -> int:
    """0 when there is none."""
    row = connection.execute("SELECT number FROM audiences WHERE name = ?", (audience,)).fetchone()
    return int(row[0]) if row else 0
