"""Client addresses: who is behind a proxy, and how much of the address is kept."""

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_REMEMBERED = 128  # characters; 16,384 headers of 16 KB would be 268 MB


class Addresses:
    """Finds and masks client addresses by the settings. Answers are cached: parsing one
    address takes 2 to 5 µs, and visitors send many events."""

    def __init__(self, trusted_proxies: tuple[str, ...], keep: str) -> None:
        self._trusted = tuple(ipaddress.ip_network(t, strict=False) for t in trusted_proxies)
        self._keep = keep
        self._known_place = lru_cache(maxsize=16_384)(self._place)
        self._known_masked = lru_cache(maxsize=16_384)(self._masked)

    def place(self, peer: str, forwarded: str) -> tuple[str, str | None]:
        """The client's address, and as it is stored. The client is the rightmost address of
        X-Forwarded-For that is no trusted proxy's; the peer when the peer is not trusted or the
        header says nothing usable."""
        known = len(forwarded) <= _REMEMBERED
        return self._known_place(peer, forwarded) if known else self._place(peer, forwarded)

    def trusts(self, peer: str) -> bool:
        """Whether the peer is a trusted proxy."""
        address = _parse(peer)
        return address is not None and self._is_trusted(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def masked(self, text: str) -> str | None:
        """The address as it is stored, None when it is none or none is to be kept."""
        return self._known_masked(text) if len(text) <= _REMEMBERED else None

    def _place(self, peer: str, forwarded: str) -> tuple[str, str | None]:
        client = self._client(peer, forwarded)
        return client, self._masked(client)

    def _client(self, peer: str, forwarded: str) -> str:
        client = peer
        for hop in [*reversed(forwarded.split(",")), ""]:
            address = _parse(client)
            if address is None or not self._is_trusted(address):
                break
            following = _parse(_bare(hop))
            if following is None:
                break
            client = str(following)
        return client

    def _masked(self, text: str) -> str | None:
        address = _parse(text)
        if address is None or self._keep == "none":
            return None
        if self._keep == "full":
            return str(address)
        prefix = 24 if address.version == 4 else 48
        return str(ipaddress.ip_network((address, prefix), strict=False).network_address)


def _bare(hop: str) -> str:
    """`[::1]:80` and `1.2.3.4:80` without port and brackets: some proxies add them."""
    hop = hop.strip()
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
