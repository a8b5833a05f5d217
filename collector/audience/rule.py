"""The rule language: TOML or JSON to nodes, every error with its path. docs/AUDIENCES.md tells
it to users.
"""

import difflib
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any as Anything

import msgspec
from msgspec import Struct

from collector.audience.nodes import (
    All,
    Any,
    Condition,
    Did,
    Kind,
    Measure,
    Member,
    Moment,
    Node,
    Not,
    Op,
    Pattern,
    Scalar,
    Sequence,
    Step,
    Trait,
    Window,
)
from collector.errors import ConfigError, in_words

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGE = re.compile(r"(\d{1,6})([smhdw])")
_DEEPEST = 16
_MOST_NODES = 200
_ORDERED = frozenset({"gt", "gte", "lt", "lte"})
_NUMERIC = _ORDERED | {"eq", "ne"}
SEEN = frozenset({"$first_seen", "$last_seen"})
FIELDS = frozenset({"$url", "$path", "$title", "$referrer", "$referrer_host", "$name"})
OWN_EVENTS = frozenset({"Audience Entered", "Audience Exited"})
_NAMES = {"not_": "not", "from_": "from"}


class _Form(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table as it is written."""


class _Condition(_Form, frozen=True):
    property: str
    op: Op
    value: Scalar | tuple[Scalar, ...] = True


class _Measure(_Form, frozen=True):
    op: Op
    value: int | float
    property: str | None = None


class _Rule(_Form, frozen=True, rename=_NAMES):
    all: "tuple[_Rule, ...] | None" = None
    any: "tuple[_Rule, ...] | None" = None
    not_: "_Rule | None" = None
    audience: str | None = None
    trait: str | None = None
    op: Op | None = None
    value: Scalar | tuple[Scalar, ...] | None = None
    sequence: "tuple[_Rule, ...] | None" = None
    event: str | None = None
    page: str | None = None
    where: tuple[_Condition, ...] | None = None
    count: _Measure | None = None
    sum: _Measure | None = None
    within: str | None = None
    from_: str | None = None
    to: str | None = None


_HEADS = ("all", "any", "not", "audience", "trait", "sequence", "event", "page")
_NAMES_IN_RULES = ("op", "value", "where", "count", "sum", "within", "from", "to", "property")
_TAKES = {
    "trait": {"op", "value"},
    "sequence": {"within"},
    "event": {"where", "count", "sum", "within", "from", "to"},
    "page": {"where", "count", "sum", "within", "from", "to"},
}


class RuleError(ConfigError):
    """A rule that cannot be understood; the message names the place in it."""


def parse_json(text: str | bytes, path: str = "rule") -> Node:
    """A rule from JSON text. Raises RuleError."""
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RuleError(f"{path}: is not JSON: {error}") from None
    return parse(data, path)


def parse(data: Anything, path: str = "rule") -> Node:
    """A rule from plain values (what TOML or JSON decode to). Raises RuleError naming the
    place below `path`. Other audiences are still named in it: see `link`."""
    plain = _plain(data, path, 0)
    try:
        form = msgspec.convert(plain, _Rule)
    except msgspec.ValidationError as error:
        raise RuleError(_explain(str(error), path)) from None
    if _size(form) > _MOST_NODES:
        raise RuleError(f"{path}: more than {_MOST_NODES} rules in one")
    return _node(form, path)


def _explain(text: str, path: str) -> str:
    """msgspec's words as ours: the place first, and what an unknown field may have meant."""
    text, _, at = text.partition(" - at `$")
    path += at.rstrip("`")
    if "unknown field" in text:
        name = text.split("`")[1]
        close = difflib.get_close_matches(name, [*_HEADS, *_NAMES_IN_RULES], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"{path}.{name}: there is no such field in a rule{hint}"
    return f"{path}: {in_words(text)}"


def link(rules: Mapping[str, Node]) -> dict[str, Node]:
    """Each rule with the audiences that it names replaced by their rules. Raises RuleError for
    an unknown name, a circle, or what has grown too large that way."""
    done: dict[str, Node] = {}

    def linked(name: str, trail: tuple[str, ...]) -> Node:
        if name in trail:
            raise RuleError(f"audience {trail[0]}: a circle: {' → '.join((*trail, name))}")
        if name not in done:
            done[name] = replaced(rules[name], (*trail, name))
            if _weight(done[name]) > 10 * _MOST_NODES:
                raise RuleError(f"audience {name}: too large with the audiences that it names")
        return done[name]

    def replaced(node: Node, trail: tuple[str, ...]) -> Node:
        match node:
            case All(inner):
                return All(tuple(replaced(rule, trail) for rule in inner))
            case Any(inner):
                return Any(tuple(replaced(rule, trail) for rule in inner))
            case Not(rule):
                return Not(replaced(rule, trail))
            case Member(name):
                if name not in rules:
                    of = f"audience {trail[-1]}: " if trail[-1] else ""
                    raise RuleError(f"{of}there is no audience {name!r}")
                return linked(name, trail)
        return node

    for name in rules:
        linked(name, ())
    return done


def age_ms(text: str) -> int | None:
    """`7d` in milliseconds; None when it is no such thing."""
    found = _AGE.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] * 1000 if found else None


def _plain(data: Anything, path: str, depth: int) -> Anything:
    """The same with TOML's dates as text; bounds the depth before anything recurses."""
    if depth > 4 * _DEEPEST:
        raise RuleError(f"{path}: nested too deep")
    if isinstance(data, dict):
        return {str(k): _plain(v, f"{path}.{k}", depth + 1) for k, v in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(data)]
    if isinstance(data, date):  # a datetime is one too
        return data.isoformat()
    if isinstance(data, float) and not math.isfinite(data):
        raise RuleError(f"{path}: expected a finite number")
    return data


def _inner(form: _Rule) -> tuple[_Rule, ...]:
    return (
        *(form.all or ()),
        *(form.any or ()),
        *(form.sequence or ()),
        *filter(None, [form.not_]),
    )


def _size(form: _Rule) -> int:
    return 1 + sum(_size(rule) for rule in _inner(form))


def _weight(node: Node) -> int:
    match node:
        case All(rules) | Any(rules):
            return 1 + sum(_weight(rule) for rule in rules)
        case Not(rule):
            return 1 + _weight(rule)
        case _:
            return 1


def _given(form: _Rule) -> dict[str, Anything]:
    names = {**{n: n for n in form.__struct_fields__}, **_NAMES}
    values = {names[n]: getattr(form, n) for n in form.__struct_fields__}
    return {name: value for name, value in values.items() if value is not None}


def _node(form: _Rule, path: str) -> Node:
    given = _given(form)
    heads = [name for name in _HEADS if name in given]
    if len(heads) != 1:
        found = f", got {' and '.join(heads)}" if heads else ""
        raise RuleError(f"{path}: expected exactly one of {', '.join(_HEADS)}{found}")
    head = heads[0]
    for name in given.keys() - {head} - _TAKES.get(head, set()):
        raise RuleError(f"{path}.{name}: does not go with {head}")
    match head:
        case "all" | "any":
            return _group(head, given[head], path)
        case "not":
            return Not(_node(given["not"], f"{path}.not"))
        case "audience":
            return Member(_filled(given["audience"], f"{path}.audience"))
        case "trait":
            return _trait(form, path)
        case "sequence":
            return _sequence(form, path)
    return _did(form, path)


def _group(head: str, forms: tuple[_Rule, ...], path: str) -> Node:
    if not forms:
        raise RuleError(f"{path}.{head}: expected at least one rule")
    rules = tuple(_node(rule, f"{path}.{head}[{i}]") for i, rule in enumerate(forms))
    return All(rules) if head == "all" else Any(rules)


def _trait(form: _Rule, path: str) -> Trait:
    if form.op is None:
        raise RuleError(f"{path}.op: is missing")
    name = _filled(form.trait or "", f"{path}.trait")
    value = True if form.value is None and form.op == "exists" else form.value
    if value is None:
        raise RuleError(f"{path}.value: is missing")
    if name in SEEN:
        if form.op not in _ORDERED:
            raise RuleError(f"{path}.op: {name} takes gt, gte, lt or lte")
        moment = _moment(str(value), f"{path}.value")
        return Trait(Condition(name, form.op, moment.at or 0), moment.ago)
    if name.startswith("$"):
        raise RuleError(f"{path}.trait: expected a trait, $first_seen or $last_seen")
    return Trait(_condition(_Condition(property=name, op=form.op, value=value), path))


def _did(form: _Rule, path: str) -> Did:
    if form.count is not None and form.sum is not None:
        raise RuleError(f"{path}: expected count or sum, not both")
    measure, amount = Measure("gte", 1), None
    if form.count is not None:
        measure = _measure(form.count, f"{path}.count")
        if form.count.property is not None:
            raise RuleError(f"{path}.count.property: goes with sum")
    if form.sum is not None:
        measure = _measure(form.sum, f"{path}.sum")
        amount = _filled(form.sum.property or "total", f"{path}.sum.property")
    return Did(_pattern(form, path, amount), _window(form, path), measure)


def _pattern(form: _Rule, path: str, amount: str | None = None) -> Pattern:
    where = tuple(_condition(c, f"{path}.where[{i}]", True) for i, c in enumerate(form.where or ()))
    if form.page is not None:
        if not form.page.startswith(("/", "*")):
            raise RuleError(f"{path}.page: expected a path as /pricing*, got {form.page!r}")
        return Pattern("page", form.page, where, amount)
    name = _filled(form.event or "", f"{path}.event")
    if name in OWN_EVENTS:
        raise RuleError(f"{path}.event: {name} follows from audiences; use audience = NAME")
    kind: Kind = "purchase" if name == "purchase" else "lead" if name == "lead" else "event"
    return Pattern(kind, name, where, amount)


def _measure(form: _Measure, path: str) -> Measure:
    if form.op not in _NUMERIC:
        raise RuleError(f"{path}.op: expected one of eq, ne, gt, gte, lt, lte")
    return Measure(form.op, form.value)


def _sequence(form: _Rule, path: str) -> Sequence:
    if form.within is None:
        raise RuleError(f"{path}.within: is missing")
    within = _age(form.within, f"{path}.within")
    forms, steps = form.sequence or (), []
    for i, step in enumerate(forms):
        steps.append(_step(step, f"{path}.sequence[{i}]", first=i == 0))
    if sum(not step.absent for step in steps) < 1 or len(steps) < 2:
        raise RuleError(f"{path}.sequence: expected at least two steps")
    return Sequence(tuple(steps), within, _window(forms[0], f"{path}.sequence[0]"))


def _step(form: _Rule, path: str, first: bool) -> Step:
    absent = form.not_ is not None
    if absent and first:
        raise RuleError(f"{path}: the first step cannot be a not")
    if form.not_ is not None:
        _node(form, path)  # its own errors first
        form, path = form.not_, f"{path}.not"
    if not isinstance(_node(form, path), Did):
        raise RuleError(f"{path}: a step is an event or a page, or the not of one")
    if form.count is not None or form.sum is not None:
        raise RuleError(f"{path}: a step is not counted or summed")
    if not first and (form.within or form.from_ or form.to):
        raise RuleError(f"{path}: only the first step has a time of its own")
    return Step(_pattern(form, path), absent)


def _window(form: _Rule, path: str) -> Window:
    if form.within is not None:
        if form.from_ is not None or form.to is not None:
            raise RuleError(f"{path}.within: does not go with from or to")
        return Window(Moment(ago=_age(form.within, f"{path}.within")), None)
    begin = None if form.from_ is None else _moment(form.from_, f"{path}.from")
    end = None if form.to is None else _moment(form.to, f"{path}.to")
    return Window(begin, end)


def _age(text: str, path: str) -> int:
    age = age_ms(text)
    if not age:
        raise RuleError(f"{path}: expected a duration as 7d, 12h or 30m, got {text!r}")
    return age


def _moment(text: str, path: str) -> Moment:
    if (age := age_ms(text)) is not None:
        return Moment(ago=age)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise RuleError(
            f"{path}: expected a date as 2026-11-01, or how long ago as 30d, got {text!r}"
        ) from None
    return Moment(at=int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000))


def _condition(form: _Condition, path: str, of_event: bool = False) -> Condition:
    name, op, value = _filled(form.property, f"{path}.property"), form.op, form.value
    if of_event and name.startswith("$") and not _is_field(name):
        raise RuleError(
            f"{path}.property: expected a property, {', '.join(sorted(FIELDS))}, $param.NAME "
            f"or $campaign.NAME, got {name!r}"
        )
    listed = isinstance(value, tuple)
    if (op == "in") != listed:
        raise RuleError(f"{path}.value: {'a list goes' if listed else 'expected a list'} with in")
    if op == "exists" and not isinstance(value, bool):
        raise RuleError(f"{path}.value: exists takes true or false")
    if op in ("contains", "prefix") and not isinstance(value, str):
        raise RuleError(f"{path}.value: expected text")
    if op in _ORDERED and isinstance(value, bool):
        raise RuleError(f"{path}.value: expected a number or text")
    return Condition(name, op, value)


def _is_field(name: str) -> bool:
    head, _, rest = name.partition(".")
    return name in FIELDS or (head in ("$param", "$campaign") and bool(rest))


def _filled(text: str, path: str) -> str:
    if not text:
        raise RuleError(f"{path}: is empty")
    return text
