"""The statements by which ClickHouse forgets a person, and others' events lose the person's names.

A person's are the events under one of the ids, those of users that said to have one of the
addresses, and those that a visitor made before it was last identified as one of the users.
"""

import re

import msgspec

from collector.upstream.sink import Name

_LEAST_CHARS = 6  # a shorter name is found in too much that is none of the person's
_TEXTS = ("event", "group_id", "url", "path", "title", "referrer", "properties", "traits",
          "context", "user_agent", "violations")  # fmt: skip
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


class Person(msgspec.Struct):
    """What is known of one on one site. `was`: visitors that are one of the users today."""

    site: str
    users: list[str]
    visitors: list[str]
    emails: list[str]
    was: list[str] = []

    @property
    def needles(self) -> list[str]:
        values = {v.lower() for v in (*self.users, *self.visitors, *self.emails)}
        values |= {value.replace("@", "%40") for value in values}
        return sorted(value for value in values if len(value) >= _LEAST_CHARS)


def persons(names: list[Name]) -> list[Person]:
    """By site."""
    found: dict[str, Person] = {}
    for site, kind, value in names:
        person = found.setdefault(site, Person(site, [], [], []))
        of = {"user": person.users, "anonymous": person.visitors, "email": person.emails}
        of[kind].append(value)
    return list(found.values())


def users_of(table: str, person: Person) -> str:
    """Who said to have one of the addresses."""
    return (
        f"SELECT groupUniqArray(user_id) AS found FROM {table} WHERE site = {_text(person.site)} "
        f"AND user_id IS NOT NULL AND lower(JSONExtractString(ifNull(traits, ''), 'email')) IN "
        f"{_texts(person.emails)}"
    )


def visitors_of(table: str, person: Person) -> str:
    """Which visitors were last identified as one of the users."""
    return (
        "SELECT groupUniqArray(anonymous_id) AS found FROM (SELECT anonymous_id, "
        f"argMax(user_id, timestamp) AS known_as FROM {table} WHERE site = {_text(person.site)} "
        "AND type = 'identify' AND user_id IS NOT NULL AND anonymous_id IS NOT NULL "
        f"GROUP BY anonymous_id) WHERE known_as IN {_texts(person.users)}"
    )


def delete(table: str, person: Person) -> str:
    tests = [
        f"user_id IN {_texts(person.users)}",
        f"anonymous_id IN {_texts(person.visitors)}",
        f"previous_id IN {_texts([*person.users, *person.visitors])}",
        f"(user_id IS NULL AND anonymous_id IN {_texts(person.was)})",
        f"(user_id IS NULL AND lower(JSONExtractString(ifNull(traits, ''), 'email')) IN "
        f"{_texts(person.emails)})",
    ]
    return f"DELETE FROM {table} WHERE site = {_text(person.site)} AND ({' OR '.join(tests)})"


def strike(table: str, person: Person) -> str | None:
    """Out of others' events; None where nothing can be struck out."""
    needles = person.needles
    if not needles:
        return None
    pattern = _text("(?i)" + "|".join(_SPECIAL.sub(r"\\\g<0>", needle) for needle in needles))
    sets = [f"{name} = replaceRegexpAll({name}, {pattern}, 'erased')" for name in _TEXTS]
    held = " OR ".join(f"match(ifNull({name}, ''), {pattern})" for name in _TEXTS)
    where = f"site = {_text(person.site)} AND ({held})"
    return f"ALTER TABLE {table} UPDATE {', '.join(sets)} WHERE {where}"


def _texts(values: list[str]) -> str:
    return f"({', '.join(map(_text, values)) or 'NULL'})"


def _text(value: str) -> str:
    """A literal; whatever the value holds, it ends where the value ends."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'"
