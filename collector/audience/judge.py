"""What follows from a person's history: who enters, who leaves, who is to be told. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import msgspec
from msgspec import Struct

from collector.audience.consent import Statement, allowed, read
from collector.audience.evaluate import History, Hit, evaluate
from collector.audience.history import Counted, Happening, belongs, hit
from collector.audience.nodes import Pattern
from collector.audience.plan import Audience, Plan, Target
from collector.event import Event

Seq = int
_LEAD = Counted("lead")


class Line(Struct, array_like=True, frozen=True, gc=False):
    """An event as the index has it."""

    seq: int
    at: int
    name: int
    consent: int | None


class Lines(Struct, array_like=True, frozen=True):
    """A person's events of one id."""

    person: int
    key: int
    lines: list[Line]


class Bought(Struct, array_like=True, frozen=True, gc=False):
    """A purchase that counts."""

    person: int
    seq: int
    at: int
    total_micros: int | None
    currency: str | None


class Left(Struct, array_like=True, frozen=True, gc=False):
    """A new address that was left; `seq` 0 where the event is no longer there."""

    person: int
    seq: int
    at: int


class Profile(Struct, array_like=True, frozen=True, gc=False):
    """A row of `people`."""

    person: int
    site: str
    email: str | None
    traits: str | None
    first_seen: int
    trusted: int


class State(Struct, array_like=True, frozen=True, gc=False):
    """A row of `audience_states`."""

    person: int
    audience: int
    entered_at: int | None
    look_at: int | None


class Told(Struct, array_like=True, frozen=True, gc=False):
    """A row of `audience_told`."""

    person: int
    audience: int
    destination: str
    address: str | None


class Known(Struct):
    """All that is known of one person."""

    profile: Profile | None = None
    lines: list[Lines] = msgspec.field(default_factory=list)
    bought: list[Bought] = msgspec.field(default_factory=list)
    left: list[Left] = msgspec.field(default_factory=list)
    states: dict[int, State] = msgspec.field(default_factory=dict)
    told: dict[tuple[int, str], Told] = msgspec.field(default_factory=dict)


class Change(Struct, array_like=True, frozen=True, gc=False):
    """A row for the outbox."""

    destination: str
    audience: int
    person: int
    change: str
    at: int
    first: bool
    address: str | None = None


class Outcome(Struct):
    """What is to be written."""

    put: list[State] = msgspec.field(default_factory=list)
    drop: list[tuple[int, int]] = msgspec.field(default_factory=list)
    changes: list[Change] = msgspec.field(default_factory=list)
    told: list[Told] = msgspec.field(default_factory=list)
    untold: list[tuple[int, int, str]] = msgspec.field(default_factory=list)
    # How many entered (True) or left an audience, by its number and the time.
    moves: Counter[tuple[int, int, bool]] = msgspec.field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.put or self.drop or self.changes or self.told or self.untold)


def wanted(plan: Plan, known: Known) -> list[Seq]:
    """Numbers of the events that some pattern has to see."""
    found = []
    if plan.looking:
        for of_key in known.lines:
            found += [line.seq for line in of_key.lines if plan.interest(line.name).wanted]
    if any(pattern in plan.looking for pattern in plan.counted):
        found += [bought.seq for bought in known.bought]
        found += [left.seq for left in known.left]
    return found


def history(
    plan: Plan, known: Known, events: Mapping[Seq, Event], traits: Mapping[str, Any] | None = None
) -> History:
    """The person's history as rules look at it. `traits`: other ones than the present."""
    hits: dict[Pattern, list[Hit]] = {}
    last = None
    for of_key in known.lines:
        for line in of_key.lines:
            for pattern in plan.interest(line.name).patterns:
                if pattern not in plan.looking:
                    hits.setdefault(pattern, []).append(Hit(line.at, line.seq))
                elif event := events.get(line.seq):
                    _add(hits, pattern, Happening(line.seq, line.at, event))
        if plan.always:
            last = max([last or 0, *(line.at for line in of_key.lines)])
    for pattern in plan.counted:
        _count(hits, pattern, known, events)
    for found in hits.values():
        found.sort()
    profile = known.profile
    if traits is None:
        traits = _traits(profile) if plan.reads_people else {}
    return History(hits, traits, profile.first_seen if profile else None, last)


