"""What audiences are judged by: each person's events from the index, purchases, leads, traits.

Every question is one statement for many people that returns one JSON text: beside a busy event
loop each trip into SQLite may wait 5 ms for the interpreter lock, and rows come one a trip.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.audience.judge import Bought, Known, Left, Lines, Profile, State, Told
from collector.event import Event
from collector.people.commerce import KNOWN, LEADS

T = TypeVar("T")


class Affected(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A person and the number of a name of its new events. `profile`: what is known of the
    person may have changed; `new`: an id's first event."""

    person: int
    name: int
    profile: int
    new: int


_encode = msgspec.json.Encoder().encode
_numbers = msgspec.json.Decoder(list[int])
_lines = msgspec.json.Decoder(list[Lines])
_bought = msgspec.json.Decoder(list[Bought])
_left = msgspec.json.Decoder(list[Left])
_profiles = msgspec.json.Decoder(list[Profile])
_states = msgspec.json.Decoder(list[State])
_told = msgspec.json.Decoder(list[Told])
_names = msgspec.json.Decoder(list[tuple[int, str, str]])
_events = msgspec.json.Decoder(list[tuple[int, Event]])
_affected = msgspec.json.Decoder(list[Affected])

NAME = "iif(e.type = 'page', substr(coalesce(e.path, ''), 1, 1024), coalesce(e.event, ''))"
# The person whose an event is: of its user id or e-mail, else of its anonymous id at that time.
_PERSON = """coalesce((SELECT k.person FROM person_keys AS k WHERE k.number = {key}),
  (SELECT iif(a.shared, (SELECT p.person FROM person_periods AS p
    WHERE p.key = a.number AND p.since <= {at} ORDER BY p.since DESC LIMIT 1), a.person)
   FROM person_keys AS a WHERE a.number = {anonymous}))"""
_KNOWN = ", ".join(f"'{name}'" for name in sorted(KNOWN))
_LEADS = ", ".join(f"'{name}'" for name in sorted(LEADS))
_OF_EVENT = _PERSON.format(key="ek.key", anonymous="ek.anonymous", at="e.timestamp")
# With whom an order has a number in common: which of the two counts may have changed, the one that
# counts now, or the one that did before.
_AFFECTED = f"""SELECT json_group_array(json_array(person, name, profile, new)) FROM (
  SELECT {_OF_EVENT} AS person, n.id AS name, max(e.type IN ('identify', 'alias')
      OR e.consent IS NOT NULL OR (e.type = 'track' AND e.event IN ({_LEADS}))) AS profile,
      max(?3 AND NOT EXISTS (SELECT 1 FROM event_index AS i
        WHERE i.key = coalesce(ek.key, ek.anonymous) AND i.seq <= ?1)) AS new
    FROM events AS e CROSS JOIN event_keys AS ek ON ek.seq = e.seq
    CROSS JOIN event_names AS n ON n.type = e.type AND n.name = {NAME}
    WHERE e.seq > ?1 AND e.seq <= ?2 GROUP BY 1, 2
  UNION
  SELECT q.person, n.id, 0, 0 FROM purchases AS p
    CROSS JOIN purchases AS q ON q.seq IN (
      (SELECT seq FROM purchases WHERE site = p.site AND order_id = p.order_id AND counted = 1),
      (SELECT seq FROM purchases WHERE site = p.site AND order_id = p.order_id AND counted = 0
        AND seq <= ?1 ORDER BY timestamp, message_id, seq LIMIT 1))
    CROSS JOIN event_names AS n ON n.type = 'track' AND n.name = q.event
    WHERE p.seq > ?1 AND p.seq <= ?2 AND p.order_id IS NOT NULL
) WHERE person IS NOT NULL"""  # noqa: S608
_MOVED = """SELECT json_group_array(person), max(number) FROM person_changes WHERE number > ?"""

# A person's ids; `shared` ones are its own only for some time.
MINE = """WITH mine AS (
    SELECT j.value AS person, k.number AS key, 0 AS shared FROM json_each(?1) AS j
      CROSS JOIN person_keys AS k ON k.number = j.value
      WHERE k.person = j.value AND NOT k.shared
    UNION ALL
    SELECT j.value, k.number, 0 FROM json_each(?1) AS j
      CROSS JOIN person_keys AS k ON k.person = j.value AND k.person <> k.number
      WHERE NOT k.shared
    UNION ALL
    SELECT DISTINCT j.value, p.key, 1 FROM json_each(?1) AS j
      CROSS JOIN person_periods AS p ON p.person = j.value)"""
# Parameters: 2 how many of one id, 3 the names that are asked for (JSON; NULL: all), 4 whether
# also those with a consent.
_LINES = f"""{MINE}
  SELECT json_group_array(json_array(person, key, json(lines))) FROM (
    SELECT m.person, m.key, (
      SELECT json_group_array(json_array(seq, at, name, consent)) FROM (
        SELECT * FROM event_index AS i WHERE i.key = m.key ORDER BY i.seq DESC LIMIT ?2) AS i
      WHERE (?3 IS NULL OR i.name IN (SELECT value FROM json_each(?3))
          OR (?4 AND i.consent IS NOT NULL))
        AND (NOT m.shared OR m.person = (SELECT p.person FROM person_periods AS p
          WHERE p.key = m.key AND p.since <= i.at ORDER BY p.since DESC LIMIT 1))) AS lines
    FROM mine AS m) WHERE lines <> '[]'"""  # noqa: S608
_OF = "FROM json_each(?1) AS j CROSS JOIN"
_BOUGHT = f"""SELECT json_group_array(json_array(p.person, p.seq, p.timestamp, p.total_micros,
  p.currency)) {_OF} purchases AS p ON p.seq IN (SELECT q.seq FROM purchases AS q
    WHERE q.person = j.value AND q.counted ORDER BY q.timestamp DESC LIMIT ?2)"""  # noqa: S608
