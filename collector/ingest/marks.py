"""What is settled of an event once, at its arrival: `violations` and `trusted`.

`trusted`: NULL where the site takes everybody's word, 1 for what came with a server key or is
an identify with a valid user_hash, 0 for the rest of a site whose identity is verified.
"""

import hashlib
import hmac

import msgspec

from collector.event import Event
from collector.ingest.sites import Site
from collector.people.commerce import KNOWN, violations

_replace = msgspec.structs.replace


class _Traits(msgspec.Struct, gc=False):
    user_hash: str | None = None


_TRAITS = msgspec.json.Decoder(_Traits)


def marked(events: list[Event], site: Site) -> list[Event]:
    """The same events where nothing is to be said, which costs one look at each name."""
    if not KNOWN.isdisjoint([event.event for event in events]):
        events = [_judged(event) if event.event in KNOWN else event for event in events]
    if site.server:
        return [_replace(event, trusted=1) for event in events]
    if site.secret is not None:
        secret = site.secret
        return [_replace(event, trusted=int(_proven(event, secret))) for event in events]
    return events


def _judged(event: Event) -> Event:
    """Of a track; a page may be called Purchase and is none."""
    if event.type != "track" or event.event is None:
        return event
    said = violations(event.event, event.properties)
    return _replace(event, violations=said) if said else event


def _proven(event: Event, secret: bytes) -> bool:
    if not (secret and event.type == "identify" and event.user_id and event.traits):
        return False
    try:
        given = _TRAITS.decode(event.traits).user_hash or ""
    except msgspec.DecodeError:
        return False
    right = hmac.new(secret, event.user_id.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(right.encode(), given.strip().lower().encode())
