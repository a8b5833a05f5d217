"""`python -m tests.faults.slow PORT EACH OVER SECONDS`: EACH clients of a kind, arriving over so
many seconds, that hold their connections by slowness, a byte every three seconds. Says `ready`,
and in the end after how many seconds each was put out (JSON; null: not within SECONDS)."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable

_DRIP_S = 3.0
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


async def _held(kind: str, port: int, after: float, seconds: float) -> float | None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(after)
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
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
    os.nice(10)  # as if on machines of their own
    port, each, over, seconds = (float(argument) for argument in sys.argv[1:])
    tasks = {
        kind: [
            asyncio.create_task(_held(kind, int(port), number * over / each, seconds))
            for number in range(int(each))
        ]
        for kind in KINDS
    }
    print("ready", flush=True)
    print(json.dumps({kind: await asyncio.gather(*some) for kind, some in tasks.items()}))


if __name__ == "__main__":
    asyncio.run(main())
