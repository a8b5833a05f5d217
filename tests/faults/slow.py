"""`python -m tests.faults.slow PORT EACH SECONDS`: EACH clients of a kind that hold their
connections by slowness, one byte a second. Says `ready` when all are connected, then after how
many seconds each was put out (JSON, null for who was not within SECONDS)."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable

_DRIP_S = 1.0
_AT_ONCE = 100  # connecting: no more than a listener's backlog takes
_SCRIPTS = b"GET /c.js HTTP/1.1\r\nHost: x\r\n\r\n" * 500
_HEAD = b"POST /c HTTP/1.1\r\nHost: x\r\n"
Attack = Callable[[socket.socket], Awaitable[None]]


async def _dripping(sock: socket.socket, beginning: bytes) -> None:
    """Until the server has answered and closed, or cut it off."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, beginning)
    heard = asyncio.create_task(_to_the_end(sock))
    while not heard.done():
        await loop.sock_sendall(sock, b"a")
        await asyncio.wait([heard], timeout=_DRIP_S)
    await heard


async def _to_the_end(sock: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(sock, 4096):
        pass


async def headers(sock: socket.socket) -> None:
    await _dripping(sock, _HEAD + b"X-Slow: ")


async def bodies(sock: socket.socket) -> None:
    await _dripping(sock, _HEAD + b"Content-Length: 5000\r\n\r\n")


async def readers(sock: socket.socket) -> None:
    """Asks for more than fits anywhere, and takes it in by bytes. That it was cut off shows in
    the asking: what has come already can still be read."""
    asking = asyncio.create_task(_ask_on(sock))
    while not asking.done():
        await asyncio.get_running_loop().sock_recv(sock, 1)
        await asyncio.wait([asking], timeout=_DRIP_S)
    await asking


async def _ask_on(sock: socket.socket) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(sock, _SCRIPTS)


KINDS: dict[str, Attack] = {"headers": headers, "bodies": bodies, "readers": readers}


async def _held(
    kind: str, port: int, seconds: float, connecting: asyncio.Semaphore
) -> float | None:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with connecting:
            await loop.sock_connect(sock, ("127.0.0.1", port))
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await KINDS[kind](sock)
        except TimeoutError:
            return None
        except OSError:
            pass
        return time.monotonic() - began


async def main() -> None:
    port, each, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    connecting = asyncio.Semaphore(_AT_ONCE)
    tasks = {
        kind: [asyncio.create_task(_held(kind, port, seconds, connecting)) for _ in range(each)]
        for kind in KINDS
    }
    print("ready", flush=True)
    print(json.dumps({kind: await asyncio.gather(*some) for kind, some in tasks.items()}))


if __name__ == "__main__":
    asyncio.run(main())
