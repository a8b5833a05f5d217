"""Finding and erasing all that is stored of a person; SQL for workers/erasure.py.

Tables of other parts need no line here: what has a column `person` or `person_id` is erased by
it, and a row that holds one of the names anywhere in its text goes as well.
"""

import contextlib
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.people.identity import Rules
from collector.people.project import Changes
from collector.store import audiences, cursors, folding, people, purchases, rollups, seals, whose
from collector.store.reader import dicts
from collector.store.suppressed import Name

_encode = msgspec.json.Encoder().encode
OWN = frozenset(
    {
        "events", "event_keys", "event_blocks", "people", "person_keys", "person_ties",
        "person_periods", "person_changes", "purchases", "purchase_items", "leads", "order_items",
        "site_keys", "meta", "cursors", "dedupe_segments", "absent_numbers",
        "event_index", "event_names", "audiences", "saved_audiences", "audience_moves",
        "hits", "hit_sales", "hit_blocks", "hit_pieces", "hit_columns",
        "sale_pieces",
        "rollups", "rollup_pairs", "rollup_marks",
        "months", "month_cells", "month_pairs", "month_marks",
        "rollup_names", "rollup_visitors", "whose", *audiences.OF_PEOPLE,
    }
)  # fmt: skip
_LEAST_CHARS = 6  # a shorter name is found in too much that is none of the person's


class Target(msgspec.Struct):
    """A person: numbers of the people and keys, those keys that others use too, and the names."""

    people: list[int]
    keys: list[int]
    shared: list[int]
    names: list[tuple[str, str, str]]
    sites: list[str] | None = None  # nothing of others is touched; None: all

    @property
    def needles(self) -> list[str]:
        """What must be nowhere: in lower case, addresses also as they stand in a URL."""
        values = {value.lower() for _, _, value in self.names if len(value) >= _LEAST_CHARS}
        return sorted(values | {value.replace("@", "%40") for value in values})

    @property
    def everywhere(self) -> list[str]:
        """Those names where it cannot be told which site a text is of."""
        return self.needles if self.sites is None else []


def find(connection: sqlite.Connection, kind: str, value: str, site: str | None) -> Target:
    """The people that a name leads to, and all their names."""
    rows = connection.execute(
        "SELECT person, site FROM person_keys WHERE kind = ? AND value = ? "
        "AND (?3 IS NULL OR site = ?3)",
        (kind, value, site),
    ).fetchall()
    persons = sorted({row[0] for row in rows})
    keys = connection.execute(
        "SELECT number, site, kind, value, shared FROM person_keys WHERE person IN "
        "(SELECT value FROM json_each(?1)) "
        "UNION SELECT k.number, k.site, k.kind, k.value, k.shared "
        "FROM person_periods AS p JOIN person_keys AS k ON k.number = p.key WHERE p.person IN "
        "(SELECT value FROM json_each(?1))",
        (_text(persons),),
    ).fetchall()
    names = {(key[1], key[2], key[3]) for key in keys if not key[4]}
    names.update(
        (row[0], "email", row[1])
        for row in connection.execute(
            "SELECT site, email FROM leads WHERE person IN (SELECT value FROM json_each(?1)) "
            "UNION SELECT site, email FROM people WHERE email IS NOT NULL AND number IN "
            "(SELECT value FROM json_each(?1))",
            (_text(persons),),
        )
    )
    return Target(
        persons,
        [key[0] for key in keys if not key[4]],
        [key[0] for key in keys if key[4]],
        sorted(names),
    )


def together(targets: list[Target], sites: list[str] | None) -> Target:
    """One person of several, on those sites."""
    return Target(
        sorted({number for target in targets for number in target.people}),
        sorted({key for target in targets for key in target.keys}),
        sorted({key for target in targets for key in target.shared}),
        sorted({name for target in targets for name in target.names}),
        sites,
    )


