"""The rule language once more: slow, obvious, on plain dicts, sharing no code with collector/.

An event is {type, name, path, at, props, counts}; `counts` is None, "lead" or "purchase". A
person is {events, traits, first_seen, last_seen}. A rule is what TOML or JSON decode to."""

import re
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def ago(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def holds(rule: dict[str, Any], person: dict[str, Any], now: int, others: dict[str, Any]) -> bool:
    def again(inner: dict[str, Any]) -> bool:
        return holds(inner, person, now, others)

    if "all" in rule:
        return all(again(inner) for inner in rule["all"])
    if "any" in rule:
        return any(again(inner) for inner in rule["any"])
    if "not" in rule:
        return not again(rule["not"])
    if "audience" in rule:
        return again(others[rule["audience"]])
    if "trait" in rule:
        return trait(rule, person, now)
    if "sequence" in rule:
        return sequence(rule, person, now)
    return did(rule, person, now)


def trait(rule: dict[str, Any], person: dict[str, Any], now: int) -> bool:
    if rule["trait"] in ("$first_seen", "$last_seen"):
        seen = person[rule["trait"][1:]]
        if seen is None:
            return False
        return order(seen, rule["op"], moment(rule["value"], now))
    return condition(person["traits"], rule["trait"], rule["op"], rule["value"])


def moment(text: str, now: int) -> int:
    if re.fullmatch(r"\d+[smhdw]", text):
        return now - ago(text)
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def did(rule: dict[str, Any], person: dict[str, Any], now: int) -> bool:
    seen = [e for e in person["events"] if fits(rule, e) and in_time(rule, e["at"], now)]
    if "count" in rule:
        return order(len(seen), rule["count"]["op"], rule["count"]["value"])
    if "sum" in rule:
        return summed(rule, seen)
    return len(seen) > 0


def summed(rule: dict[str, Any], seen: list[dict[str, Any]]) -> bool:
    """Purchases by currency; of other events everything together."""
    sums: dict[str | None, Fraction] = {}
    for event in seen:
        currency = event["props"].get("currency") if event["counts"] == "purchase" else None
        if rule.get("event") != "purchase":
            currency = None
        value = number(event["props"].get(rule["sum"].get("property", "total")))
        sums[currency] = sums.get(currency, Fraction(0)) + (value or 0)
    wanted = number(rule["sum"]["value"])
    return any(order(total, rule["sum"]["op"], wanted) for total in sums.values() or [Fraction(0)])


def fits(rule: dict[str, Any], event: dict[str, Any]) -> bool:
    if "page" in rule:
        regex = ".*".join(re.escape(piece) for piece in rule["page"].split("*"))
        right = event["type"] == "page" and re.fullmatch(regex, event["path"], re.DOTALL)
    elif rule["event"] in ("purchase", "lead"):
        right = event["counts"] == rule["event"]
    else:
        right = event["type"] == "track" and event["name"] == rule["event"]
    return bool(right) and all(
        condition(event["props"], c["property"], c["op"], c["value"]) for c in rule.get("where", [])
    )


def in_time(rule: dict[str, Any], at: int, now: int) -> bool:
    if at > now:
        return False
    if "within" in rule:
        return now - at < ago(rule["within"])
    begin, end = rule.get("from"), rule.get("to")
    if begin is not None:
        relative = re.fullmatch(r"\d+[smhdw]", begin)
        if not (now - at < ago(begin) if relative else at >= moment(begin, now)):
            return False
    if end is not None:
        relative = re.fullmatch(r"\d+[smhdw]", end)
        if not (now - at >= ago(end) if relative else at < moment(end, now)):
            return False
    return True


def sequence(rule: dict[str, Any], person: dict[str, Any], now: int) -> bool:
    """Every way to choose one event for each step that must happen."""
    steps, within = rule["sequence"], ago(rule["within"])
    events = [e for e in person["events"] if e["at"] <= now]
    wanted = [i for i, step in enumerate(steps) if "not" not in step]
    choices = [[e for e in events if fits(steps[i], e)] for i in wanted]
    choices[0] = [e for e in choices[0] if in_time(steps[0], e["at"], now)]
    return any(chain(steps, wanted, list(way), within, events, now) for way in product(*choices))


def chain(steps, wanted, way, within, events, now) -> bool:
    for one, next_one in pairwise(way):
        if one is next_one or one["at"] > next_one["at"]:
            return False
    if way[-1]["at"] - way[0]["at"] > within:
        return False
    for i, step in enumerate(steps):
        if "not" not in step:
            continue
        before = max(k for k, w in enumerate(wanted) if w < i)
        against = [e for e in events if fits(step["not"], e) and e["at"] > way[before]["at"]]
        if before + 1 < len(way):
            if any(e["at"] < way[before + 1]["at"] for e in against):
                return False
        elif now <= way[-1]["at"] + within or any(
            e["at"] <= way[-1]["at"] + within for e in against
        ):
            return False
    return True


def condition(values: dict[str, Any], path: str, op: str, wanted: Any) -> bool:
    found = [v for v in lookup(values, path.split(".")) if v is not None]
    if op == "exists":
        return (len(found) > 0) == wanted
    if op == "ne":
        return not any(same(v, wanted) for v in found)
    if op == "in":
        return any(same(v, one) for v in found for one in wanted)
    return any(compare(v, op, wanted) for v in found)


def lookup(value: Any, path: list[str]) -> list[Any]:
    if isinstance(value, list):
        return [found for item in value for found in lookup(item, path)]
    if not path:
        return [value]
    if isinstance(value, dict) and path[0] in value:
        return lookup(value[path[0]], path[1:])
    return []


def compare(value: Any, op: str, wanted: Any) -> bool:
    if op == "eq":
        return same(value, wanted)
    if op == "contains":
        return isinstance(value, str) and wanted in value
    if op == "prefix":
        return isinstance(value, str) and value[: len(wanted)] == wanted
    if isinstance(wanted, str):
        return isinstance(value, str) and order(value, op, wanted)
    return number(value) is not None and order(number(value), op, number(wanted))


def same(value: Any, wanted: Any) -> bool:
    if type(value) is bool or type(wanted) is bool:
        return type(value) is type(wanted) and value == wanted
    if isinstance(wanted, str):
        return isinstance(value, str) and value == wanted
    return number(value) is not None and number(value) == number(wanted)


def number(value: Any) -> Fraction | None:
    if type(value) in (int, float):
        return Fraction(str(value))
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return Fraction(value)
    return None


def order(a: Any, op: str, b: Any) -> bool:
    return {
        "eq": a == b,
        "ne": a != b,
        "gt": a > b,
        "gte": a >= b,
        "lt": a < b,
        "lte": a <= b,
    }[op]
