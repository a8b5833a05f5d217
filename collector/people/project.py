"""A piece of the log, and what follows from it: new and changed keys, ties, purchases, leads.

Asks for what was there before (`Past`) and returns what is to be written (`Changes`); knows
neither database nor clock, so that the same events give the same people in any order.
"""

import weakref
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from collector.people import commerce
from collector.people.identity import (
    ALWAYS,
    ANONYMOUS,
    CAPTURED,
    IDENTIFIED,
    USER,
    Facts,
    Owner,
    Resolver,
    Rules,
    Tie,
    Ties,
    kind_of,
    number,
)
from collector.people.said import ADDRESS, Row, Said, given, hear
from collector.people.traits import decoded, encoded, rerun, words

HOUR_MS = 3_600_000


class Key(msgspec.Struct, array_like=True, gc=False):
    """A row of person_keys. `owner`: the only one it was ever said to belong to, at `since`.
    `trusted`: 0 when anything that came under it was not vouched for."""

    number: int
    site: str
    value: str
    person: int
    shared: int
    owner: int | None
    since: int | None
    first_seen: int
    last_seen: int
    trusted: int
    traits: str | None = None


class Past(Facts, Protocol):
    """What is kept of the events before."""

    def keys(self, numbers: list[int]) -> list[Key]: ...
    def said_after(self, key: int, at: int) -> list[Row]:
        """The identifies and leads under `key` with timestamp >= `at`."""


class Changes(msgspec.Struct):
    """What is to be written, as rows."""

    keys: list[Key]
    ties: dict[int, list[Tie]]
    periods: dict[int, tuple[tuple[int, int], ...]]
    moved_keys: list[int]
    people: list[int]
    moved_people: list[int]
    event_keys: list[tuple[int, int | None, int | None]]
    latest: dict[int, int]
    purchases: list[tuple[Any, ...]]
    items: list[tuple[Any, ...]]
    order_items: list[tuple[Any, ...]]
    leads: list[tuple[Any, ...]]


