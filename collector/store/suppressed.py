"""The list of those who were forgotten, so that a late queue, an import or a restored backup
does not bring them back.

It lies in a file of its own beside the database, because a restored backup replaces the
database. It holds hashes under a key made here, never an id or an address.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from collector.event import Event
from collector.people.commerce import normal_email
from collector.store import files

FILE = "collector.forgotten"
_ADDRESS = re.compile(r"[\w.!#$&'*+/=?^`{|}~-]{1,64}(?:@|%40|\\u0040)[\w-]+(?:\.[\w-]+)+")
_TEXTS = ("properties", "traits", "context", "url", "referrer", "title", "user_id", "event")
_IDS = (
    ("user", "user_id"),
    ("anonymous", "anonymous_id"),
    ("user", "previous_id"),
    ("anonymous", "previous_id"),
)
Name = tuple[str, str, str]  # site, kind, value


class Suppressed:
    """Who is not to come back. Empty, it costs a look."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        lines = self._path.read_text("ascii").split() if self._path.exists() else []
        self._key = bytes.fromhex(lines[0]) if lines else b""
        self.hashes = set(lines[1:])

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def hash(self, name: Name) -> str:
        text = "\0".join(name).encode("utf-8", "replace")
        return hashlib.blake2b(text, digest_size=16, key=self._key).hexdigest()

    def add(self, names: Iterable[Name]) -> None:
        """Kept and synced before anything is erased."""
        if not self._key:
            self._key = secrets.token_bytes(32)
        self._write(self.hashes | {self.hash(name) for name in names})

    def lift(self, names: Iterable[Name]) -> int:
        """Let them be recorded again; how many were on the list."""
        gone = self.hashes & {self.hash(name) for name in names}
        if gone:
            self._write(self.hashes - gone)
        return len(gone)

    def holds(self, names: Iterable[Name]) -> bool:
        return any(self.hash(name) in self.hashes for name in names)

    def covers(self, event: Event) -> bool:
        """Whether an event speaks of somebody who was forgotten."""
        return bool(self.hashes) and self.holds(names_in(event))

    def _write(self, hashes: set[str]) -> None:
        files.replace(self._path, "\n".join([self._key.hex(), *sorted(hashes)]) + "\n")
        self.hashes = hashes


def names_in(event: Event) -> set[Name]:
    """Every id of an event, and every address that stands anywhere in it."""
    site = event.site
    names = {
        (site, kind, value) for kind, field in _IDS if (value := getattr(event, field)) is not None
    }
    for field in _TEXTS:
        text = getattr(event, field)
        if text and ("@" in text or "%40" in text or "\\u0040" in text):
            names.update((site, "email", address) for address in addresses_in(text))
    return names


def addresses_in(text: str) -> set[str]:
    found = (re.sub(r"%40|\\u0040", "@", match[0]) for match in _ADDRESS.finditer(text))
    return {email for one in found if (email := normal_email(one))}


def emptied(event: Event) -> Event:
    """A forwarded event without anybody in it: its number must not be missing."""
    kept = {"message_id", "site", "type", "timestamp", "received_at", "node_id", "node_seq"}
    nothing = {name: None for name in Event.__struct_fields__ if name not in kept}
    return msgspec.structs.replace(event, **nothing, message_id=f"erased-{event.node_seq}")
