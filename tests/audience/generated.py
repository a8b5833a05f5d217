"""Generated histories, values and rules: small ranges, so that things meet."""

from fractions import Fraction
from typing import Any

import msgspec
from hypothesis import strategies as st

from collector.audience.evaluate import History
from collector.audience.history import Counted, Happening, hits
from collector.audience.nodes import Node, patterns
from collector.event import Event

NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000
AGES = ["1h", "2h", "3h", "1d"]
DATES = ["2025-12-31T22:00:00", "2025-12-31T23:00:00", "2026-01-01", "2026-01-01T01:00:00"]
PATHS = ["/", "/a", "/a/b", "/ab", "/b"]
GLOBS = ["/", "/a", "/a*", "*b", "/*", "*", "/a/*", "*a*b"]
NAMES = ["A", "B"]
OPS = ["eq", "ne", "gt", "gte", "lt", "lte", "in", "contains", "prefix", "exists"]
ORDERS = OPS[:6]

# Around the edges of windows: whole hours and a millisecond beside them.
times = st.builds(
    lambda hours, off: NOW + hours * HOUR + off, st.integers(-5, 1), st.sampled_from([-1, 0, 0, 1])
)
numbers = st.sampled_from([0, 1, 2, -1, 0.5, 19.95, 100, 2**53 + 1, 1e300])
texts = st.sampled_from(["", "a", "ab", "b", "1", "19.95", "1e3", "x" * 40])
scalars = st.one_of(numbers, texts, st.booleans())
values = st.one_of(scalars, st.none(), st.lists(scalars, max_size=3))
bags = st.fixed_dictionaries(
    {},
    optional={
        "p": values,
        "n": st.dictionaries(st.sampled_from(["q", "r"]), values, max_size=2),
        "products": st.lists(
            st.dictionaries(st.sampled_from(["sku", "price"]), scalars, max_size=2), max_size=3
        ),
    },
)


@st.composite
def events(draw: Any) -> dict[str, Any]:
    kind = draw(st.sampled_from(["page", "page", "track", "track", "purchase", "lead", "identify"]))
    event = {"type": kind, "name": None, "path": None, "props": draw(bags), "counts": None}
    event["at"] = draw(times)
    if kind == "page":
        event["path"] = draw(st.sampled_from(PATHS))
    elif kind == "track":
        event["name"] = draw(st.sampled_from(NAMES))
    elif kind in ("purchase", "lead"):
        event |= {"type": "track", "name": kind, "counts": kind}
    if kind == "purchase":
        event["props"]["currency"] = draw(st.sampled_from(["EUR", "USD"]))
        event["props"]["total"] = draw(st.sampled_from([0.1, 0.2, 0.3, 50, 100.5, "19.95"]))
    return event


people = st.builds(
    lambda happened, traits, seen: {
        "events": happened,
        "traits": traits,
        "first_seen": seen and min(seen),
        "last_seen": seen and max(seen),
    },
    st.lists(events(), max_size=6),
    bags,
    st.none() | st.lists(times, min_size=1, max_size=2),
)
PROPERTIES = ["p", "n.q", "products.sku", "products.price", "products"]


@st.composite
def conditions(draw: Any, op: str | None = None) -> dict[str, Any]:
    op = op or draw(st.sampled_from(OPS))
    value = {
        "in": st.lists(scalars, max_size=3),
        "exists": st.booleans(),
        "contains": texts,
        "prefix": texts,
    }.get(op, scalars if op in ("eq", "ne") else st.one_of(numbers, texts))
    return {"property": draw(st.sampled_from(PROPERTIES)), "op": op, "value": draw(value)}


windows = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"within": st.sampled_from(AGES)}),
    st.fixed_dictionaries(
        {}, optional={"from": st.sampled_from(AGES + DATES), "to": st.sampled_from(AGES + DATES)}
    ),
)
subjects = st.one_of(
    st.fixed_dictionaries({"event": st.sampled_from([*NAMES, "purchase", "lead"])}),
    st.fixed_dictionaries({"page": st.sampled_from(GLOBS)}),
)
wheres = st.fixed_dictionaries({}, optional={"where": st.lists(conditions(), max_size=2)})
measured = st.fixed_dictionaries({"op": st.sampled_from(ORDERS), "value": numbers})
measures = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"count": measured}),
    st.fixed_dictionaries({"sum": measured}),
    st.builds(lambda m, p: {"sum": {**m, "property": p}}, measured, st.just("p")),
)


def merged(*parts: Any) -> Any:
    return st.builds(lambda *given: {k: v for part in given for k, v in part.items()}, *parts)


dids = merged(subjects, wheres, windows, measures)
traits = st.builds(
    lambda c: {"trait": c["property"], "op": c["op"], "value": c["value"]}, conditions()
)
seens = st.fixed_dictionaries(
    {
        "trait": st.sampled_from(["$first_seen", "$last_seen"]),
        "op": st.sampled_from(["gt", "gte", "lt", "lte"]),
        "value": st.sampled_from(AGES + DATES),
    }
)
firsts = merged(subjects, wheres, windows)
steps = st.one_of(
    merged(subjects, wheres), st.builds(lambda s: {"not": s}, merged(subjects, wheres))
)
sequences = st.builds(
    lambda first, rest, within: {"sequence": [first, *rest], "within": within},
    firsts,
    st.lists(steps, min_size=1, max_size=3),
    st.sampled_from(AGES),
)
leaves = st.one_of(dids, traits, seens, sequences)
rules = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda r: {"all": r}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda r: {"any": r}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda r: {"not": r}, inner),
    ),
    max_leaves=5,
)


def happening(event: dict[str, Any], seq: int) -> Happening:
    """A row of the log, and what the projections made of it."""
    row = dict.fromkeys(Event.__struct_fields__)
    props = event["props"]
    row |= {"message_id": str(seq), "site": "shop", "timestamp": event["at"], "received_at": NOW}
    row |= {"type": event["type"], "event": event["name"], "path": event["path"]}
    row["properties"] = msgspec.json.encode(props).decode() if props else None
    counted = None
    if event["counts"]:
        total = Fraction(str(props["total"])) if "total" in props else None
        counted = Counted(event["counts"], total, props.get("currency"))
    return Happening(seq, event["at"], Event(**row), counted)


def history(person: dict[str, Any], node: Node) -> History:
    happened = [happening(event, seq) for seq, event in enumerate(person["events"])]
    return History(
        hits(patterns(node), happened),
        person["traits"],
        person["first_seen"],
        person["last_seen"],
    )
