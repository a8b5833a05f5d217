"""Looks at a site from outside and names what keeps its events from arriving, or makes them
worth less, with what to change. Each check is a function that yields findings."""

import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct
from publicsuffixlist import PublicSuffixList

from collector import clock
from collector.doctor.page import Page, Policies, Snippet
from collector.doctor.visit import Seen, Visitor

Level = Literal["wrong", "weak", "fine"]
Stored = Callable[[str], Awaitable[str | None]]
FORGED = "203.0.113.77"  # TEST-NET-3: nobody's
_CLOCK_S = 60
_LARGE = 300_000
# Parts of addresses that the lists of blockers go by.
_BLOCKED_HOSTS = (
    "analytics",
    "track",
    "tracker",
    "tracking",
    "pixel",
    "stats",
    "metrics",
    "beacon",
)
_BLOCKED_PATHS = (
    "/pixel.gif",
    "/pixel.js",
    "/analytics.js",
    "/tracker.js",
    "/track.js",
    "/collect",
)


class Finding(Struct, frozen=True):
    """`wrong`: events are missing or believed that should not be. `weak`: worth less than they
    could be. `fine`: looked at, and sound. `change` is what to do."""

    level: Level
    about: str
    said: str
    change: str = ""


class Options(Struct, frozen=True):
    """`stored` finds the address that was stored with a message id: None when the event is not
    there; absent when the doctor does not sit beside the database. `places`: where a host is,
    whatever the name service says. `ca_file`: certificates that are trusted beside the system's."""

    timeout_s: float = 15.0
    stored: Stored | None = None
    places: dict[str, str] = {}
    ca_file: str | None = None


async def examine(url: str, options: Options) -> AsyncIterator[Finding]:
    """Findings as they are made."""
    async with Visitor(options.timeout_s, options.places, options.ca_file) as visitor:
        seen = await visitor.get(url)
        if not seen.ok:
            said = seen.failure or f"answers {seen.status}"
            change = "give an address that a visitor's browser can open"
            if "wrong version number" in said.lower():
                change = "nothing speaks TLS there; for a page without it, write http://"
            elif "certificate" in said.lower():
                change = "renew the certificate, with the certificates that lead to its root"
            yield Finding("wrong", "page", f"{url}: {said}", change)
            return
        page = Page(seen.url)
        page.feed(seen.text)
        for finding in _of_page(seen, page):
            yield finding
        if not page.snippets:
            return
        snippet = page.snippets[0]
        policies = Policies([*seen.policies, *page.policies], seen.url)
        for finding in _of_policies(policies, snippet):
            yield finding
        async for finding in _of_script(visitor, seen.url, snippet):
            yield finding
        async for finding in _of_event(visitor, seen.url, snippet, options):
            yield finding


def _of_page(seen: Seen, page: Page) -> Iterator[Finding]:
    if not seen.url.startswith("https:") and not _local(seen.url):
        change = "get a certificate and redirect http:// to https://"
        yield Finding("wrong", "https", "the page is not served over https", change)
    if seen.headers.get("Referrer-Policy", "").lower() == "no-referrer":
        change = "Referrer-Policy: strict-origin-when-cross-origin"
        yield Finding("weak", "referrer", "browsers are told to send no referrer", change)
    if not page.snippets:
        change = "paste what `collector snippet` prints into the <head> of every page"
        yield Finding("wrong", "snippet", "no snippet in the page", change)
        return
    counted = [(snippet.name, snippet.key) for snippet in page.snippets]
    if len(set(counted)) < len(counted):
        yield Finding("wrong", "snippet", "the snippet is there twice", "remove one of them")
    elif len({name for name, _ in counted}) < len(counted):
        said = f"two snippets use the global {page.snippets[0].name}"
        yield Finding("wrong", "snippet", said, "give one of them another with --global")
    else:
        yield Finding("fine", "snippet", f"there, global {page.snippets[0].name}")


def _of_policies(policies: Policies, snippet: Snippet) -> Iterator[Finding]:
    about, found = "content security policy", False
    script, endpoint = _origin(snippet.script), _origin(snippet.endpoint)
    if snippet.code is not None and policies.forbids_inline(snippet):
        found = True
        said = "forbids the inline snippet"
        change = "use `collector snippet --external`, or give its <script> the page's nonce"
        yield Finding("wrong", about, said, change)
    if policies.forbids_script(snippet):
        found = True
        yield Finding("wrong", about, f"forbids scripts of {script}", f"script-src … {script}")
    if policies.forbids_posts(snippet.endpoint):
        found = True
        yield Finding("wrong", about, f"forbids posts to {endpoint}", f"connect-src … {endpoint}")
    if not found:
        yield Finding("fine", about, "lets the pixel work")


