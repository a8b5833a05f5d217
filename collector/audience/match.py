"""Does an event fit a pattern: names, paths, conditions on what it carries. Pure.

A condition on a property that a list holds (`products.category`) is met when any element
meets it. Where a rule's value is a number, plain decimal strings count as numbers; otherwise
kinds are never mixed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from collector.audience.nodes import Condition, Pattern
from collector.event import Event

_PLAIN = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
_decode = msgspec.json.decode
Look = Callable[[str], list[Any]]


def glob(pattern: str, path: str) -> bool:
    """`*` stands for any run of characters, also none and also slashes. Each piece between
    two of them is looked for once, from left to right, so no path makes it slow."""
    first, *rest = pattern.split("*")
    if not rest:
        return path == first
    *middle, last = rest
    if not path.startswith(first) or len(path) < len(first) + len(last):
        return False
    at, end = len(first), len(path) - len(last)
    for piece in middle:
        at = path.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return path.endswith(last)


def named(pattern: Pattern, kind: str, event: str | None, path: str | None) -> bool:
    """Whether type, name and path fit; of purchases and leads the projections tell."""
    if pattern.kind == "page":
        return kind == "page" and path is not None and glob(pattern.name, path)
    return pattern.kind == "event" and kind == "track" and event == pattern.name


def fits(where: tuple[Condition, ...], event: Event | None, said: Mapping[str, Any] = {}) -> bool:
    """Whether the event meets every condition. `said`: what is known of it in better form than
    its properties have it; where that is enough, there need be no event."""
    if not where:
        return True
    own = looking(event) if event else lambda name: []
    return all(meets(c, lambda name: [said[name]] if name in said else own(name)) for c in where)


def meets(condition: Condition, look: Look) -> bool:
    found = [value for value in look(condition.property) if value is not None]
    match condition.op:
        case "exists":
            return bool(found) is condition.value
        case "ne":
            return not any(_equal(value, condition.value) for value in found)
        case "in":
            assert isinstance(condition.value, tuple)
            return any(_equal(value, one) for value in found for one in condition.value)
    return any(_compares(value, condition.op, condition.value) for value in found)


def _compares(value: Any, op: str, wanted: Any) -> bool:
    if op == "eq":
        return _equal(value, wanted)
    if op in ("contains", "prefix"):
        return isinstance(value, str) and (
            wanted in value if op == "contains" else value.startswith(wanted)
        )
    if isinstance(wanted, str):
        return isinstance(value, str) and ordered(value, op, wanted)
    number = exact(value)
    return number is not None and ordered(number, op, _exact_number(wanted))


def ordered(value: Any, op: str, wanted: Any) -> bool:
    """gt, gte, lt, lte, eq or ne of two values of one kind."""
    match op:
        case "gt":
            return bool(value > wanted)
        case "gte":
            return bool(value >= wanted)
        case "lt":
            return bool(value < wanted)
        case "lte":
            return bool(value <= wanted)
        case "ne":
            return bool(value != wanted)
    return bool(value == wanted)


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    if isinstance(wanted, str):
        return bool(value == wanted)
    return exact(value) == _exact_number(wanted)


def exact(value: Any) -> Fraction | None:
    """A number, or text that is a plain decimal number, without rounding; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Fraction):
        return value
    if isinstance(value, int | float):
        return _exact_number(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return Fraction(value)
    return None


@lru_cache(1024)
def _exact_number(value: int | float) -> Fraction:
    return Fraction(repr(value))


def looking(event: Event) -> Look:
    """Reads the event's properties and fields by name; JSON is decoded when first asked."""
    parts: dict[str, Any] = {}

    def part(name: str, text: str | None) -> Any:
        if name not in parts:
            parts[name] = _decode(text) if text else {}
        return parts[name]

    def look(name: str) -> list[Any]:
        if not name.startswith("$"):
            return list(_at(part("properties", event.properties), name.split(".")))
        head, _, rest = name.partition(".")
        if head == "$param":
            return _params(event.url, rest)
        if head == "$campaign":
            own = list(_at(part("context", event.context), ["campaign", rest]))
            return own or _params(event.url, _UTM.get(rest, f"utm_{rest}"))
        if name == "$referrer_host":
            return [_host(event.referrer)]
        return [event.event if name == "$name" else getattr(event, name[1:])]

    return look


_UTM = {"name": "utm_campaign"}


def looking_at(values: Any) -> Look:
    """Reads plain values (traits) by dotted name."""
    return lambda name: list(_at(values, name.split(".")))


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    """What lies at the path; lists are gone through on the way and at its end."""
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _params(url: str | None, name: str) -> list[Any]:
    try:
        query = urlsplit(url or "").query
        pairs = parse_qsl(query, keep_blank_values=True)
    except ValueError:  # a broken host, or more fields than Python takes apart
        return []
    return [value for key, value in pairs if key == name]


def _host(url: str | None) -> str | None:
    try:
        return urlsplit(url or "").hostname
    except ValueError:
        return None


def amounts(pattern: Pattern, event: Event | None) -> Fraction:
    """The sum of what lies at the pattern's amount in the event; what is no number is nothing."""
    if event is None:
        return Fraction(0)
    found = (exact(value) for value in looking(event)(pattern.amount or "total"))
    return sum((value for value in found if value is not None), Fraction(0))
