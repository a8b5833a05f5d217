"""Who belongs to which audience, as it is shown and exported."""

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.audience.consent import Policy, allowed
from collector.audience.layouts import Person
from collector.store.deliveries import statements

_MEMBERS = """SELECT json_group_array(json_array(s.person, p.trusted, json_array(
    printf('%016x', s.person), p.user_id, p.email, p.first_seen, p.last_seen, s.entered_at)))
  FROM (SELECT person, entered_at FROM audience_states AS s
    WHERE audience = (SELECT number FROM audiences WHERE name = ?1)
      AND person >= ?2 AND entered_at IS NOT NULL ORDER BY person LIMIT ?3) AS s
  CROSS JOIN people AS p ON p.number = s.person"""
_SUMMARY = """SELECT a.name, a.site, a.evaluated_at, (SELECT count(*) FROM audience_states AS s
    WHERE s.audience = a.number AND s.entered_at IS NOT NULL) FROM audiences AS a ORDER BY a.name"""


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
