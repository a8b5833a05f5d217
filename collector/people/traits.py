"""A key's traits: for each its value, and since when it has held.

That a value holds on is not written down, so an unchanged identify changes nothing; where a word
comes late, what was said after it has to be looked up.
"""

import msgspec

from collector.people.said import Said, given

Run = tuple[int, str]  # since, JSON text

_runs = msgspec.json.Decoder(dict[str, tuple[int, msgspec.Raw]]).decode
_encode = msgspec.json.Encoder().encode


def words(heard: list[Said], name: str) -> list[Run]:
    return [(one.row.timestamp, told[name]) for one in heard if name in (told := given(one))]


def rerun(known: Run, new: Run, later: list[Run]) -> Run:
    """Since when which value holds, `new` having come late and `later` been said after it."""
    if known[1] == new[1]:
        return known if any(new < word < known for word in later) else new
    return min((word for word in later if word > new), default=new)


def decoded(traits: str) -> dict[str, Run]:
    return {name: (since, str(raw, "utf-8")) for name, (since, raw) in _runs(traits).items()}


def encoded(runs: dict[str, Run]) -> str:
    """By name, so that the text does not depend on the order in which they came."""
    return _encode(
        {name: (since, msgspec.Raw(text.encode())) for name, (since, text) in sorted(runs.items())}
    ).decode()
