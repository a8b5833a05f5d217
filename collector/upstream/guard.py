"""Requests to addresses that a setting names: not into private networks, unless allowed.

Looked at is the address that is connected to, after the name has been resolved, so that a name
that changes its mind in between gains nothing; and no redirect is followed.
"""

import ipaddress
import socket
from typing import Any

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from collector import __version__

_EMBEDDING = ipaddress.ip_network("64:ff9b::/96")  # NAT64, RFC 6052


class PrivateAddress(OSError):
    """The address lies in a private network, or on this machine."""


def check_address(text: str) -> None:
    """Raises PrivateAddress unless the whole internet would reach it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address.sixtofour is not None:
            address = address.sixtofour
        elif address in _EMBEDDING:
            address = ipaddress.ip_address(int(address) & 0xFFFF_FFFF)
    if not address.is_global or address.is_multicast:
        raise PrivateAddress(f"{text} is a private address, and the setting private is off")


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for result in found:
            check_address(result["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


class Client:
    """A session for one destination, opened at its first request."""

    def __init__(self, timeout_s: float, private: bool, parallel: int) -> None:
        self._timeout_s = timeout_s
        self._private = private
        self._parallel = parallel
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str], most: int = 65_536
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and at most `most` bytes of the answer. Raises
        OSError, aiohttp.ClientError or TimeoutError."""
        session = self._open()
        host = yarl.URL(url).host or ""
        if not self._private and _is_address(host):  # aiohttp resolves only names
            check_address(host)
        async with session.request(
            method, url, data=body, headers=headers, allow_redirects=False
        ) as response:
            said = await response.content.read(most)
            return response.status, {k.lower(): v for k, v in response.headers.items()}, said

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            options: dict[str, Any] = {} if self._private else {"resolver": PublicResolver()}
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._parallel, **options),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                headers={"User-Agent": f"collector/{__version__}"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
