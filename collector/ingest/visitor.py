"""The visitor's cookie: an id that a server set outlives the seven days which Safari grants to
what a script stored.

Invariants: the id in the payload wins, unless the batch says that it was made just now
(`fresh`) and the browser shows a cookie that was signed here; a forged, damaged or doubled
cookie is as good as none; only a page of the site's own learns what the cookie said. The value
is ID.DAY.MAC, DAY the day of issue since 1970.
"""

import base64
import hashlib
import hmac
import ipaddress
import re
import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from collector.config_privacy import Privacy
from collector.ingest.sites import Site
from collector.wire.message import HOST, Answer, Call, Client, Request

_DAY = 86_400
_RENEW_DAYS = 7  # a visitor who comes back keeps the cookie for its whole age again
_ID = re.compile(r"[A-Za-z0-9_.~:-]{1,100}")
_HOSTNAME = re.compile(r"[a-z0-9._-]+")


class Greeting(msgspec.Struct, frozen=True, gc=False):
    """What an answer says beside its own: a cookie, and who the visitor was."""

    cookie: str | None
    told: str | None = None

    def add_to(self, answer: Answer) -> Answer:
        """The answer with it, when the events are on disk."""
        if answer.status != 200:
            return answer
        headers, body = answer.headers, answer.body
        if self.cookie:
            headers = (*headers, ("Set-Cookie", self.cookie))
        if self.told:
            body = body[:-1] + b',"anonymousId":"%s"}' % self.told.encode()
        return Answer(200, answer.content_type, body, headers)


