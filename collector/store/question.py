"""What is asked of a range of time: by a site, and by what the events have in common."""

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.store.hits import DIMENSIONS, SLOT_MS, Condition

_LONGEST_NAME = 500


class Question(msgspec.Struct, frozen=True):
    """Which events: `start` <= time < `end` in milliseconds (of whole quarters of an hour), and
    what they have in common; an empty text is none, None is any."""

    start: int
    end: int
    site: str | None = None
    path: str | None = None
    referrer: str | None = None
    campaign: str | None = None
    event: str | None = None
    device: str | None = None
    browser: str | None = None
    country: str | None = None
    type: str | None = None
    bots: bool = False

    @property
    def filters(self) -> dict[str, str]:
        """The dimensions that are filtered by, and by what."""
        return {d: v for d in DIMENSIONS if (v := getattr(self, d)) is not None}

    @property
    def slots(self) -> tuple[int, int]:
        return self.start // SLOT_MS, -(-self.end // SLOT_MS)


def number_of(connection: sqlite.Connection, text: str) -> int:
    """Of a name; 0 for none, -1 for what was never seen."""
    if not text:
        return 0
    row = connection.execute(
        "SELECT number FROM rollup_names WHERE text = ?", (text[:_LONGEST_NAME],)
    ).fetchone()
    return int(row[0]) if row else -1


def condition(connection: sqlite.Connection, question: Question) -> Condition:
    """The question as one about hits."""
    equal = [] if question.bots else [("bot", 0)]
    if question.site is not None:
        equal.append(("site", number_of(connection, question.site)))
    equal += [(name, number_of(connection, text)) for name, text in question.filters.items()]
    return Condition(*question.slots, tuple(equal))


def names(connection: sqlite.Connection, numbers: list[int]) -> dict[int, str]:
    text = msgspec.json.encode(numbers).decode()
    return dict(
        connection.execute(
            "SELECT n.number, n.text FROM json_each(?) AS j "
            "CROSS JOIN rollup_names AS n ON n.number = j.value",
            (text,),
        ).fetchall()
    )
