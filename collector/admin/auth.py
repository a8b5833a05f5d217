"""Who may see the admin listener: the token, the sessions made from it, and from which hosts.

The admin token is made once, kept in a 0600 file, compared in constant time. A session is a
cookie that holds when it ends and a signature made with the token: it outlives a restart and
ends with a change of the token.
"""

import hashlib
import hmac
import ipaddress
import os
import secrets
import time
from collections import deque
from pathlib import Path

from aiohttp import web

COOKIE = "collector_admin"
_TRIES = 10
_PER_S = 60.0
_MOST_ADDRESSES = 10_000


def token_file(data: Path) -> Path:
    return data / "admin-token"


def load_or_make_token(data: Path, configured: str) -> str:
    """The token of the settings, else that of the file, made at the first start."""
    if configured:
        return configured
    path = token_file(data)
    try:
        token = path.read_text("ascii").strip()
    except FileNotFoundError:
        token = ""
    if len(token) < 16:
        token = secrets.token_urlsafe(24)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(token + "\n")
    return token


def has_token(request: web.Request, token: str) -> bool:
    """True for `Authorization: Bearer TOKEN`: Prometheus and commands."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and same(given.strip(), token)


def same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


class Sessions:
    """What a login gives and a logout ends."""

    def __init__(self, token: str, hours: float) -> None:
        self._token = token
        self._seconds = int(hours * 3600)
        self._ended: set[str] = set()

    def begin(self) -> str:
        head = f"{int(time.time()) + self._seconds}.{secrets.token_urlsafe(9)}"
        return f"{head}.{self._sign(head)}"

    def holds(self, cookie: str) -> bool:
        head, _, signature = cookie.rpartition(".")
        until = head.partition(".")[0]
        return (
            same(signature, self._sign(head))
            and until.isdigit()
            and int(until) > time.time()
            and head not in self._ended
        )

    def end(self, cookie: str) -> None:
        if self.holds(cookie):
            self._ended.add(cookie.rpartition(".")[0])

    def _sign(self, head: str) -> str:
        key = b"session:" + self._token.encode()
        return hmac.new(key, head.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


class Tries:
    """Wrong logins: ten a minute from an address, then 429."""

    def __init__(self) -> None:
        self._wrong: dict[str, deque[float]] = {}

    def rest(self, address: str) -> int:
        """Seconds until the next try is allowed, 0 for now."""
        wrong = self._wrong.get(address)
        while wrong and wrong[0] < time.monotonic() - _PER_S:
            wrong.popleft()
        if not wrong or len(wrong) < _TRIES:
            return 0
        return int(wrong[0] + _PER_S - time.monotonic()) + 1

    def note(self, address: str) -> None:
        if len(self._wrong) >= _MOST_ADDRESSES:
            self._wrong.clear()
        self._wrong.setdefault(address, deque()).append(time.monotonic())


def known_host(host: str, names: frozenset[str]) -> bool:
    """Whether a browser may have been sent here under that Host. A stranger's page can point a
    name of its own at this machine (DNS rebinding), never an address or a name of ours."""
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    if name in names or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
