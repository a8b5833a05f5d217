"""The admin token: made once, kept in a 0600 file, compared in constant time."""

import hmac
import os
import secrets
from pathlib import Path

from aiohttp import web

COOKIE = "collector_admin"


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


def is_admin(request: web.Request, token: str) -> bool:
    """True for `Authorization: Bearer TOKEN` (Prometheus) or the session cookie (browsers)."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        given = request.cookies.get(COOKIE, "")
    return same(given.strip(), token)


def same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
