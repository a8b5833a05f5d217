"""Who is who: keys, the ties between them, and whose a key is. docs/PEOPLE.md has the rules in
words.

Everything is a function of the set of things said, never of the order in which they arrived.
"""

import hashlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Protocol

import msgspec

ANONYMOUS, EMAIL, USER = 0, 1, 2
KINDS = ("anonymous", "email", "user")
IDENTIFIED, CAPTURED = 0, 1  # a tie's rank: said by identify or alias; an address left as a lead
ALWAYS = -(2**63)

JUNK = (
    "undefined", "null", "nil", "none", "nan", "[object object]", "0", "-1", "true", "false",
    "anonymous", "anon", "guest", "unknown", "user", "visitor", "test", "id", "user_id", "userid",
    "n/a", "na", "{}", "[]", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip


class Rules(msgspec.Struct, frozen=True):
    """What the settings say. `junk` is in lower case."""

    junk: frozenset[str] = frozenset(JUNK)
    id_chars: int = 255
    ids_per_person: int = 500
    people_per_id: int = 50
    traits_per_id: int = 200
    repeat_ms: int = 30 * 60_000
    items_per_order: int = 500

    def usable(self, value: str | None) -> str | None:
        """`value` when it can name somebody."""
        if not value or len(value) > self.id_chars:
            return None
        text = value.strip()
        if not text or text.lower() in self.junk or not text.strip("0-"):
            return None
        return value


@lru_cache(maxsize=65_536)
def number(site: str, kind: int, value: str) -> int:
    """A key's number: 63 bits, positive, the kind in the lowest two. Nobody can find a second
    value with a given number; two of ten million have one in common with odds of 1 to 40,000."""
    text = f"{site}\0{KINDS[kind]}\0{value}".encode("utf-8", "replace")
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1 & ~3) | kind


def kind_of(key: int) -> int:
    return key & 3