_OWN_EVENTS = """SELECT json_group_array(e.seq) FROM person_events AS e WHERE e.seq > ?1
  AND e.seq <= ?2 AND (
    e.person_id IN (SELECT printf('%016x', value) FROM json_each(?3))
    OR (e.site, 'user', e.user_id) IN (SELECT value ->> 0, value ->> 1, value ->> 2
      FROM json_each(?4))
    OR (e.site, 'anonymous', e.anonymous_id) IN (SELECT value ->> 0, value ->> 1, value ->> 2
      FROM json_each(?4))
    OR (e.site, 'user', e.previous_id) IN (SELECT value ->> 0, value ->> 1, value ->> 2
      FROM json_each(?4))
    OR (e.site, 'anonymous', e.previous_id) IN (SELECT value ->> 0, value ->> 1, value ->> 2
      FROM json_each(?4)))"""
_FREE_TEXT = ("event", "user_id", "group_id", "url", "path", "title", "referrer", "properties",
              "traits", "context", "user_agent", "violations")  # fmt: skip
_ALL_TEXT = " || ' ' || ".join(f"coalesce({name}, '')" for name in _FREE_TEXT)
_MENTIONS = f"""SELECT json_group_array(seq) FROM events WHERE seq > ?1 AND seq <= ?2
  AND (?4 IS NULL OR site IN (SELECT value FROM json_each(?4)))
  AND EXISTS (SELECT 1 FROM json_each(?3) AS j WHERE instr(lower({_ALL_TEXT}), j.value))"""


_TIES = """SELECT DISTINCT site, user_id, anonymous_id FROM events WHERE seq > ?1 AND seq <= ?2
  AND type = 'identify' AND user_id IS NOT NULL AND EXISTS (SELECT 1 FROM json_each(?3) AS j
    WHERE j.value ->> 0 = site AND j.value ->> 2 = CASE j.value ->> 1 WHEN 'user' THEN user_id
      WHEN 'anonymous' THEN anonymous_id ELSE lower(traits ->> '$.email') END)"""


def ties(
    connection: sqlite.Connection, names: list[Name], after: int, last_seq: int
) -> list[tuple[str, str, str | None]]:
    """Site, user and visitor of the identify calls that speak of one of the names."""
    rows: list[tuple[str, str, str | None]] = connection.execute(
        _TIES, (after, last_seq, _text(names))
    ).fetchall()
    return rows


def own_events(
    connection: sqlite.Connection, target: Target, after: int, last_seq: int
) -> list[int]:
    """The numbers of the events that are the person's or came under one of the names."""
    values = (after, last_seq, _text(target.people), _text(target.names))
    return _numbers(connection.execute(_OWN_EVENTS, values).fetchone()[0])


def mentions(connection: sqlite.Connection, target: Target, after: int, last_seq: int) -> list[int]:
    """The numbers of the events that hold one of the names in their text."""
    if not target.needles:
        return []
    values = (after, last_seq, _text(target.needles), target.sites and _text(target.sites))
    return _numbers(connection.execute(_MENTIONS, values).fetchone()[0])


def erase_events(connection: sqlite.Connection, seqs: list[int], rules: Rules) -> int:
    """Take events out of the log; their numbers are noted as erased, and never used again."""
    among = _text(seqs)
    with cursors.transaction(connection):
        seals.take_out(connection, seqs)
        whose.drop(connection, seqs)
        orders = connection.execute(
            "SELECT json_group_array(json_array(site, order_id)) FROM ("
            "SELECT DISTINCT site, order_id FROM purchases "
            "WHERE order_id IS NOT NULL AND seq IN (SELECT value FROM json_each(?)))",
            (among,),
        ).fetchone()[0]
        for table in ("event_keys", "purchases", "purchase_items", "order_items"):
            connection.execute(
                f"DELETE FROM {table} WHERE seq IN (SELECT value FROM json_each(?))", (among,)
            )
        purchases.settle_orders(connection, orders, rules)
        connection.execute(
            "INSERT OR IGNORE INTO absent_numbers SELECT node_id, node_seq, node_seq, 'erased' "
            "FROM events WHERE seq IN (SELECT value FROM json_each(?))",
            (among,),
        )
        return int(
            connection.execute(
                "DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?))", (among,)
            ).rowcount
        )


_SCRUBBED = ("event", "user_id", "group_id", "url", "path", "title", "referrer", "properties",
             "traits", "context", "user_agent", "violations")  # fmt: skip


