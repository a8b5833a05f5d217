"""What a rule is once it is understood: values without a word of TOML or JSON.

Times are milliseconds since 1970 UTC. All nodes are frozen and compare by value, so that equal
patterns of several audiences are matched once.
"""

from typing import Literal

from msgspec import Struct

Op = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "contains", "prefix", "exists"]
Scalar = str | int | float | bool
Kind = Literal["event", "page", "purchase", "lead"]


class Condition(Struct, frozen=True):
    """A property (or a `$…` field of the event) compared with a value."""

    property: str
    op: Op
    value: Scalar | tuple[Scalar, ...]


class Pattern(Struct, frozen=True):
    """Which events count: by kind and name (of a page: a glob of the path) and conditions.
    `amount`: the property that is summed, None where events are counted."""

    kind: Kind
    name: str
    where: tuple[Condition, ...] = ()
    amount: str | None = None


class Moment(Struct, frozen=True):
    """A point in time, fixed or a distance before now."""

    at: int | None = None
    ago: int | None = None

    def on(self, now: int) -> int:
        return self.at if self.at is not None else now - (self.ago or 0)


class Window(Struct, frozen=True):
    """Events from `begin` on and before `end`; None: unbounded."""

    begin: Moment | None = None
    end: Moment | None = None


class Measure(Struct, frozen=True):
    """A count or a sum, compared with a number."""

    op: Op
    value: int | float


class All(Struct, frozen=True):
    rules: "tuple[Node, ...]"


class Any(Struct, frozen=True):
    rules: "tuple[Node, ...]"


class Not(Struct, frozen=True):
    rule: "Node"


class Member(Struct, frozen=True):
    """Belongs to another audience; replaced by that one's rule before anything is evaluated."""

    audience: str


class Trait(Struct, frozen=True):
    """`ago`: the value is a distance before now (only for $first_seen and $last_seen)."""

    condition: Condition
    ago: int | None = None


class Did(Struct, frozen=True):
    """Events of a pattern in a window, counted or summed."""

    pattern: Pattern
    window: Window
    measure: Measure


class Step(Struct, frozen=True):
    """One step of a sequence; `absent`: must not happen there."""

    pattern: Pattern
    absent: bool = False


class Sequence(Struct, frozen=True):
    """Steps in order, the last within `within` of the first; `window` holds the first."""

    steps: tuple[Step, ...]
    within: int
    window: Window


Node = All | Any | Not | Member | Trait | Did | Sequence


def patterns(node: Node) -> frozenset[Pattern]:
    """Every pattern that the node looks at."""
    match node:
        case All(rules) | Any(rules):
            return frozenset().union(*(patterns(rule) for rule in rules))
        case Not(rule):
            return patterns(rule)
        case Did(pattern):
            return frozenset((pattern,))
        case Sequence(steps):
            return frozenset(step.pattern for step in steps)
        case _:
            return frozenset()


def reads_person(node: Node) -> bool:
    """True when the node looks at traits, e-mail, first or last seen."""
    match node:
        case All(rules) | Any(rules):
            return any(reads_person(rule) for rule in rules)
        case Not(rule):
            return reads_person(rule)
        case _:
            return isinstance(node, Trait)
