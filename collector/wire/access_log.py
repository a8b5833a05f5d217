"""Access logs of nginx, Apache and Caddy: a line to the call that a client would have made.

nginx's and Apache's `combined` (also `common`, and with the virtual host in front), Caddy's
JSON. What is no page view and no hit of the pixel's GIF is nobody's event: an image, a script,
an error, a redirect.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import translate
from functools import lru_cache
from typing import Any

import msgspec
import yarl
from multidict import CIMultiDict

from collector.config import Limits
from collector.errors import Refused
from collector.wire import junk, native
from collector.wire.decode import said
from collector.wire.message import ABSENT, Client, Item, Request, invalid, raw_object

_COMBINED = re.compile(
    rb"(?:(?P<host>\S+) )?(?P<ip>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "
    rb'"(?P<request>(?:[^"\\]|\\.)*+)" (?P<status>\d{3}) \S+'
    rb'(?: "(?P<referrer>(?:[^"\\]|\\.)*+)" "(?P<agent>(?:[^"\\]|\\.)*+)")?'
)
_ESCAPED = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))")
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}
_NAMES = "JanFebMarAprMayJunJulAugSepOctNovDec"
_MONTHS = {_NAMES[at : at + 3]: at // 3 + 1 for at in range(0, 36, 3)}
_PAGES = frozenset({"html", "htm", "xhtml", "shtml", "php", "asp", "aspx", "jsp", "cgi"})


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A request that was answered. `origin`: https://host where the log tells."""

    ip: str
    time: datetime
    method: str
    target: str
    status: int
    referrer: str | None
    agent: str | None
    origin: str | None = None
    content_type: str | None = None


class _Headers(msgspec.Struct, gc=False):
    agent: list[str] = msgspec.field(name="User-Agent", default_factory=list)
    referrer: list[str] = msgspec.field(name="Referer", default_factory=list)


class _Sent(msgspec.Struct, gc=False):
    kind: list[str] = msgspec.field(name="Content-Type", default_factory=list)


class _Asked(msgspec.Struct, gc=False):
    method: str
    uri: str
    host: str = ""
    remote_ip: str = ""
    client_ip: str = ""
    headers: _Headers = msgspec.field(default_factory=_Headers)
    tls: msgspec.Raw = ABSENT


class _Caddy(msgspec.Struct, gc=False):
    ts: float | str
    request: _Asked
    status: int
    resp_headers: _Sent = msgspec.field(default_factory=_Sent)


_CADDY = msgspec.json.Decoder(_Caddy)


def combined(line: bytes) -> Hit:
    """A line of nginx or Apache. Raises Refused."""
    found = _COMBINED.match(line)
    if found is None:
        raise invalid("no line of the format `combined`")
    method, _, rest = _text(found["request"]).partition(" ")
    host = found["host"]
    return Hit(
        _text(found["ip"]),
        _clf_time(found["time"]),
        method,
        rest.rpartition(" ")[0] or rest,
        int(found["status"]),
        _given(found["referrer"]),
        _given(found["agent"]),
        f"https://{_text(host).partition(':')[0]}" if host else None,
    )


def caddy(line: bytes) -> Hit:
    """A line of Caddy. Raises Refused."""
    try:
        read = _CADDY.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(said(error, "$")) from None
    asked = read.request
    scheme = "https" if bytes(asked.tls) not in (b"", b"null") else "http"
    return Hit(
        asked.client_ip or asked.remote_ip,
        _epoch(read.ts) if isinstance(read.ts, float) else _iso(read.ts),
        asked.method,
        asked.uri,
        read.status,
        next(iter(asked.headers.referrer), None),
        next(iter(asked.headers.agent), None),
        f"{scheme}://{asked.host}" if asked.host else None,
        next(iter(read.resp_headers.kind), None),
    )


FORMATS: dict[str, Callable[[bytes], Hit]] = {
    "nginx": combined,
    "apache": combined,
    "caddy": caddy,
}


