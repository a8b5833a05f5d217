"""Every operator against a slow, obvious evaluation, over generated histories and rules; and
that nothing changes by itself before the time that the evaluator gives."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.audience.evaluate import evaluate
from collector.audience.rule import link, parse
from tests.audience import generated as g
from tests.audience.oracle import UNITS, ago, holds

CASES = int(os.environ.get("COLLECTOR_TEST_CASES", "100"))
# A window's edges lie at an event's time, or that many hours beyond it, or a millisecond beside.
EDGES = sorted({n * g.HOUR for n in (0, 1, 2, 3, 24)} | {UNITS["d"]})


def agrees(rule, person, others=None) -> None:
    nodes = {name: parse(data) for name, data in (others or {}).items()}
    node = link({**nodes, "this": parse(rule)})["this"]
    history = g.history(person, node)
    now = g.NOW
    value, until = evaluate(node, history, now)
    assert value == holds(rule, person, now, others or {})
    seen = [person["first_seen"], person["last_seen"], g.NOW - g.HOUR, g.NOW + g.HOUR]
    times = {e["at"] for e in person["events"]} | {at for at in seen if at is not None}
    turns = {at + edge + off for at in times for edge in EDGES for off in (-1, 0, 1)}
    for later in sorted(at for at in turns if at > now):
        if until is not None and later >= until:
            break
        assert holds(rule, person, later, others or {}) == value, (later, until)
    if until is not None:
        assert until > now


@pytest.mark.parametrize("op", g.OPS)
def test_conditions_on_properties(op: str) -> None:
    @settings(max_examples=CASES)
    @given(g.merged(g.subjects, g.windows), g.conditions(op), g.people)
    def check(rule, condition, person) -> None:
        agrees({**rule, "where": [condition]}, person)

    check()


@pytest.mark.parametrize("op", g.OPS)
def test_traits(op: str) -> None:
    @settings(max_examples=CASES)
    @given(g.conditions(op), g.people)
    def check(condition, person) -> None:
        agrees({"trait": condition["property"], "op": op, "value": condition["value"]}, person)

    check()


@pytest.mark.parametrize("measure", ["count", "sum"])
@pytest.mark.parametrize("op", g.ORDERS)
def test_counts_and_sums_in_windows(op: str, measure: str) -> None:
    @settings(max_examples=CASES)
    @given(g.merged(g.subjects, g.windows), g.numbers, g.people)
    def check(rule, value, person) -> None:
        agrees({**rule, measure: {"op": op, "value": value}}, person)

    check()


@settings(max_examples=3 * CASES)
@given(g.sequences, g.people)
def test_sequences(rule, person) -> None:
    agrees(rule, person)


@settings(max_examples=3 * CASES)
@given(
    st.lists(st.sampled_from(["A", "B", "lead"]), min_size=1, max_size=8),
    st.lists(st.integers(-4, 0), min_size=8, max_size=8),
    st.lists(
        st.sampled_from([{"event": "A"}, {"event": "B"}, {"not": {"event": "lead"}}]),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["A", "B"]),
    st.sampled_from(["1h", "2h", "3h"]),
)
def test_sequences_of_few_names_that_happen_often(names, hours, rest, first, within) -> None:
    events = [
        {
            "type": "track",
            "name": name,
            "path": None,
            "at": g.NOW + hour * g.HOUR,
            "props": {},
            "counts": "lead" if name == "lead" else None,
        }
        for name, hour in zip(names, hours, strict=False)
    ]
    person = {"events": events, "traits": {}, "first_seen": None, "last_seen": None}
    agrees({"sequence": [{"event": first}, *rest], "within": within}, person)


@settings(max_examples=CASES)
@given(g.seens, g.people)
def test_first_and_last_seen(rule, person) -> None:
    agrees(rule, person)


@settings(max_examples=3 * CASES)
@given(g.rules, g.people)
def test_rules_in_rules(rule, person) -> None:
    agrees(rule, person)


@settings(max_examples=CASES)
@given(g.rules, g.leaves, g.people)
def test_another_audience(rule, other, person) -> None:
    agrees({"any": [{"audience": "other"}, {"not": rule}]}, person, {"other": other})


@settings(max_examples=CASES)
@given(g.rules, g.people, st.randoms(use_true_random=False))
def test_order_of_arrival_is_nothing(rule, person, random) -> None:
    node = parse(rule)
    shuffled = {**person, "events": random.sample(person["events"], len(person["events"]))}
    assert evaluate(node, g.history(person, node), g.NOW) == evaluate(
        node, g.history(shuffled, node), g.NOW
    )


def test_a_window_is_looked_at_again_when_its_last_event_leaves() -> None:
    rule = {"page": "/a", "within": "7d"}
    event = {"type": "page", "name": None, "path": "/a", "at": g.NOW, "props": {}, "counts": None}
    person = {"events": [event], "traits": {}, "first_seen": None, "last_seen": None}
    node = parse(rule)
    assert evaluate(node, g.history(person, node), g.NOW) == (True, g.NOW + ago("7d"))


def test_a_sequence_of_a_hundred_thousand_events_is_one_pass() -> None:
    event = {"type": "track", "path": None, "props": {}, "counts": None}
    events = [{**event, "name": "AB"[i % 2], "at": g.NOW - i // 50} for i in range(100_000)]
    person = {"events": events, "traits": {}, "first_seen": None, "last_seen": None}
    names = ["A", "B", "A", "B"]
    node = parse({"sequence": [{"event": name} for name in names], "within": "1d"})
    assert evaluate(node, g.history(person, node), g.NOW)[0]


def happened(*times: int):
    event = {"type": "track", "name": "A", "path": None, "props": {}, "counts": None}
    events = [{**event, "at": at} for at in times]
    return {"events": events, "traits": {}, "first_seen": times[0], "last_seen": times[0]}


BESIDE = (-1, 0, 1)
EDGE_TIMES = sorted(
    {g.NOW - ago(age) + off for age in g.AGES for off in BESIDE}
    | {g.NOW + hours * g.HOUR + off for hours in (-2, -1, 0, 1) for off in BESIDE}
)


@pytest.mark.parametrize("field", ["within", "from", "to"])
def test_the_very_edges_of_windows(field: str) -> None:
    for value in g.AGES if field == "within" else g.AGES + g.DATES:
        for at in EDGE_TIMES:
            agrees({"event": "A", field: value}, happened(at))
            agrees({"event": "A", field: value, "count": {"op": "eq", "value": 1}}, happened(at))


@pytest.mark.parametrize("op", ["gt", "gte", "lt", "lte"])
def test_the_very_edges_of_first_and_last_seen(op: str) -> None:
    for value in g.AGES + g.DATES:
        for at in EDGE_TIMES:
            agrees({"trait": "$last_seen", "op": op, "value": value}, happened(at))


def test_the_very_edges_of_sequences() -> None:
    steps = [{"event": "A"}, {"event": "A"}]
    silent = [{"event": "A"}, {"not": {"event": "A"}}]
    for at in EDGE_TIMES:
        for age in g.AGES:
            agrees({"sequence": steps, "within": age}, happened(at, at - ago(age), at))
            agrees({"sequence": silent, "within": age}, happened(at))
            agrees({"sequence": silent, "within": age}, happened(at, at - ago(age)))


def named(**times: int):
    """Hours before now by name; `L` is a lead."""
    event = {"type": "track", "path": None, "props": {}}
    events = [
        {
            **event,
            "name": name,
            "at": g.NOW + hours * g.HOUR,
            "counts": "lead" if name == "L" else None,
        }
        for name, hours in times.items()
    ]
    return {"events": events, "traits": {}, "first_seen": None, "last_seen": None}


def test_what_lies_between_two_steps_breaks_a_sequence() -> None:
    steps = [{"event": "A"}, {"not": {"event": "lead"}}, {"event": "B"}]
    for lead in (-4, -3, -2, -1, 0):
        agrees({"sequence": steps, "within": "1d"}, named(A=-3, L=lead, B=-1))


def test_a_rule_is_looked_at_when_the_first_of_its_parts_changes() -> None:
    parts = [{"event": "A", "within": "1h"}, {"event": "B", "within": "3h"}]
    for group in ("all", "any"):
        for rule in ({group: parts}, {group: [{"not": part} for part in parts]}):
            for a, b in ((0, 0), (-2, 0), (0, -5), (-2, -5)):
                agrees(rule, named(A=a, B=b))
