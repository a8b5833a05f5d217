"""Visitors of a site without cookies: known for one day, by a hash of address and user agent."""

import hashlib

import msgspec

from collector.ingest.sites import Site
from collector.wire.message import ABSENT, Call, Id, Item


class _Sender(msgspec.Struct, rename="camel", gc=False):
    ip: str | None = None
    user_agent: str | None = None


_CONTEXT = msgspec.json.Decoder(_Sender)


def rename(call: Call, site: Site, salt: bytes, address: str, agent: str | None, own: bool) -> None:
    """Give each event the day's id in place of the one it came with; none to an event that names
    its user: people behind one address may share an id, and must not become one person.

    `own`: the visitor's browser sent the request, so address and agent are the visitor's. What
    a server sends has the address that it names in the context, or no visitor at all."""
    named = daily_id(salt, site.name, address, agent) if own else None
    for item in call.items:
        given, item.anonymous_id = item.anonymous_id, None
        if _same(item.previous_id, given):
            item.previous_id = None
        if item.user_id is None:
            item.anonymous_id = named if own else _named(item, site, salt)


def daily_id(salt: bytes, site: str, address: str, agent: str | None) -> str:
    said = "\0".join((site, address, agent or ""))
    return hashlib.blake2b(said.encode("utf-8", "replace"), key=salt, digest_size=16).hexdigest()


def _named(item: Item, site: Site, salt: bytes) -> str | None:
    if item.context is ABSENT:
        return None
    try:
        sender = _CONTEXT.decode(item.context)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return daily_id(salt, site.name, sender.ip, sender.user_agent) if sender.ip else None


def _same(previous: Id, given: Id) -> bool:
    return previous is not None and given is not None and str(previous) == str(given)