class Visitors:
    """Reads and sets the cookie by the settings."""

    def __init__(self, privacy: Privacy, public_url: str, secret: bytes) -> None:
        self._name = privacy.cookie
        self._age_s = privacy.cookie_days * _DAY
        self._secret = secret
        self._secure = "; Secure" if public_url.startswith("https:") else ""
        self._host = _hostname(public_url)
        self._start = f"{privacy.cookie}="
        self._place = lru_cache(maxsize=1024)(self._placed)
        registrable(self._host)  # loads the list, where the host is a name, before requests come

    def meet(self, call: Call, request: Request, site: Site) -> Greeting | None:
        """Settle whose events `call` holds, its items changed in place; None when there is
        nothing to say."""
        if not self._name:
            return None
        own, cookies = _visitor(call), request.client.cookies
        if own and not (call.fresh or site.cookieless) and self._settled(cookies, own):
            return None
        found = self._found(request.client)
        if site.cookieless:
            return self._farewell(request) if found else None
        if call.fresh and not call.reset and own is not None:
            known = self._known(found)
            if known is not None and known != own:
                _rename(call, own, known)
                told = known if self._may_know(request, site) else None
                return Greeting(self._cookie(known, request), told)
        if own is None or not _ID.fullmatch(own):
            return self._farewell(request) if call.reset and found else None
        return Greeting(self._cookie(own, request))

    def known(self, cookies: str, own: str | None) -> bool:
        """Whether `meet` has nothing to say to a visitor who is not new and calls itself `own`."""
        return not self._name or (bool(own) and self._settled(cookies, own or ""))

    def part(self, request: Request) -> Greeting | None:
        """The visitor wants no record: the cookie goes."""
        return self._farewell(request) if self._found(request.client) else None

    def _found(self, client: Client) -> list[str]:
        if not self._name or self._start not in client.cookies:
            return []
        pairs = [pair.strip() for pair in client.cookies.split(";")]
        return [pair[len(self._start) :] for pair in pairs if pair.startswith(self._start)]

    def _known(self, found: list[str]) -> str | None:
        """Who a signed cookie says it is; None when several disagree, as they do when another
        page of the domain has set one."""
        ids = {id_ for value in found if (id_ := self._signed(value)) is not None}
        return ids.pop() if len(ids) == 1 else None

    def _signed(self, value: str) -> str | None:
        said, _, mac = value.rpartition(".")
        id_, _, day = said.rpartition(".")
        if not (_ID.fullmatch(id_) and day.isdecimal() and mac.isascii() and len(day) < 8):
            return None
        if (
            not hmac.compare_digest(self._mac(said), mac)
            or not 0 <= self._age_of(day) <= self._age_s
        ):
            return None
        return id_

    def _settled(self, cookies: str, own: str) -> bool:
        """Whether there is one cookie, it says `own` already and need not be renewed yet. It is
        not believed here, so its signature does not matter; nearly all requests end here."""
        said = f"{self._start}{own}."
        at = cookies.find(said)
        if at < 0 or cookies.find(self._start) != at or cookies.find(self._start, at + 1) > 0:
            return False
        if at > 0 and cookies[at - 1] not in " ;":
            return False  # the end of another one's name
        day = cookies[at + len(said) : at + len(said) + 6]
        return day[:5].isdecimal() and day[5:] == "." and self._is_recent(day[:5])

    def _is_recent(self, day: str) -> bool:
        return 0 <= self._age_of(day) <= _RENEW_DAYS * _DAY

    @staticmethod
    def _age_of(day: str) -> float:
        """Seconds since the day began, on which the cookie was issued."""
        return time.time() - int(day) * _DAY

    def _mac(self, said: str) -> str:
        digest = hashlib.blake2b(said.encode(), key=self._secret, digest_size=15).digest()
        return base64.urlsafe_b64encode(digest).decode()

    def _cookie(self, id_: str, request: Request) -> str:
        said = f"{id_}.{int(time.time()) // _DAY}"
        return self._line(f"{said}.{self._mac(said)}", self._age_s, request)

    def _farewell(self, request: Request) -> Greeting:
        return Greeting(self._line("", 0, request))

    def _line(self, value: str, age_s: int, request: Request) -> str:
        domain, _ = self._place(request.client.origin or "", request.headers.get(HOST) or "")
        return (
            f"{self._start}{value}; Max-Age={age_s}; Path=/; HttpOnly; SameSite=Lax{self._secure}"
            + (f"; Domain={domain}" if domain else "")
        )

    def _may_know(self, request: Request, site: Site) -> bool:
        """Pages that the site lists; where it lists none, those of the collector's own domain,
        whose servers are sent the cookie anyway."""
        origin = request.client.origin
        if origin is None or site.origins:
            return origin in site.origins
        return self._place(origin, request.headers.get(HOST) or "")[1]

    def _placed(self, origin: str, host: str) -> tuple[str | None, bool]:
        """The cookie's Domain (None: the host alone), and whether the page is of that domain.
        The request's own host counts before the public one: one collector may stand under
        several domains. Behind a proxy that changes Host, the public one counts."""
        page = _hostname(origin)
        domain = registrable(page)
        for ours in (_hostname(f"//{host}"), self._host):
            if page and (page == ours or (domain and domain == registrable(ours))):
                return domain, True
        return registrable(self._host), False


def _visitor(call: Call) -> str | None:
    for item in reversed(call.items):
        if item.anonymous_id is not None:
            return str(item.anonymous_id)
    return None


def _rename(call: Call, old: str, new: str) -> None:
    for item in call.items:
        if item.anonymous_id == old:
            item.anonymous_id = new
        if item.previous_id == old:
            item.previous_id = new


def _hostname(url: str) -> str:
    """A URL's host in the form that cookies and the list compare; "" when it is none."""
    try:
        host = (urlsplit(url).hostname or "").encode("idna").decode().rstrip(".")
    except ValueError:
        return ""
    return host if _HOSTNAME.fullmatch(host) else ""


@lru_cache(maxsize=1024)
def registrable(host: str) -> str | None:
    """The domain that its owner registered, by the public suffix list; None for an address, a
    single word or a public suffix itself."""
    if "." not in host or _is_address(host):
        return None
    domain: str | None = _suffixes().privatesuffix(host)
    return domain


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1)
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList  # 40 ms: only where a host is a name

    return PublicSuffixList()