async def _of_script(visitor: Visitor, page: str, snippet: Snippet) -> AsyncIterator[Finding]:
    url = snippet.script
    if page.startswith("https:") and not url.startswith("https:"):
        change = 'http.public_url = "https://…", then paste the snippet anew'
        yield Finding("wrong", "collector", f"{url} is http on an https page: blocked", change)
        return
    for finding in _of_names(url):
        yield finding
    async for finding in _of_place(visitor, page, snippet):
        yield finding
    seen = await visitor.get(url)
    if not seen.ok:
        said = f"{url}: {seen.failure or f'answers {seen.status}'}"
        change = "let the proxy pass http.script_path on to the collector, and see that it runs"
        yield Finding("wrong", "script", said, change)
        return
    if "javascript" not in seen.headers.get("Content-Type", "") or b"sendBeacon" not in seen.body:
        said = f"{url} answers something else than the script"
        change = "let the proxy pass http.script_path on to the collector"
        yield Finding("wrong", "script", said, change)
        return
    if not seen.encoding:
        yield Finding(
            "weak", "script", "is sent uncompressed", "let the proxy keep Accept-Encoding"
        )
    if "max-age" not in seen.headers.get("Cache-Control", ""):
        change = "let the proxy keep Cache-Control and ETag"
        yield Finding("weak", "script", "may not be cached", change)
    for finding in _of_clocks(seen):
        yield finding
    yield Finding("fine", "script", f"{url}, {len(seen.body):,} bytes")


def _of_names(url: str) -> Iterator[Finding]:
    target = urlsplit(url)
    label = (target.hostname or "").partition(".")[0]
    if label in _BLOCKED_HOSTS:
        said = f"blockers know hosts called {label}"
        yield Finding("weak", "names", said, "use another name, best a path of the site itself")
    if any(target.path.endswith(path) for path in _BLOCKED_PATHS):
        said = f"blockers know {target.path}"
        yield Finding("weak", "names", said, 'http.script_path = "/c.js", or a name of your own')


async def _of_place(visitor: Visitor, page: str, snippet: Snippet) -> AsyncIterator[Finding]:
    """Whether a cookie of the collector is the site's own, and lasts in Safari."""
    own, other = urlsplit(page).hostname or "", urlsplit(snippet.script).hostname or ""
    if own == other:
        yield Finding("fine", "cookie", "first-party: the collector is on the site's own host")
    elif _domain(own) != _domain(other):
        said = f"{other} is another site than {own}: its cookie is blocked or short-lived"
        change = f"put the collector under a path or subdomain of {_domain(own)}"
        yield Finding("wrong", "cookie", said, change)
    elif not _near(await visitor.addresses(own), await visitor.addresses(other)):
        said = f"{other} is in another address range than {own}: Safari keeps its cookie 7 days"
        change = "let the site's own web server pass a path on to the collector"
        yield Finding("weak", "cookie", said, change)
    else:
        yield Finding("fine", "cookie", f"first-party, on {_domain(own)}")


async def _of_event(
    visitor: Visitor, page: str, snippet: Snippet, options: Options
) -> AsyncIterator[Finding]:
    """A test event, marked as a bot's, so that no count has it; with a forged address, which a
    proxy has to replace."""
    message_id = f"doctor-{clock.uuid7(clock.now_ms())}"
    event = {
        "type": "track",
        "event": "Doctor Test",
        "messageId": message_id,
        "anonymousId": message_id,
        "context": {"bot": True, "page": {"url": page}},
    }
    body = json.dumps({"writeKey": snippet.key, "batch": [event], "fresh": True}).encode()
    sent = {"Origin": _origin(page), "X-Forwarded-For": FORGED}
    seen = await visitor.post(snippet.endpoint, body, sent)
    for finding in _of_answer(seen, snippet, page):
        yield finding
    if seen.status == 200:
        async for finding in _of_row(message_id, page, options):
            yield finding
    large = await visitor.post(snippet.endpoint, b"[" + b" " * _LARGE, {"Origin": _origin(page)})
    if large.status == 413:
        said = f"a proxy refuses {_LARGE // 1000} KB, which the collector takes"
        yield Finding("wrong", "proxy", said, "nginx: client_max_body_size 1m")