def _add(hits: dict[Pattern, list[Hit]], pattern: Pattern, happening: Happening) -> None:
    if belongs(pattern, happening):
        hits.setdefault(pattern, []).append(hit(pattern, happening))


def _count(
    hits: dict[Pattern, list[Hit]], pattern: Pattern, known: Known, events: Mapping[Seq, Event]
) -> None:
    """Purchases or leads. What is no longer in the log cannot meet what is asked of it."""
    if pattern.kind == "lead":
        for left in known.left:
            _add(hits, pattern, Happening(left.seq, left.at, events.get(left.seq), _LEAD))
        return
    for bought in known.bought:
        total = None if bought.total_micros is None else Fraction(bought.total_micros, 1_000_000)
        counted = Counted("purchase", total, bought.currency)
        _add(hits, pattern, Happening(bought.seq, bought.at, events.get(bought.seq), counted))


def _traits(profile: Profile | None) -> dict[str, Any]:
    if profile is None:
        return {}
    traits = msgspec.json.decode(profile.traits) if profile.traits else {}
    return {**traits, "email": profile.email} if profile.email else traits


def judge(
    plan: Plan,
    mask: int,
    person: int,
    known: Known,
    events: Mapping[Seq, Event],
    consents: Callable[[int], str],
    now: int,
    outcome: Outcome,
) -> None:
    """Evaluate the audiences of `mask` for a person and add to `outcome` what has changed."""
    past = history(plan, known, events)
    statements: list[Statement] | None = None
    for audience in plan.chosen(mask):
        member, until = False, None
        if known.profile and audience.site in ("", known.profile.site):
            member, until = evaluate(audience.node, past, now)
        old = known.states.get(audience.number)
        _settle(audience, person, member, until, old, now, outcome)
        if not audience.targets:
            continue
        if statements is None:
            statements = _statements(known, consents)
        for target in audience.targets:
            want = member and _may(target, known, statements)
            _tell(audience, target, person, known, want, now, outcome)


def _settle(
    audience: Audience,
    person: int,
    member: bool,
    until: int | None,
    old: State | None,
    now: int,
    outcome: Outcome,
) -> None:
    """Membership and the next look. A look that is planned earlier than need be stays: moving
    it would cost a write for every event."""
    entered = old.entered_at if old else None
    planned = old.look_at if old else None
    if planned is None or planned <= now or (until is not None and until < planned):
        planned = until
    if member is not (entered is not None):
        if not audience.first:
            outcome.moves[audience.number, now, member] += 1
        if audience.record and not audience.first:
            word = "entered" if member else "exited"
            outcome.changes.append(Change("", audience.number, person, word, now, False))
        entered = now if member else None
    if (entered, planned) == ((old.entered_at, old.look_at) if old else (None, None)):
        return
    if entered is None and planned is None:
        outcome.drop.append((person, audience.number))
    else:
        outcome.put.append(State(person, audience.number, entered, planned))


def _may(target: Target, known: Known, statements: list[Statement]) -> bool:
    profile = known.profile
    if profile is None or not profile.trusted or (target.addressed and not profile.email):
        return False
    return allowed(target.policy, statements)


def _statements(known: Known, consents: Callable[[int], str]) -> list[Statement]:
    return [
        Statement(of_key.key, line.at, read(consents(line.consent)))
        for of_key in known.lines
        for line in of_key.lines
        if line.consent is not None
    ]


def _tell(
    audience: Audience,
    target: Target,
    person: int,
    known: Known,
    want: bool,
    now: int,
    outcome: Outcome,
) -> None:
    """Whoever was told of a person is told when it leaves; a new address is a new person."""
    told = known.told.get((audience.number, target.name))
    email = known.profile.email if known.profile and target.addressed else None
    if told is not None and want and told.address == email:
        return
    if told is not None:
        outcome.untold.append((person, audience.number, target.name))
        outcome.changes.append(
            Change(target.name, audience.number, person, "exited", now, False, told.address)
        )
    if want:
        outcome.told.append(Told(person, audience.number, target.name, email))
        outcome.changes.append(
            Change(target.name, audience.number, person, "entered", now, audience.first, email)
        )
