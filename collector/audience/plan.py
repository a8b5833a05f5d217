"""All audiences together: which of them an event concerns, and which patterns it fits. Pure."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from collector.audience import nodes
from collector.audience.consent import Policy
from collector.audience.evaluate import History, evaluate
from collector.audience.match import named
from collector.audience.nodes import Node, Pattern
from collector.audience.rule import SEEN

_NOTHING = History({}, {})


class Target(Struct, frozen=True):
    """A destination of an audience. `addressed`: only people whose e-mail is known."""

    name: str
    policy: Policy
    addressed: bool = False


class Audience(Struct, frozen=True):
    """An audience ready to be evaluated. `first`: its history has not been looked at whole."""

    number: int
    name: str
    site: str
    node: Node
    targets: tuple[Target, ...] = ()
    record: bool = False
    first: bool = False


class Interest(Struct, frozen=True):
    """What an event of some type and name means: the audiences that it concerns (bits by
    place), the patterns that it fits by name, and those of them that want to see the event."""

    mask: int
    patterns: tuple[Pattern, ...]
    wanted: bool


class Plan:
    """The audiences, and what has been found out about names so far."""

    def __init__(self, audiences: Iterable[Audience], known: Mapping[str, str]) -> None:
        """`known`: the names of tracks that are purchases or leads."""
        self.audiences = tuple(audiences)
        self.everyone = (1 << len(self.audiences)) - 1
        self._known = known
        self._masks: dict[Pattern, int] = {}
        self.always = 0  # who asks for every event
        self.usual = 0  # to which whoever did nothing belongs: asked at a person's first event
        for place, audience in enumerate(self.audiences):
            bit = 1 << place
            for pattern in nodes.patterns(audience.node):
                self._masks[pattern] = self._masks.get(pattern, 0) | bit
            if _seen(audience.node):
                self.always |= bit
            if evaluate(audience.node, _NOTHING, 0)[0]:
                self.usual |= bit
        self.counted = [p for p in self._masks if p.kind in ("purchase", "lead")]
        self.looking = {p for p in self._masks if looks(p)}
        self.reads_people = any(nodes.reads_person(a.node) for a in self.audiences)
        self.targets = any(a.targets for a in self.audiences)
        self._by_name: dict[int, Interest] = {}
        self._relevant: list[int] = []
        self._types: dict[str, set[int]] = {}
        self.last_name = 0

    def learn(self, names: Iterable[tuple[int, str, str]]) -> None:
        """Numbers of event_names, with type and name."""
        for number, kind, name in names:
            interest = self._by_name[number] = self._interest(kind, name)
            self.last_name = max(self.last_name, number)
            self._types.setdefault(kind, set()).add(number)
            if interest.patterns:
                self._relevant.append(number)

    def forget(self, numbers: Iterable[int]) -> None:
        """Numbers behind which there is no name any more (it told who somebody is): nothing
        fits them."""
        self._by_name |= {n: Interest(self.always, (), False) for n in self.unknown(numbers)}

    def unknown(self, numbers: Iterable[int]) -> list[int]:
        return [number for number in numbers if number not in self._by_name]

    def relevant(self) -> list[int] | None:
        """Numbers of the names learned so far that fit some pattern; None where every event is
        asked for."""
        return None if self.always else self._relevant

    def numbers_of(self, kind: str) -> set[int]:
        """Numbers of the names learned so far of events of this type."""
        return self._types.get(kind, set())

    def interest(self, number: int) -> Interest:
        return self._by_name[number]

    def _interest(self, kind: str, name: str) -> Interest:
        fitting = tuple(p for p in self._masks if named(p, kind, name, name))
        mask = self.always
        for pattern in fitting:
            mask |= self._masks[pattern]
        if kind == "track" and (meaning := self._known.get(name)):
            for pattern in self.counted:
                mask |= self._masks[pattern] if pattern.kind == meaning else 0
        return Interest(mask, fitting, any(p in self.looking for p in fitting))

    def asks(self, kind: str) -> bool:
        """Whether purchases, or leads, are asked for."""
        return any(pattern.kind == kind for pattern in self.counted)

    def chosen(self, mask: int) -> list[Audience]:
        return [a for place, a in enumerate(self.audiences) if mask >> place & 1]


def looks(pattern: Pattern) -> bool:
    """Whether the pattern has to see the event itself, and not only what the projections and
    the index know of it."""
    asked = {condition.property for condition in pattern.where}
    asked |= {pattern.amount} if pattern.amount is not None else set()
    return bool(asked - {"total", "currency"} if pattern.kind == "purchase" else asked)


def _seen(node: Node) -> bool:
    match node:
        case nodes.All(rules) | nodes.Any(rules):
            return any(_seen(rule) for rule in rules)
        case nodes.Not(rule):
            return _seen(rule)
        case nodes.Trait(condition):
            return condition.property in SEEN
    return False