def _of_answer(seen: Seen, snippet: Snippet, page: str) -> Iterator[Finding]:
    url, code = snippet.endpoint, _code(seen)
    if seen.status == 401 and code == "origin_not_allowed":
        change = f'site.origins = ["{_origin(page)}", …]'
        yield Finding("wrong", "origin", f"{_origin(page)} may not send for this key", change)
    elif seen.status == 401:
        said = f"the collector does not know the write key {snippet.key or '(none)'}"
        yield Finding("wrong", "write key", said, "paste what `collector snippet` prints now")
    elif seen.status in (429, 503):
        change = "see the collector's log and `/readyz`"
        yield Finding("wrong", "test event", f"refused: {seen.status} {code}", change)
    elif seen.status != 200 or b'"success":true' not in seen.body:
        said = f"{url}: {seen.failure or f'answers {seen.status}, not as the collector does'}"
        change = "let the proxy pass http.beacon_path on to the collector, POST included"
        yield Finding("wrong", "test event", said, change)
    else:
        yield from _of_headers(seen, page, url)


def _of_headers(seen: Seen, page: str, url: str) -> Iterator[Finding]:
    if _origin(page) != _origin(url):
        allowed = seen.headers.get("Access-Control-Allow-Origin", "")
        if allowed not in (_origin(page), "*"):
            change = "let the proxy keep the collector's Access-Control-… headers, adding none"
            yield Finding(
                "wrong", "cross-origin", f"answers allow {allowed or 'no origin'}", change
            )
    if not seen.cookies:
        said, change = "the answer sets no cookie", "let the proxy keep Set-Cookie (privacy.cookie)"
        yield Finding("weak", "cookie", said, change)
    elif url.startswith("https:") and "secure" not in seen.cookies[0].lower():
        change = f'http.public_url = "{_origin(url)}"'
        yield Finding("wrong", "cookie", "is not Secure: the collector thinks it is http", change)


async def _of_row(message_id: str, page: str, options: Options) -> AsyncIterator[Finding]:
    if options.stored is None:
        yield Finding("fine", "test event", "answered 200")
        return
    ip = await options.stored(message_id)
    if ip is None:
        said = "answered 200, but it is not in this collector's database"
        change = "the snippet's address leads to another collector: see http.public_url"
        yield Finding("wrong", "test event", said, change)
        return
    yield Finding("fine", "test event", "came through to the database")
    if not ip or _local(page):  # on its own machine the doctor is as trusted as a proxy
        return
    if ipaddress.ip_address(ip) in ipaddress.ip_network(f"{FORGED}/24", strict=False):
        said = "a visitor's own X-Forwarded-For is believed"
        change = "let the proxy replace the header: proxy_set_header X-Forwarded-For $remote_addr"
        yield Finding("wrong", "proxy", said, change)
    elif ipaddress.ip_address(ip).is_loopback:
        said = "hides the visitors' addresses: all have its own"
        change = "let the proxy send X-Forwarded-For, and name it in http.trusted_proxies"
        yield Finding("wrong", "proxy", said, change)


def _of_clocks(seen: Seen) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(seen.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return
    if abs(theirs - seen.at) > _CLOCK_S:
        said = f"the collector's clock and this machine's are {abs(theirs - seen.at):,.0f} s apart"
        yield Finding("wrong", "clock", said, "run a time service (chrony, systemd-timesyncd)")


def _code(seen: Seen) -> str:
    try:
        return str(json.loads(seen.body).get("code", ""))
    except (ValueError, AttributeError):
        return ""


def _origin(url: str) -> str:
    target = urlsplit(url)
    return f"{target.scheme}://{target.netloc}"


def _local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _domain(host: str) -> str:
    return _suffixes().privatesuffix(host) or host


def _near(one: list[str], other: list[str]) -> bool:
    """By WebKit's rule: the first 16 bits of IPv4 addresses, the first 64 of IPv6."""
    ours, theirs = {_range(a) for a in one}, {_range(a) for a in other}
    return not (ours and theirs) or bool(ours & theirs)


def _range(address: str) -> bytes:
    packed = ipaddress.ip_address(address.partition("%")[0]).packed
    return packed[:2] if len(packed) == 4 else packed[:8]