class Tie(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`key` was said to be `owner` at `since`."""

    key: int
    since: int
    owner: int
    rank: int

    @property
    def place(self) -> tuple[int, int]:
        """Its place among the ties of a key: by time, then owner."""
        return self.since, self.owner


class Facts(Protocol):
    """What was said before, wherever it is kept."""

    def ties_of(self, keys: list[int]) -> list[Tie]: ...
    def ties_to(self, owners: list[int]) -> list[Tie]: ...
    def tied_again(self, key: int, owner: int, after: int, before: int | None) -> int | None:
        """The first time in `after` <= t < `before` at which an event came with both."""


class Ties:
    """The ties as they will be: those kept before, and what is added now."""

    def __init__(self, facts: Facts, rules: Rules) -> None:
        self._facts = facts
        self._rules = rules
        self._of: dict[int, list[Tie]] = {}
        self._to: dict[int, list[Tie]] = {}
        self.changed: set[int] = set()
        self.stirred: set[int] = set()  # keys whose owner may be another one

    def of(self, key: int) -> list[Tie]:
        """The ties of `key`, by place."""
        if key not in self._of:
            self.load_of([key])
        return self._of[key]

    def to(self, owner: int) -> list[Tie]:
        """The ties to `owner`, by time, then key."""
        if owner not in self._to:
            self.load_to([owner])
        return self._to[owner]

    def load_of(self, keys: Iterable[int]) -> None:
        _load(keys, self._of, self._facts.ties_of, "key")

    def load_to(self, owners: Iterable[int]) -> None:
        """Each answer is made good by what has changed since."""
        missing = [owner for owner in owners if owner not in self._to]
        _load(missing, self._to, self._facts.ties_to, "owner")
        for owner in missing:
            kept = [tie for tie in self._to[owner] if tie.key not in self.changed]
            new = [t for key in self.changed for t in self._of[key] if t.owner == owner]
            self._to[owner] = sorted(kept + new, key=_by_key)

    def say_first(self, tie: Tie) -> None:
        """A tie of which the earliest mention counts: of an e-mail, of a former user id."""
        known = [t for t in self.of(tie.key) if t.owner == tie.owner]
        if known and (known[0].rank, known[0].since) <= (tie.rank, tie.since):
            return
        self._put(tie.key, [t for t in self.of(tie.key) if t.owner != tie.owner] + [tie])

    def say_turn(self, tie: Tie) -> None:
        """An anonymous id is whose it was last said to be. Kept are the moments at which that
        changed; when something late falls into the middle, the log is asked what came after."""
        turns = [t for t in self.of(tie.key) if kind_of(t.owner) == kind_of(tie.owner)]
        before = [t for t in turns if t.place <= tie.place]
        after = turns[len(before) :]
        last = before[-1] if before else None
        if last and last.owner == tie.owner:
            return
        new = [tie]
        if last:
            start = tie.since if last.owner > tie.owner else tie.since + 1
            again = self._facts.tied_again(tie.key, last.owner, start, _end(after, last.owner))
            if again is not None:
                new.append(Tie(tie.key, again, last.owner, last.rank))
        if after and after[0].owner == new[-1].owner:
            after = after[1:]
        others = [t for t in self.of(tie.key) if kind_of(t.owner) != kind_of(tie.owner)]
        self._put(tie.key, others + before + new + after)

    def drop(self, key: int, owners: set[int]) -> None:
        """`key` was never said to be one of these."""
        self._put(key, [tie for tie in self.of(key) if tie.owner not in owners])

    def _put(self, key: int, ties: list[Tie]) -> None:
        ties = sorted(ties, key=lambda tie: tie.place)[: self._rules.people_per_id]
        before = {tie.owner for tie in self._of[key]}
        self._of[key] = ties
        self._note(key, before)
        for owner in before | {tie.owner for tie in ties}:
            self._settle(owner, key)

    def _settle(self, owner: int, key: int) -> None:
        """Bring `to` up to date, and hold the limit: the ids that came first stay."""
        rest = [tie for tie in self.to(owner) if tie.key != key]
        mine = [tie for tie in self._of[key] if tie.owner == owner]
        ties = self._to[owner] = sorted(rest + mine, key=_by_key)
        keys = list(dict.fromkeys(tie.key for tie in ties))
        for late in keys[self._rules.ids_per_person :]:
            self._of[late] = [tie for tie in self.of(late) if tie.owner != owner]
            self._to[owner] = [tie for tie in self._to[owner] if tie.key != late]
            self._note(late, {owner})

    def _note(self, key: int, former: set[int]) -> None:
        self.changed.add(key)
        self.stirred.add(key)
        self.stirred.update(owner for owner in former if kind_of(owner) == EMAIL)


def _end(after: list[Tie], owner: int) -> int | None:
    """Before which moment another mention of `owner` would come before the next turn."""
    if not after:
        return None
    return after[0].since + (owner < after[0].owner)


def _by_key(tie: Tie) -> tuple[int, int]:
    return tie.since, tie.key


def _load(
    wanted: Iterable[int],
    into: dict[int, list[Tie]],
    ask: Callable[[list[int]], list[Tie]],
    name: str,
) -> None:
    missing = [key for key in wanted if key not in into]
    if not missing:
        return
    into.update({key: [] for key in missing})
    for tie in ask(missing):
        into[getattr(tie, name)].append(tie)


class Owner(msgspec.Struct, frozen=True):
    """Whose a key is: `periods` says from when on, where that changes, otherwise it is empty."""

    person: int
    periods: tuple[tuple[int, int], ...] = ()


class Resolver:
    """Whose a key is, by the ties. Made anew when they have changed."""

    def __init__(self, ties: Ties) -> None:
        self._ties = ties
        self._users: dict[int, int] = {}
        self._emails: dict[int, int] = {}

    def owner(self, key: int) -> Owner:
        if kind_of(key) == USER:
            return Owner(self._user(key))
        if kind_of(key) == EMAIL:
            return Owner(self._email(key))
        periods = self._periods(key)
        if len(periods) < 2:
            return Owner(periods[0][1] if periods else key)
        return Owner(periods[-1][1], ((ALWAYS, periods[0][1]), *periods[1:]))

    def concerned(self, changed: Iterable[int]) -> set[int]:
        """The keys whose owner may be another one, the ties of `changed` being other ones."""
        found: set[int] = set()
        todo = list(changed)
        while todo:
            key = todo.pop()
            if key in found:
                continue
            found.add(key)
            if kind_of(key) == ANONYMOUS:
                todo += [t.owner for t in self._ties.of(key) if kind_of(t.owner) == EMAIL]
            else:
                todo += self._dependents(key, found)
        return found

    def _dependents(self, owner: int, found: set[int]) -> list[int]:
        """An anonymous id hangs on an e-mail only as long as no user is known of it, and other
        e-mails of it do not hang on this one: so it is found, but nothing is sought behind it."""
        keys = [tie.key for tie in self._ties.to(owner)]
        if kind_of(owner) == USER:
            return keys
        found.update(keys)
        return []

    def _user(self, user: int) -> int:
        """Follow aliases; of a circle the smallest number speaks for all."""
        if user not in self._users:
            path = [user]
            while (following := self._alias(path[-1])) is not None and following not in path:
                path.append(following)
            circle = path[path.index(following) :] if following is not None else path[-1:]
            self._users[user] = min(circle)
        return self._users[user]

    def _alias(self, user: int) -> int | None:
        ties = [t for t in self._ties.of(user) if kind_of(t.owner) == USER and t.owner != user]
        return min(ties, key=_claim).owner if ties else None

    def _email(self, email: int) -> int:
        """Whose an address is: the user's who first said so; else that of the visitor who first
        left it and became known; else it is a person of its own."""
        if email not in self._emails:
            users = [t for t in self._ties.of(email) if kind_of(t.owner) == USER]
            if users:
                self._emails[email] = self._user(min(users, key=_claim).owner)
            else:
                self._emails[email] = self._captured(email)
        return self._emails[email]

    def _captured(self, email: int) -> int:
        claims = self._ties.to(email)
        self._ties.load_of([tie.key for tie in claims])
        for claim in claims:
            turns = self._turns(claim.key, USER)
            if turns:
                return self._user(_at(turns, claim.since).owner)
        return email

    def _periods(self, anonymous: int) -> list[tuple[int, int]]:
        periods: list[tuple[int, int]] = []
        for kind, person in ((USER, self._user), (EMAIL, self._email)):
            for tie in self._turns(anonymous, kind):
                owner = person(tie.owner)
                if periods and periods[-1][0] == tie.since:
                    periods.pop()
                if not periods or periods[-1][1] != owner:
                    periods.append((tie.since, owner))
            if periods:
                return periods
        return periods

    def _turns(self, key: int, kind: int) -> list[Tie]:
        return [tie for tie in self._ties.of(key) if kind_of(tie.owner) == kind]


def _claim(tie: Tie) -> tuple[int, int, int]:
    return tie.rank, tie.since, tie.owner


def _at(turns: list[Tie], moment: int) -> Tie:
    """The turn in force at `moment`, the first one before all."""
    started = [tie for tie in turns if tie.since <= moment]
    return started[-1] if started else turns[0]


def person_at(owner: Owner, moment: int) -> int:
    """Whose an event of that moment is."""
    current = owner.person
    for since, person in owner.periods:
        if since <= moment:
            current = person
    return current