def scrub_events(connection: sqlite.Connection, seqs: list[int], needles: list[str]) -> int:
    """Other people's events keep all but the names, which are struck out."""
    among = _text(seqs)
    columns = ", ".join(_SCRUBBED)
    rows = connection.execute(
        f"SELECT seq, {columns} FROM events WHERE seq IN (SELECT value FROM json_each(?))", (among,)
    ).fetchall()
    sets = ", ".join(f"{name} = ?" for name in _SCRUBBED)
    with cursors.transaction(connection):
        for seq, *texts in rows:
            struck = [_struck(text, needles) for text in texts]
            connection.execute(f"UPDATE events SET {sets} WHERE seq = ?", (*struck, seq))
    return len(rows)


def _struck(text: str | None, needles: list[str]) -> str | None:
    if text is None:
        return None
    for needle in needles:
        at = text.lower().find(needle)
        while at >= 0:
            text = f"{text[:at]}erased{text[at + len(needle) :]}"
            at = text.lower().find(needle, at + 6)
    return text


def erase_people(
    connection: sqlite.Connection, target: Target, changes: Changes, rules: Rules
) -> dict[str, int]:
    """Take the person out of all other tables; `changes` is what that means for others. Returns
    the rows removed by table."""
    counts: dict[str, int] = {}
    people_, keys = _text(target.people), _text(target.keys)
    with cursors.transaction(connection):
        for table, column, among in (
            ("people", "number", people_),
            ("person_keys", "number", keys),
            ("person_ties", "key", keys),
            ("person_ties", "owner", keys),
            ("person_periods", "key", _text(target.keys + target.shared)),
            ("person_changes", "person", people_),
            ("leads", "person", people_),
            ("purchases", "person", people_),
        ):
            counts[table] = counts.get(table, 0) + int(
                connection.execute(
                    f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",
                    (among,),
                ).rowcount
            )
        for site, kind, value in target.names:
            if kind == "email":
                counts["leads"] += int(
                    connection.execute(
                        "DELETE FROM leads WHERE site = ? AND email = ?", (site, value)
                    ).rowcount
                )
        people.put(connection, changes, rules)
        _strike_traits(connection, target)
        counts["rollup_visitors"] = rollups.forget_visitors(connection, target.names)
        _strike_rollup_names(connection, target.everywhere)
        counts |= audiences.erase(
            connection,
            target.people,
            target.keys,
            target.shared,
            target.everywhere,
        )
        for table in _other_tables(connection):
            counts[table] = _erase_rows(connection, table, target)
    return {table: count for table, count in counts.items() if count}


def _strike_traits(connection: sqlite.Connection, target: Target) -> None:
    """What others said of themselves in the erased names goes from their traits."""
    needles = target.needles
    found = connection.execute(
        "SELECT number, person, traits FROM person_keys WHERE EXISTS "
        "(SELECT 1 FROM json_each(?1) AS j WHERE instr(lower(traits), j.value)) "
        "AND (?2 IS NULL OR site IN (SELECT value FROM json_each(?2)))",
        (_text(needles), target.sites and _text(target.sites)),
    ).fetchall()
    for number, _, traits in found:
        kept = {
            name: run
            for name, run in msgspec.json.decode(traits).items()
            if not any(needle in f"{name} {_text(run)}".lower() for needle in needles)
        }
        connection.execute(
            "UPDATE person_keys SET traits = ? WHERE number = ?",
            (_text(kept) if kept else None, number),
        )
    if found:
        people.refresh(connection, [person for _, person, _ in found])


def _strike_rollup_names(connection: sqlite.Connection, needles: list[str]) -> None:
    """Paths and the like of other people's events: what was counted stays counted."""
    found = connection.execute(
        "SELECT number, text FROM rollup_names WHERE EXISTS "
        "(SELECT 1 FROM json_each(?) AS j WHERE instr(lower(text), j.value))",
        (_text(needles),),
    ).fetchall()
    for number, text in found:
        struck = _struck(text, needles)
        connection.execute(
            "UPDATE rollup_names SET text = iif(EXISTS (SELECT 1 FROM rollup_names "
            "WHERE text = ?1), ?1 || ' (' || ?2 || ')', ?1) WHERE number = ?2",
            (struck, number),
        )


