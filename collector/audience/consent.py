"""What people agreed to, and to whom they may be delivered. Pure.

Understood are the pixel's own form (`{"analytics": true, "ads": false}`), Segment's
(`{"categoryPreferences": {…}}`), RudderStack's (`{"deniedConsentIds": […]}`), and the server's
marks of Global Privacy Control and Do Not Track (`{"gpc": true}`, `{"dnt": true}`).
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

_YES = {"granted", "allow", "allowed", "true", "yes"}
_NO = {"denied", "deny", "disallowed", "refused", "false", "no"}


class Said(Struct, frozen=True):
    """One statement: categories (in lower case) allowed or not, and the privacy signal."""

    categories: tuple[tuple[str, bool], ...] = ()
    gpc: bool = False


class Statement(NamedTuple):
    """What was said at a time under one of a person's ids."""

    key: int
    at: int
    said: Said


class Policy(Struct, frozen=True):
    """What a destination asks for. `given`: only who agreed; else who did not refuse, too."""

    advertising: bool = False
    given: bool = False
    categories: frozenset[str] = frozenset()


@lru_cache(4096)
def read(text: str) -> Said:
    """A consent object; what is not understood says nothing."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return Said()
    if isinstance(value, bool):
        value = {"all": value}
    if not isinstance(value, dict):
        return Said()
    found: dict[str, bool] = {}
    for source in (value, value.get("categoryPreferences")):
        if isinstance(source, dict):
            found |= {
                str(k).lower(): said for k, v in source.items() if (said := _yes(v)) is not None
            }
    for name, allows in (("allowedConsentIds", True), ("deniedConsentIds", False)):
        ids = value.get(name)
        found |= {str(i).lower(): allows for i in ids} if isinstance(ids, list) else {}
    signals = [found.pop(signal, False) for signal in ("gpc", "dnt")]
    return Said(tuple(sorted(found.items())), any(signals))


def _yes(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    return True if word in _YES else False if word in _NO else None


def allowed(policy: Policy, statements: Iterable[Statement]) -> bool:
    """Whether a person may be delivered. Of each id the newest statement counts; one id that
    refuses, refuses for the person. The order in which statements arrived is nothing."""
    agreed = False
    for said in _newest(statements):
        if said.gpc and policy.advertising:
            return False
        for category, allows in said.categories:
            if not policy.categories or category in policy.categories:
                if not allows:
                    return False
                agreed = True
    return agreed or not policy.given


def _newest(statements: Iterable[Statement]) -> list[Said]:
    """Of each id what was said last of the categories, and whether the signal came with that
    or later. Two statements of one moment both count."""
    by_key: dict[int, list[Statement]] = {}
    for statement in statements:
        by_key.setdefault(statement.key, []).append(statement)
    found = []
    for of_key in by_key.values():
        asked = [s.at for s in of_key if s.said.categories]
        last = max(asked, default=None)
        found += [s.said for s in of_key if s.at == last and s.said.categories]
        if any(s.said.gpc and (last is None or s.at >= last) for s in of_key):
            found.append(Said(gpc=True))
    return found
