"""To another collector, or to any endpoint with Segment's API."""

import asyncio
import base64
import gzip
import sys

import aiohttp
import msgspec

from collector import __version__
from collector.fleet import Forward
from collector.upstream.sink import Batch, Denied, Refusal, TooLarge, Unreached, Unwanted

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EDGE_CONTENT = "application/vnd.collector.edge+json"  # wire/edge.py
_ANSWER_BYTES = 262_144
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


_ANSWER = msgspec.json.Decoder(_Answer)


class Http:
    """Batches as an edge of a collector (key ek_…), or as an ordinary client."""

    def __init__(self, settings: Forward) -> None:
        edge = settings.key.startswith("ek_")
        self.form = "edge" if edge else "segment"
        self.exact = edge
        self.lanes = settings.connections
        self._settings = settings
        self._url = settings.url.rstrip("/") + (
            settings.path or ("/v1/import" if edge else "/v1/batch")
        )
        self._opening = b'{"events":[' if edge else b'{"batch":['
        chosen: str = settings.compression
        self._encoding = ("zstd" if edge else "gzip") if chosen == "auto" else chosen
        self._headers = _headers(settings, EDGE_CONTENT if edge else "application/json")
        self._session: aiohttp.ClientSession | None = None
        self.sent_bytes = 0

    async def send(self, batch: Batch) -> list[Refusal]:
        body, encoding = await asyncio.to_thread(self._body, batch)
        headers = self._headers | ({"Content-Encoding": encoding} if encoding else {})
        try:
            async with self._open().post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                said = await response.content.read(_ANSWER_BYTES)
                retry_after = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreached(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        self.sent_bytes += len(body)
        return judge(response.status, said, retry_after, len(batch.rows))

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    def _body(self, batch: Batch) -> tuple[bytes, str]:
        """On a thread: joining and compressing let go of the interpreter lock or are short."""
        text = self._opening + ",".join([row.text for row in batch.rows]).encode() + b"]}"
        if self._encoding == "zstd":
            return zstd.compress(text, 3), "zstd"
        if self._encoding == "gzip":
            return gzip.compress(text, 5), "gzip"
        return text, ""

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.lanes, keepalive_timeout=15),
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
                trust_env=False,
            )
        return self._session


def _headers(settings: Forward, content: str) -> dict[str, str]:
    headers = {"Content-Type": content, "User-Agent": f"collector/{__version__}"}
    if settings.key:
        token = base64.b64encode(f"{settings.key}:".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    for header in settings.headers:
        name, _, value = header.partition(":")
        headers[name.strip()] = value.strip()
    return headers


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