def _other_tables(connection: sqlite.Connection) -> list[str]:
    rows = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return [name for (name,) in rows if name not in OWN]


def _matching(connection: sqlite.Connection, table: str, target: Target) -> tuple[str, list[str]]:
    """The condition under which a row of any table is of the person."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    tests, values = ["0"], []
    if "person" in columns:
        tests.append("person IN (SELECT value FROM json_each(?))")
        values.append(_text(target.people))
    if "person_id" in columns:
        tests.append("person_id IN (SELECT value FROM json_each(?))")
        values.append(_text([f"{number:016x}" for number in target.people] + target.people))
    text = " || ' ' || ".join(f"coalesce(CAST({name} AS TEXT), '')" for name in columns)
    held = f"EXISTS (SELECT 1 FROM json_each(?) AS j WHERE instr(lower({text}), j.value))"
    if target.sites is None:
        tests.append(held)
        values.append(_text(target.needles))
    elif "site" in columns:
        tests.append(f"site IN (SELECT value FROM json_each(?)) AND {held}")
        values += [_text(target.sites), _text(target.needles)]
    return " OR ".join(tests), values


def _erase_rows(connection: sqlite.Connection, table: str, target: Target) -> int:
    condition, values = _matching(connection, table, target)
    return int(connection.execute(f"DELETE FROM {table} WHERE {condition}", values).rowcount)


def gather(connection: sqlite.Connection, target: Target) -> dict[str, list[dict[str, Any]]]:
    """All rows of a person but the events, by table, for `access`."""
    found: dict[str, list[dict[str, Any]]] = {}
    people_, keys = _text(target.people), _text(target.keys + target.shared)
    for table, condition, values in (
        ("people", "number IN (SELECT value FROM json_each(?))", [people_]),
        ("person_keys", "number IN (SELECT value FROM json_each(?))", [keys]),
        ("purchases", "person IN (SELECT value FROM json_each(?))", [people_]),
        (
            "purchase_items",
            "seq IN (SELECT seq FROM purchases WHERE person IN (SELECT value FROM json_each(?)))",
            [people_],
        ),
        ("leads", "person IN (SELECT value FROM json_each(?))", [people_]),
        *(
            (table, "person IN (SELECT value FROM json_each(?))", [people_])
            for table in audiences.OF_PEOPLE
        ),
        *((table, *_matching(connection, table, target)) for table in _other_tables(connection)),
    ):
        found[table] = rows(connection, f"SELECT * FROM {table} WHERE {condition}", values)
    return {table: some for table, some in found.items() if some}


def events(connection: sqlite.Connection, seqs: list[int]) -> list[dict[str, Any]]:
    statement = "SELECT * FROM events WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
    return rows(connection, statement, [_text(seqs)])


def rows(connection: sqlite.Connection, statement: str, values: list[str]) -> list[dict[str, Any]]:
    return dicts(connection.execute(statement, values))


def highest_seq(connection: sqlite.Connection) -> int:
    """The newest number that was ever given to an event."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def last_seq(connection: sqlite.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def fold(connection: sqlite.Connection, rewrite: bool) -> None:
    """Bring the write-ahead log into the file and empty it; `rewrite`: write the whole file anew,
    for what SQLite left behind in pages that it moved rows between."""
    if rewrite:
        connection.execute("VACUUM")
    with contextlib.suppress(sqlite.OperationalError):
        folding.empty(connection)


def schema(connection: sqlite.Connection) -> str:
    """The text of the schema, in lower case: its words stand in the file of any collector."""
    row = connection.execute("SELECT group_concat(sql, ' ') FROM sqlite_schema").fetchone()
    return str(row[0]).lower()


def known_names(connection: sqlite.Connection) -> list[tuple[str, str, str]]:
    found = connection.execute("SELECT site, kind, value FROM person_keys").fetchall()
    return [(site, kind, value) for site, kind, value in found]


def _numbers(text: str) -> list[int]:
    return msgspec.json.decode(text, type=list[int])


def _text(value: Any) -> str:
    return str(_encode(value), "utf-8")