class Reader:
    """Lines to calls. `keys`: the site's write keys; `gifs`: paths of the pixel; `origin`: where
    the pages are, if the log does not tell; `salt`: makes visitors' ids of one import; `skip`:
    paths that are no page, as globs."""

    def __init__(
        self,
        form: str,
        keys: frozenset[str],
        gifs: frozenset[str],
        origin: str | None,
        salt: bytes,
        limits: Limits,
        skip: tuple[str, ...] = (),
    ) -> None:
        self._parse = FORMATS[form]
        self._keys = keys
        self._gifs = gifs
        self._origin = origin
        self._salt = salt
        self._limits = limits
        self._skip = re.compile("|".join(map(translate, skip))) if skip else None

    def call(self, line: bytes, place: int) -> Item | None:
        """The call of the line that begins at byte `place`; None where the line is of no
        interest. Raises Refused."""
        hit = self._parse(line)
        if not (200 <= hit.status < 300 or hit.status == 304) or hit.method != "GET":
            return None
        for text in (hit.ip, hit.target, hit.referrer, hit.agent, hit.origin):
            if text:
                junk.check_text(text, "$")
        path = hit.target.partition("?")[0]
        if path in self._gifs:
            item = self._of_pixel(hit)
        elif self._is_page(path, hit.content_type):
            item = self._of_page(hit, path)
        else:
            return None
        item.timestamp = hit.time
        item.message_id = item.message_id or _id(line, place)
        if item.user_id is None and item.anonymous_id is None:
            item.anonymous_id = self._visitor(hit)
        item.context = self._context(hit, item.context)
        return item

    def _is_page(self, path: str, content_type: str | None) -> bool:
        if self._skip is not None and self._skip.match(path):
            return False
        if content_type is not None:
            return content_type.startswith("text/html")
        name = path.rpartition("/")[2]
        return "." not in name or name.rpartition(".")[2].lower() in _PAGES

    def _of_page(self, hit: Hit, path: str) -> Item:
        origin = hit.origin or self._origin
        page = {"path": path}
        if origin:
            page["url"] = origin + hit.target
        if hit.referrer:
            page["referrer"] = hit.referrer
        return Item(type="page", properties=raw_object(page))

    def _of_pixel(self, hit: Hit) -> Item:
        try:
            url = yarl.URL(hit.target, encoded=True)
        except ValueError as error:
            raise invalid(f"no address: {error}") from None
        client = Client(None, False, "", hit.agent, hit.referrer)
        call = native.gif(Request("GET", url, CIMultiDict(), b"", "", client), "", self._limits)
        if call.refused:
            raise call.refused[0].error.bare()
        if call.key is not None and call.key not in self._keys:
            raise Refused(401, "unauthorized", "a hit with the write key of no or another site")
        return call.items[0]

    def _context(self, hit: Hit, given: msgspec.Raw) -> msgspec.Raw:
        context: dict[str, Any] = msgspec.json.decode(given) if given is not ABSENT else {}
        if hit.ip:
            context["ip"] = hit.ip
        if hit.agent:
            context["userAgent"] = hit.agent
        return raw_object(context)

    def _visitor(self, hit: Hit) -> str:
        """One day's visitor, by address and agent; with the salt gone, an id and no more."""
        said = "\0".join((str(hit.time.date()), hit.ip, hit.agent or ""))
        return hashlib.blake2b(
            said.encode("utf-8", "replace"), key=self._salt, digest_size=16
        ).hexdigest()


def _id(line: bytes, place: int) -> str:
    """The same for the same line at the same place: read again, it is the same event."""
    return hashlib.blake2b(b"%d\0" % place + line, digest_size=16).hexdigest()


def _given(raw: bytes | None) -> str | None:
    return None if raw is None or raw in (b"", b"-") else _text(raw)


def _text(raw: bytes) -> str:
    if b"\\" in raw:
        raw = _ESCAPED.sub(_plain, raw)
    return raw.decode("utf-8", "replace").replace("\0", "\ufffd")


def _plain(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes([int(found[1], 16)])
    return _NAMED.get(found[2], found[2])


@lru_cache(maxsize=1024)
def _clf_time(raw: bytes) -> datetime:
    """Of `24/Nov/2026:22:08:01 +0000`."""
    text = raw.decode("ascii", "replace")
    try:
        day, month, year = text[:2], _MONTHS[text[3:6]], text[7:11]
        return _iso(f"{year}-{month:02d}-{day}T{text[12:20]}{text[21:24]}:{text[24:26]}")
    except KeyError:
        raise invalid(f"no time as 24/Nov/2026:22:08:01 +0000: {text[:40]!r}") from None


def _iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"no time: {text[:40]!r}") from None


def _epoch(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise invalid(f"no time: {seconds}") from None
