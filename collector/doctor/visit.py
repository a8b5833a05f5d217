"""Fetches as a visitor's browser would: the page, the script, and a test event."""

import socket
import ssl
import time
from collections.abc import Mapping

import aiohttp
from aiohttp.abc import ResolveResult
from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy

AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36 CollectorDoctor"
)
_MOST = 5_000_000


class Seen(Struct):
    """An answer, or why there was none. `at` is when it came, in seconds since 1970."""

    url: str
    status: int = 0
    headers: Mapping[str, str] = {}
    policies: list[str] = []
    cookies: list[str] = []
    body: bytes = b""
    encoding: str = ""
    failure: str = ""
    at: float = 0.0

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        return self.status == 200


class Visitor:
    """One browser's worth of connections; use it as a context."""

    def __init__(self, timeout_s: float, places: Mapping[str, str], ca_file: str | None) -> None:
        self._timeout = aiohttp.ClientTimeout(timeout_s)
        self._places = places
        self._trust = ssl.create_default_context()
        if ca_file:
            self._trust.load_verify_locations(ca_file)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> "Visitor":
        connector = aiohttp.TCPConnector(ssl=self._trust, resolver=_Resolver(self._places))
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            headers={"User-Agent": AGENT, "Accept-Encoding": "gzip, br"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def get(self, url: str) -> Seen:
        return await self._ask("GET", url, b"", {})

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Seen:
        return await self._ask("POST", url, body, {"Content-Type": "text/plain", **headers})

    async def addresses(self, host: str) -> list[str]:
        """Where a name leads; empty when nowhere."""
        try:
            found = await _Resolver(self._places).resolve(host)
        except OSError:
            return []
        return sorted({one["host"] for one in found})

    async def _ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Seen:
        try:
            async with self._session.request(method, url, data=body, headers=headers) as answer:
                held = answer.headers
                return Seen(
                    str(answer.url),
                    answer.status,
                    CIMultiDict(held),
                    _all(held, "Content-Security-Policy"),
                    _all(held, "Set-Cookie"),
                    await _read(answer.content),
                    held.get("Content-Encoding", ""),
                    at=time.time(),
                )
        except (aiohttp.ClientError, ssl.SSLError, TimeoutError, ValueError) as error:
            said = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            return Seen(url, failure=said or type(error).__name__)


def _all(headers: CIMultiDictProxy[str], name: str) -> list[str]:
    return list(headers.getall(name, []))


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = b""
    while len(body) < _MOST and (chunk := await content.read(65_536)):
        body += chunk
    return body


class _Resolver(aiohttp.ThreadedResolver):
    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__()
        self._places = places

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return await super().resolve(self._places.get(host, host), port, family)
