"""To another collector or any endpoint with Segment's API, and what all that speak HTTP share."""

import asyncio
import base64
import gzip
import logging
import sys
from typing import Any

import aiohttp
import msgspec

from collector import __version__
from collector.event import Outgoing
from collector.fleet import Forward
from collector.upstream.sink import Batch, Denied, Name, Refusal, TooLarge, Unreached, Unwanted

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

log = logging.getLogger(__name__)

EDGE_CONTENT = "application/vnd.collector.edge+json"  # wire/edge.py
ERASE_PATH = "/v1/edge/erase"
_ANSWER_BYTES = 2_097_152
_NAMES = 500  # of a person, in one request
_WORDS_CHARS = 300
_LONGEST_REST_S = 3600.0


class _Rejected(msgspec.Struct):
    index: int
    message: str = ""
    code: str = ""


class _Answer(msgspec.Struct):
    message: str = ""
    code: str = ""
    rejected: list[_Rejected] = []


class _Erased(msgspec.Struct):
    """`refused`: sites that this edge has no say in."""

    refused: list[str] = []


_ERASED = msgspec.json.Decoder(_Erased)
_ANSWER = msgspec.json.Decoder(_Answer)


class Client:
    """Posts texts, compressed on a thread, over connections that stay open."""

    def __init__(self, settings: Forward, encoding: str, headers: dict[str, str]) -> None:
        self.sent_bytes = 0
        self._settings = settings
        self._encoding = encoding
        self._headers = {"User-Agent": f"collector/{__version__}"} | headers | _own(settings)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, parts: tuple[str, str, str], rows: list[Outgoing], **query: str
    ) -> list[Refusal]:
        """`parts`: what stands before, between and after the events."""
        body = await asyncio.to_thread(self._body, parts, rows)
        status, said, retry_after = await self.ask(url, body, self._encoding, **query)
        self.sent_bytes += len(body)
        return judge(status, said, retry_after, len(rows))

    async def ask(
        self, url: str, body: bytes, encoding: str = "none", **query: str
    ) -> tuple[int, bytes, str]:
        """Status, body and Retry-After. Raises Unreached."""
        headers = self._headers
        if encoding != "none":
            headers = headers | {"Content-Encoding": encoding}
        try:
            async with self._open().post(
                url, params=query, data=body, headers=headers, allow_redirects=False
            ) as response:
                said = await response.content.read(_ANSWER_BYTES)
                return response.status, said, response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreached(f"{type(error).__name__}: {error}".rstrip(": ")) from None

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    def _body(self, parts: tuple[str, str, str], rows: list[Outgoing]) -> bytes:
        """On a thread: joining and compressing let go of the interpreter lock or are short."""
        before, between, after = parts
        text = (before + between.join([row.text for row in rows]) + after).encode()
        if self._encoding == "zstd":
            return zstd.compress(text, 3)
        return gzip.compress(text, 5) if self._encoding == "gzip" else text

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
                trust_env=False,
            )
        return self._session


class Http:
    """Batches as an edge of a collector (key ek_…), or as an ordinary client."""

    def __init__(self, settings: Forward) -> None:
        edge = settings.is_centre
        self.form = "edge" if edge else "segment"
        self.exact = edge
        self.erases = edge
        self.lanes = settings.connections
        path = settings.path or ("/v1/import" if edge else "/v1/batch")
        self._base = settings.url.rstrip("/")
        self._url = self._base + path
        self._parts = ("[", ",", "]") if edge else ('{"batch":[', ",", "]}")
        token = base64.b64encode(f"{settings.key}:".encode()).decode()
        self.client = Client(
            settings,
            encoding(settings, "zstd" if edge else "gzip"),
            {
                "Content-Type": EDGE_CONTENT if edge else "application/json",
                "Authorization": f"Basic {token}",
            },
        )

    @property
    def sent_bytes(self) -> int:
        return self.client.sent_bytes

    async def ask(self, path: str, value: Any) -> bytes:
        """A question of an edge to its centre; raises the errors of sink.py."""
        body = msgspec.json.encode(value)
        status, said, retry_after = await self.client.ask(self._base + path, body)
        judge(status, said, retry_after, 0)
        return said

    async def send(self, batch: Batch) -> list[Refusal]:
        return await self.client.post(self._url, self._parts, batch.rows)

    async def forget(self, known_as: str, names: list[Name]) -> None:
        for at in range(0, len(names), _NAMES):
            some = {"id": f"{known_as}-{at}", "names": names[at : at + _NAMES]}
            answer = _ERASED.decode(await self.ask(ERASE_PATH, some))
            if answer.refused:
                log.error(
                    "%s erases nothing of site %s on this edge's word",
                    self._base,
                    ", ".join(answer.refused),
                )

    async def close(self) -> None:
        await self.client.close()


def encoding(settings: Forward, best: str) -> str:
    chosen: str = settings.compression
    return best if chosen == "auto" else chosen


def _own(settings: Forward) -> dict[str, str]:
    """The headers of the settings."""
    pairs = (header.partition(":") for header in settings.headers)
    return {name.strip(): value.strip() for name, _, value in pairs}


def judge(status: int, said: bytes, retry_after: str, count: int) -> list[Refusal]:
    """What an answer means; raises the errors of sink.py unless the batch was taken."""
    answer = _answer(said)
    words = (answer.message or said.decode("utf-8", "replace"))[:_WORDS_CHARS].strip()
    words = f"{status} {words}".strip()
    if 200 <= status < 300:
        return [
            Refusal(r.index, 400, (r.message or r.code)[:_WORDS_CHARS])
            for r in answer.rejected
            if 0 <= r.index < count
        ]
    if status == 413:
        raise TooLarge(words)
    if status in (400, 422):
        raise Unwanted(words, status)
    if status in (401, 403, 409):
        raise Denied(words)
    raise Unreached(words, _seconds(retry_after))


def _answer(said: bytes) -> _Answer:
    try:
        answer: _Answer = _ANSWER.decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Answer()
    return answer


def _seconds(retry_after: str) -> float:
    """Retry-After in seconds; a date is not obeyed, the growing pause has to do."""
    return min(_LONGEST_REST_S, float(retry_after)) if retry_after.isdigit() else 0.0
