"""Members as CSV: plain, or with hashed addresses in the layouts of the advertising systems.

Google Customer Match: column `Email`, SHA-256 of the address in lower case, without the dots
before @gmail.com and @googlemail.com (Google Ads API, enhanced conversions). Meta custom
audiences: column `email`, SHA-256 of the address in lower case.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from collector.audience.consent import Policy
from collector.clock import iso


class Person(Struct, array_like=True, frozen=True):
    """A member, as an export shows it. Times are milliseconds since 1970."""

    person_id: str
    user_id: str | None
    email: str | None
    first_seen: int
    last_seen: int
    entered_at: int


class Layout(Struct, frozen=True):
    """`row` gives None for who cannot be in it."""

    header: tuple[str, ...]
    row: Callable[[Person], Sequence[str] | None]
    policy: Policy


def _plain(person: Person) -> Sequence[str]:
    times = (person.first_seen, person.last_seen, person.entered_at)
    known = (person.person_id, person.user_id or "", person.email or "")
    return (*(defused(text) for text in known), *(iso(at) for at in times))


def google_address(email: str) -> str:
    local, _, domain = email.strip().lower().rpartition("@")
    if domain in ("gmail.com", "googlemail.com"):
        local = local.replace(".", "")
    return f"{local}@{domain}"


def _hashed(normal: Callable[[str], str]) -> Callable[[Person], Sequence[str] | None]:
    def row(person: Person) -> Sequence[str] | None:
        if not person.email:
            return None
        return (hashlib.sha256(normal(person.email).encode()).hexdigest(),)

    return row


_ADVERTISING = Policy(advertising=True, given=True)
LAYOUTS = {
    "plain": Layout(
        ("person_id", "user_id", "email", "first_seen", "last_seen", "entered_at"),
        _plain,
        Policy(),
    ),
    "google": Layout(("Email",), _hashed(google_address), _ADVERTISING),
    "meta": Layout(("email",), _hashed(lambda email: email.strip().lower()), _ADVERTISING),
}


def defused(text: str) -> str:
    """Text that a spreadsheet would take for a formula, made text again (OWASP, CSV injection)."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else text


def write(layout: Layout, people: Iterable[Person]) -> Iterable[str]:
    """The file, a line at a time."""
    line = io.StringIO()
    writer = csv.writer(line)
    rows = (row for person in people if (row := layout.row(person)) is not None)
    for row in (layout.header, *rows):
        writer.writerow(row)
        yield line.getvalue()
        line.seek(0)
        line.truncate()
