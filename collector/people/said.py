"""What an event says of who it is: the ids that count, the address, the traits."""

import msgspec

from collector.people import commerce
from collector.people.identity import ANONYMOUS, EMAIL, USER, Rules, number

ADDRESS = ""  # the name under which a key's e-mail stands among its traits
_NOT_KEPT = {ADDRESS, "user_hash"}

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the projector reads of an event. `traits` of an identify; `valid` and `properties`
    of purchases and leads without violations."""

    seq: int
    site: str
    type: str
    user_id: str | None
    anonymous_id: str | None
    timestamp: int
    trusted: int | None
    message_id: str | None = None
    event: str | None = None
    previous_id: str | None = None
    traits: str | None = None
    valid: int = 0
    properties: str | None = None


class Said(msgspec.Struct, frozen=True, gc=False):
    """An event and the numbers of the keys it came with, None where it has none that counts."""

    row: Row
    user: int | None
    email: int | None
    anonymous: int | None
    address: str | None

    @property
    def key(self) -> int | None:
        """What it is filed under beside its anonymous id."""
        return self.user or (self.email if not self.anonymous else None)

    @property
    def main(self) -> int | None:
        return self.user or self.anonymous or self.email


def hear(row: Row, rules: Rules) -> Said:
    site = row.site
    user_id = rules.usable(row.user_id) if row.trusted != 0 else None
    anonymous_id = rules.usable(row.anonymous_id)
    address = _address(row)
    counts = address if row.trusted != 0 else None
    return Said(
        row,
        number(site, USER, user_id) if user_id else None,
        number(site, EMAIL, counts) if counts else None,
        number(site, ANONYMOUS, anonymous_id) if anonymous_id else None,
        address,
    )


def _address(row: Row) -> str | None:
    if row.traits:
        raw = _traits(row).get("email")
        return None if raw is None else commerce.normal_email(msgspec.json.decode(raw))
    if row.valid and row.event in commerce.LEADS:
        captured = commerce.lead(row.properties)
        return captured.email if captured else None
    return None


def _traits(row: Row) -> dict[str, msgspec.Raw]:
    """Nothing where the text is none: what other programs wrote to the log stops nobody."""
    try:
        return _object(row.traits or "{}")
    except msgspec.DecodeError:
        return {}


def given(said: Said) -> dict[str, str]:
    """The traits that an event gives, as JSON text."""
    words: dict[str, str] = {}
    if said.row.traits:
        raw = _traits(said.row)
        words = {name: str(value, "utf-8") for name, value in raw.items() if name not in _NOT_KEPT}
    if said.address:
        words[ADDRESS] = _encode(said.address).decode()
    return words
