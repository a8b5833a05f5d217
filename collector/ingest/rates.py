"""How much one sender may send.

Each sender has a minute's allowance, which fills up evenly while it is not used. What is kept of
a sender is one number: when its allowance will be full again (the generic cell rate algorithm of
ITU-T I.371). So memory is bounded by the number of senders remembered, and who was forgotten has
a full allowance, never a smaller one.
"""

import ipaddress
import math
import time
from collections.abc import Callable
from functools import lru_cache

from collector.config_rates import Rates
from collector.errors import Refused

_WINDOW_S = 60.0
_SWEEP_S = 1.0


class Meter:
    """The allowances of all senders of a kind."""

    def __init__(
        self, per_minute: int, remembered: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._cost_s = _WINDOW_S / per_minute
        self._remembered = remembered
        self._now = now
        self._full_at: dict[str, float] = {}
        self._sweep_at = 0.0

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, sender: str, count: int) -> float:
        """Take `count` from the sender's allowance: 0.0, or the seconds to wait when it is used
        up, and then nothing is taken. A full allowance admits any number at once: a batch that
        is larger than it would never be taken otherwise."""
        now = self._now()
        known = self._full_at.get(sender)
        start = now if known is None or known < now else known
        full_at = start + count * self._cost_s
        if start > now and full_at - now > _WINDOW_S:
            return full_at - now - _WINDOW_S
        if known is None and len(self._full_at) >= self._remembered:
            self._make_room(now)
        self._full_at[sender] = full_at
        return 0.0

    def _make_room(self, now: float) -> None:
        """Forget whose allowance is full; while there are none, the one known longest."""
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_S
            self._full_at = {sender: at for sender, at in self._full_at.items() if at > now}
        if len(self._full_at) >= self._remembered:
            del self._full_at[next(iter(self._full_at))]


class Gate:
    """The meters that the settings ask for."""

    def __init__(self, rates: Rates) -> None:
        self._addresses = _meter(rates.address_per_minute, rates.remembered)
        self._keys = _meter(rates.key_per_minute, rates.remembered)
        self._exempt = tuple(ipaddress.ip_network(n, strict=False) for n in rates.exempt)
        self._known = lru_cache(maxsize=16_384)(self._counted)
        self.counts_addresses = self._addresses is not None
        self.counts_keys = self._keys is not None

    def admit_address(self, address: str) -> None:
        """Raises Refused 429."""
        sender = self._known(address)
        if self._addresses is not None and sender is not None:
            _admit(self._addresses.take(sender, 1), "requests from this address")

    def admit_key(self, key: str, address: str, events: int) -> None:
        """Raises Refused 429."""
        if self._keys is not None and self._known(address) is not None:
            _admit(self._keys.take(key, events), "events under this write key")

    def _counted(self, address: str) -> str | None:
        """What an address counts as; None when it is not counted. Whoever has one IPv6 address
        has the 2^64 of its network."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return address[:64]
        if any(parsed in network for network in self._exempt):
            return None
        return address if parsed.version == 4 else parsed.packed[:8].hex()


def _meter(per_minute: int, remembered: int) -> Meter | None:
    return Meter(per_minute, remembered) if per_minute else None


def _admit(wait_s: float, what: str) -> None:
    if wait_s > 0:
        seconds = math.ceil(wait_s)
        said = f"too many {what}; try again in {seconds} s"
        raise Refused(429, "rate_limited", said, retry_after=seconds)
