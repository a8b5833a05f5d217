"""Raw sockets: requests as no client library would send them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import pytest


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Talk = Callable[..., Awaitable[list[Reply]]]


async def read_reply(reader: asyncio.StreamReader) -> Reply | None:
    """The next answer of a connection, None at its end. 1xx answers are passed over."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        status = int(first.split()[1])
        if status >= 200:
            break
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Reply(status, headers, body)


@pytest.fixture
def talk() -> Talk:
    """Sends pieces over one connection, one write each, and reads the answers until there are
    `count` or the server closes. `end` closes our side after the last piece."""

    async def exchange(
        port: int, pieces: bytes | Sequence[bytes], count: int = 1, end: bool = False
    ) -> list[Reply]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        replies = []
        try:
            async with asyncio.timeout(20):
                for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                if end:
                    writer.write_eof()
                while len(replies) < count and (reply := await read_reply(reader)):
                    replies.append(reply)
        finally:
            writer.close()
        return replies

    return exchange


def plain_request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: c.example"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@pytest.fixture
def http() -> Callable[..., bytes]:
    """An HTTP/1.1 request as bytes."""
    return plain_request