# The lead's event is the one with its time and message id among those of its id.
_LEFT = f"""SELECT json_group_array(json_array(l.person, coalesce((
    SELECT e.seq FROM event_index AS i CROSS JOIN events AS e ON e.seq = i.seq
    WHERE i.key = coalesce(l.key, l.anonymous) AND i.at = l.timestamp
      AND e.message_id = l.message_id LIMIT 1), 0), l.timestamp))
  {_OF} leads AS l ON l.person = j.value"""  # noqa: S608
_PROFILES = f"""SELECT json_group_array(json_array(p.number, p.site, p.email, p.traits,
  p.first_seen, p.trusted)) {_OF} people AS p ON p.number = j.value"""
_STATES = f"""SELECT json_group_array(json_array(s.person, s.audience, s.entered_at, s.look_at))
  {_OF} audience_states AS s ON s.person = j.value"""
_TOLD = f"""SELECT json_group_array(json_array(t.person, t.audience, t.destination, t.address))
  {_OF} audience_told AS t ON t.person = j.value"""
_NAMES = f"""SELECT json_group_array(json_array(n.id, n.type, n.name))
  {_OF} event_names AS n ON n.id = j.value"""
_NEW_NAMES = "SELECT json_group_array(json_array(id, type, name)) FROM event_names WHERE id > ?"
_COLUMNS = ", ".join(f"e.{name}" for name in Event.__struct_fields__)
_EVENTS = f"""SELECT json_group_array(json_array(e.seq, json_array({_COLUMNS})))
  {_OF} events AS e ON e.seq = j.value"""
_PEOPLE = """SELECT json_group_array(number) FROM (
  SELECT number FROM people WHERE number >= ? ORDER BY number LIMIT ?)"""
_DUE = """SELECT json_group_array(json_array(person, audience)) FROM (
  SELECT person, audience FROM audience_states WHERE look_at <= ? ORDER BY look_at LIMIT ?)"""
_due = msgspec.json.Decoder(list[tuple[int, int]])


def affected(
    connection: sqlite.Connection, after: int, last_seq: int, first: bool
) -> list[Affected]:
    """Whom indexed events with `after` < number <= `last_seq` are of, by name. `first`: look
    which are an id's first ones, a look into the whole index for each event."""
    return _ask(connection, _AFFECTED, _affected, after, last_seq, int(first))


def moved(connection: sqlite.Connection, after: int) -> tuple[list[int], int]:
    """People of whom it has become known that more or less is theirs, since change `after`; and
    the number of the newest change."""
    people, last = connection.execute(_MOVED, (after,)).fetchone()
    return _numbers.decode(people), last or after


def people_from(connection: sqlite.Connection, number: int, limit: int) -> list[int]:
    return _ask(connection, _PEOPLE, _numbers, number, limit)


def due(connection: sqlite.Connection, now: int, limit: int) -> list[tuple[int, int]]:
    """(person, audience) to be looked at again, the longest due first."""
    return _ask(connection, _DUE, _due, now, limit)


class Need(msgspec.Struct, frozen=True):
    """What is asked of histories. `names`: numbers of the names of events, None: all."""

    most_events: int
    names: list[int] | None = None
    consents: bool = True
    bought: bool = True
    left: bool = True
    profiles: bool = True


def load(connection: sqlite.Connection, people: list[int], need: Need) -> dict[int, Known]:
    """What is known of each of the people; without `profiles`, of those of whom something is."""
    found: defaultdict[int, Known] = defaultdict(Known)
    text = _text(people)
    names = None if need.names is None else _text(need.names)
    for lines in _ask(connection, _LINES, _lines, text, need.most_events, names, need.consents):
        found[lines.person].lines.append(lines)
    most = need.most_events
    for bought in _ask(connection, _BOUGHT, _bought, text, most) if need.bought else ():
        found[bought.person].bought.append(bought)
    for left in _ask(connection, _LEFT, _left, text) if need.left else ():
        found[left.person].left.append(left)
    for state in _ask(connection, _STATES, _states, text):
        found[state.person].states[state.audience] = state
    for told in _ask(connection, _TOLD, _told, text):
        found[told.person].told[told.audience, told.destination] = told
    text = text if need.profiles else _text(list(found))
    for profile in _ask(connection, _PROFILES, _profiles, text):
        found[profile.person].profile = profile
    return found


def profiles(connection: sqlite.Connection, people: list[int]) -> list[Profile]:
    return _ask(connection, _PROFILES, _profiles, _text(people))


def names_after(connection: sqlite.Connection, number: int) -> list[tuple[int, str, str]]:
    """Number, type and name of everything in the index beyond `number`."""
    return _ask(connection, _NEW_NAMES, _names, number)


def names(connection: sqlite.Connection, numbers: Iterable[int]) -> list[tuple[int, str, str]]:
    """Number, type and name."""
    return _ask(connection, _NAMES, _names, _text(list(numbers)))


def events(connection: sqlite.Connection, numbers: Iterable[int]) -> dict[int, Event]:
    """Those that are still in the log."""
    wanted = list(numbers)
    return dict(_ask(connection, _EVENTS, _events, _text(wanted))) if wanted else {}


def _ask(
    connection: sqlite.Connection,
    statement: str,
    decoder: "msgspec.json.Decoder[list[T]]",
    *values: Any,
) -> list[T]:
    return decoder.decode(connection.execute(statement, values).fetchone()[0])


def _text(value: Any) -> str:
    return str(_encode(value), "utf-8")