class Projection:
    """One step: `take` the rows, then `changes`."""

    def __init__(self, past: Past, rules: Rules) -> None:
        self._past = past
        self._rules = rules
        # No circle: each step's rows would wait for the garbage collector, 10 MB for 40,000 events.
        self._ties = Ties(weakref.proxy(self), rules)
        self._keys: dict[int, Key] = {}
        self._dirty: set[int] = set()
        self._taken: list[Said] = []
        self._spoke: dict[int, list[Said]] = {}
        self._purchases: list[tuple[Any, ...]] = []
        self._items: list[tuple[Any, ...]] = []
        self._order_items: list[tuple[Any, ...]] = []
        self._leads: list[tuple[Any, ...]] = []

    def take(self, rows: list[Row]) -> None:
        heard = [hear(row, self._rules) for row in rows]
        wanted = {n for one in heard for n in (one.user, one.email, one.anonymous) if n}
        self._load(wanted)
        for one in heard:
            self._see(one)
            if one.anonymous and one.user:
                self._turn(one.anonymous, one.user, one.row.timestamp)
            if one.email:
                self._mail(one, one.email)
            if one.row.type == "alias":
                self._alias(one)
            if one.row.traits or one.address:
                self._learn(one)
            if one.row.valid:
                self._buy(one)
            self._taken.append(one)

    # What was said before, in this step too: the past as Ties asks for it.

    def ties_of(self, keys: list[int]) -> list[Tie]:
        return self._past.ties_of(keys)

    def ties_to(self, owners: list[int]) -> list[Tie]:
        return self._past.ties_to(owners)

    def tied_again(self, key: int, owner: int, after: int, before: int | None) -> int | None:
        found = self._past.tied_again(key, owner, after, before)
        times = [] if found is None else [found]
        times += [
            one.row.timestamp
            for one in self._taken
            if one.user == owner
            and (one.anonymous == key or self._former(one) == key)
            and one.row.timestamp >= after
            and (before is None or one.row.timestamp < before)
        ]
        return min(times, default=None)

    def _former(self, one: Said) -> int | None:
        """The anonymous id that an alias speaks of."""
        former = self._rules.usable(one.row.previous_id) if one.row.type == "alias" else None
        return number(one.row.site, ANONYMOUS, former) if former else None

    def _load(self, numbers: Iterable[int]) -> None:
        missing = [n for n in numbers if n not in self._keys]
        if missing:
            self._keys.update({key.number: key for key in self._past.keys(missing)})

    def _see(self, one: Said) -> None:
        row = one.row
        if one.user:
            self._seen(one.user, row, row.user_id, filed=True)
        if one.anonymous:
            self._seen(one.anonymous, row, row.anonymous_id, filed=True)
        if one.email:
            self._seen(one.email, row, one.address, filed=one.email == one.key)

    def _seen(self, key: int, row: Row, value: str | None, filed: bool) -> None:
        """Of an id that the event is filed under (`event_keys`) others write down when it was
        last seen (store/visits.py)."""
        at, hour = row.timestamp, row.timestamp // HOUR_MS * HOUR_MS
        trusted = 0 if row.trusted == 0 else 1
        known = self._keys.get(key)
        if known is None:
            self._keys[key] = Key(key, row.site, value or "", key, 0, None, None, at, hour, trusted)
        elif (
            at < known.first_seen
            or trusted < known.trusted
            or (hour > known.last_seen and not filed)
        ):
            known.first_seen = min(at, known.first_seen)
            known.last_seen = max(hour, known.last_seen)
            known.trusted = min(trusted, known.trusted)
        else:
            return
        self._dirty.add(key)

    def _turn(self, anonymous: int, user: int, at: int) -> None:
        key = self._keys[anonymous]
        if key.owner != user or key.since is None or at < key.since:
            self._ties.say_turn(Tie(anonymous, at, user, IDENTIFIED))

    def _mail(self, one: Said, email: int) -> None:
        """An address ties to the user it came with, or the visitor to the address."""
        rank = IDENTIFIED if one.row.traits else CAPTURED
        if one.user:
            tie = Tie(email, one.row.timestamp, one.user, rank)
        elif one.anonymous:
            tie = Tie(one.anonymous, one.row.timestamp, email, rank)
        else:
            return
        known = self._keys[tie.key]
        if known.owner != tie.owner or known.since is None or tie.since < known.since:
            self._ties.say_first(tie)

    def _alias(self, one: Said) -> None:
        """The former id may be a visitor's or a user's: it is followed as either."""
        former = self._rules.usable(one.row.previous_id)
        if not one.user or not former or former == one.row.user_id:
            return
        site, at = one.row.site, one.row.timestamp
        visitor, user = number(site, ANONYMOUS, former), number(site, USER, former)
        self._load([visitor, user])
        for key in (visitor, user):
            self._seen(key, one.row, former, filed=False)
        self._ties.say_turn(Tie(visitor, at, one.user, IDENTIFIED))
        self._ties.say_first(Tie(user, at, one.user, IDENTIFIED))

    def _learn(self, one: Said) -> None:
        """Traits accumulate, the last word counts. Kept is since when a value has held; only
        where a word comes late is the log asked what was said after it."""
        if one.main is None:
            return
        key, at = self._keys[one.main], one.row.timestamp
        runs = {} if key.traits is None else decoded(key.traits)
        later: list[Said] | None = None
        changed = False
        for name, value in given(one).items():
            known = runs.get(name)
            if known is None:
                if len(runs) < self._rules.traits_per_id or name == ADDRESS:
                    runs[name], changed = (at, value), True
                continue
            if (known[1] == value and at >= known[0]) or (
                known[1] != value and (at, value) < known
            ):
                continue
            later = self._after(one.main, at) if later is None else later
            run = rerun(known, (at, value), words(later, name))
            changed = changed or run != known
            runs[name] = run
        if changed:
            key.traits = encoded(runs)
            self._dirty.add(key.number)
        self._spoke.setdefault(one.main, []).append(one)

    def _after(self, key: int, at: int) -> list[Said]:
        past = [hear(row, self._rules) for row in self._past.said_after(key, at)]
        now = [one for one in self._spoke.get(key, ()) if one.row.timestamp >= at]
        return [one for one in past + now if one.main == key]

    def _buy(self, one: Said) -> None:
        row = one.row
        if row.event in commerce.PURCHASES:
            bought = commerce.purchase(row.properties)
            self._purchases.append(
                (
                    row.seq,
                    row.message_id,
                    row.site,
                    row.timestamp,
                    row.event,
                    bought.order_id,
                    bought.currency,
                    bought.total_micros,
                    bought.cart,
                    one.key,
                    one.anonymous,
                )
            )
            for position, product in enumerate(bought.products):
                self._items.append((row.seq, position, *msgspec.structs.astuple(product)))
        elif row.event == commerce.ORDER_ITEM:
            if item := commerce.order_item(row.properties):
                place = (row.seq, row.message_id, row.site, row.timestamp, item.order_id)
                self._order_items.append((*place, *msgspec.structs.astuple(item.product)))
        elif captured := commerce.lead(row.properties):
            self._leads.append(
                (
                    row.site,
                    captured.email,
                    row.timestamp,
                    row.message_id,
                    captured.source,
                    one.key,
                    one.anonymous,
                )
            )

    def forget(self, dead: list[int]) -> Changes:
        """What it means for everybody else that these keys are no more."""
        gone = set(dead)
        for owner in dead:
            for key in {tie.key for tie in self._ties.to(owner)} - gone:
                self._ties.drop(key, gone)
        changes = self.changes()
        changes.keys = [key for key in changes.keys if key.number not in gone]
        changes.ties = {key: ties for key, ties in changes.ties.items() if key not in gone}
        changes.periods = {key: p for key, p in changes.periods.items() if key not in gone}
        return changes

    def changes(self) -> Changes:
        before = {key: self._keys[key].person for key in self._dirty}
        owners = self._settle()
        moved = [key for key, (old, _) in owners.items() if self._keys[key].person != old]
        moved += [key for key, (_, owner) in owners.items() if owner.periods and key not in moved]
        people = {self._keys[key].person for key in self._dirty} | set(before.values())
        moved_people = {self._keys[key].person for key in moved}
        for key in moved:
            moved_people.add(owners[key][0])
            moved_people.update(person for _, person in owners[key][1].periods)
        latest: dict[int, int] = {}
        for one in self._taken:
            block = one.row.seq >> 10
            latest[block] = max(latest.get(block, ALWAYS), one.row.timestamp)
        return Changes(
            [self._keys[key] for key in sorted(self._dirty)],
            {key: self._ties.of(key) for key in sorted(self._ties.changed)},
            {key: owner.periods for key, (_, owner) in sorted(owners.items())},
            sorted(moved),
            sorted(people | moved_people),
            sorted(moved_people),
            [(one.row.seq, one.key, one.anonymous) for one in self._taken],
            latest,
            self._purchases,
            self._items,
            self._order_items,
            self._leads,
        )

    def _settle(self) -> dict[int, tuple[int, Owner]]:
        """Whose each key is that may be somebody else's now: the former person, the owner."""
        resolver = Resolver(self._ties)
        concerned = resolver.concerned(self._ties.stirred)
        self._load(concerned)
        self._ties.load_of(concerned)
        found: dict[int, tuple[int, Owner]] = {}
        for number_ in concerned:
            key = self._keys.get(number_)
            if key is None:
                continue
            owner = resolver.owner(number_)
            place = (owner.person, int(bool(owner.periods)), *_only(self._ties.of(number_)))
            if owner.periods or place != (key.person, key.shared, key.owner, key.since):
                found[number_] = key.person, owner
                key.person, key.shared, key.owner, key.since = place
                self._dirty.add(number_)
        return found


def _only(ties: list[Tie]) -> tuple[int | None, int | None]:
    """The owner, and since when, of the only tie that matters to a key, which then need not be
    looked at again when both are met together."""
    users = [tie for tie in ties if kind_of(tie.owner) == USER]
    matter = users or ties
    if len(matter) != 1 or matter[0].rank != IDENTIFIED:
        return None, None
    return matter[0].owner, matter[0].since
