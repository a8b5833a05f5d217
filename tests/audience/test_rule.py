"""Rules from TOML and JSON; what is wrong in one is named with its place."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audience import nodes
from collector.audience.nodes import Did, Measure, Moment, Pattern, Window
from collector.audience.rule import RuleError, link, parse, parse_json

DAY = 86_400_000


def test_the_rule_of_the_product_page() -> None:
    text = """
    [rule]
    all = [{ page = "/pricing*", within = "7d" }, { not = { event = "purchase", within = "7d" } }]
    """
    week = Window(Moment(ago=7 * DAY))
    assert parse(tomllib.loads(text)["rule"]) == nodes.All(
        (
            Did(Pattern("page", "/pricing*"), week, Measure("gte", 1)),
            nodes.Not(Did(Pattern("purchase", "purchase"), week, Measure("gte", 1))),
        )
    )


def test_toml_and_json_say_the_same() -> None:
    toml = 'event = "A"\nfrom = 2026-11-01\nto = 2026-11-02T00:00:00Z\ncount = {op="gt", value=2}'
    data = {"event": "A", "from": "2026-11-01", "to": "2026-11-02T00:00:00+00:00"}
    assert parse(tomllib.loads(toml)) == parse_json(
        json.dumps({**data, "count": {"op": "gt", "value": 2}})
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "rule: expected exactly one of all, any, not, audience, trait, sequence, event, page"),
        ({"event": "A", "page": "/a"}, "rule: expected exactly one of all, any, not, audience, "
         "trait, sequence, event, page, got event and page"),
        ({"all": []}, "rule.all: expected at least one rule"),
        ({"all": [{"event": "A"}, {"evnt": "A"}]}, "rule.all[1].evnt: there is no "
         "such field in a rule; did you mean event?"),
        ({"not": {"event": 3}}, "rule.not.event: expected text or nothing, got whole number"),
        ({"page": "pricing"}, "rule.page: expected a path as /pricing*, got 'pricing'"),
        ({"event": "A", "within": "7 days"},
         "rule.within: expected a duration as 7d, 12h or 30m, got '7 days'"),
        ({"event": "A", "from": "soon"},
         "rule.from: expected a date as 2026-11-01, or how long ago as 30d, got 'soon'"),
        ({"event": "A", "within": "7d", "to": "1d"}, "rule.within: does not go with from or to"),
        ({"event": "A", "op": "eq"}, "rule.op: does not go with event"),
        ({"event": ""}, "rule.event: is empty"),
        ({"event": "A", "count": {"op": "like", "value": 1}}, "rule.count.op: invalid enum value "
         "'like'"),
        ({"event": "A", "count": {"op": "in", "value": 1}},
         "rule.count.op: expected one of eq, ne, gt, gte, lt, lte"),
        ({"event": "A", "where": [{"property": "p", "op": "in", "value": 1}]},
         "rule.where[0].value: expected a list with in"),
        ({"event": "A", "where": [{"property": "$cookie", "op": "exists"}]},
         "rule.where[0].property: expected a property, $name, $path, $referrer, $referrer_host, "
         "$title, $url, $param.NAME or $campaign.NAME, got '$cookie'"),
        ({"trait": "plan", "op": "eq"}, "rule.value: is missing"),
        ({"trait": "plan", "value": 1}, "rule.op: is missing"),
        ({"trait": "$last_seen", "op": "eq", "value": "7d"},
         "rule.op: $last_seen takes gt, gte, lt or lte"),
        ({"sequence": [{"event": "A"}], "within": "1d"},
         "rule.sequence: expected at least two steps"),
        ({"sequence": [{"event": "A"}, {"event": "B"}]}, "rule.within: is missing"),
        ({"sequence": [{"not": {"event": "A"}}, {"event": "B"}], "within": "1d"},
         "rule.sequence[0]: the first step cannot be a not"),
        ({"sequence": [{"event": "A"}, {"not": {"trait": "a", "op": "exists"}}], "within": "1d"},
         "rule.sequence[1].not: a step is an event or a page, or the not of one"),
        ({"sequence": [{"event": "A"}, {"event": "B", "within": "1h"}], "within": "1d"},
         "rule.sequence[1]: only the first step has a time of its own"),
        ({"event": "Audience Entered"},
         "rule.event: Audience Entered follows from audiences; use audience = NAME"),
        ("event", "rule: expected table, got text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(rule, message) -> None:
    with pytest.raises(RuleError) as error:
        parse(rule)
    assert str(error.value) == message


def test_json_that_is_none_is_said_so() -> None:
    with pytest.raises(RuleError, match="rule: is not JSON"):
        parse_json('{"event": ')


def test_a_rule_may_nest_and_grow_only_so_far() -> None:
    deep = {"event": "A"}
    for _ in range(100_000):
        deep = {"not": deep}
    with pytest.raises(RuleError, match="nested too deep"):
        parse(deep)
    with pytest.raises(RuleError, match="more than 200 rules"):
        parse({"all": [{"event": "A"}] * 300})


def test_another_audience_is_its_rule() -> None:
    rules = {"a": parse({"event": "A"}), "b": parse({"not": {"audience": "a"}})}
    assert link(rules)["b"] == nodes.Not(rules["a"])


def test_audiences_that_are_not_there_or_go_in_a_circle() -> None:
    with pytest.raises(RuleError, match="audience b: there is no audience 'a'"):
        link({"b": parse({"audience": "a"})})
    rules = {"a": parse({"audience": "b"}), "b": parse({"audience": "a"})}
    with pytest.raises(RuleError, match="audience a: a circle: a → b → a"):
        link(rules)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["all", "any", "not", "event", "page", "where", "count", "sequence", "within", "op"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(junk)
def test_junk_is_refused_and_nothing_else_happens(data) -> None:
    try:
        parse(data)
    except RuleError:
        pass
