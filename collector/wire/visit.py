"""What an event's addresses and agent say of a visit: where from, by what, with what. Pure."""

import functools
import ipaddress
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from collector.errors import CollectorError

if TYPE_CHECKING:
    from ua_parser import Parser

_START = re.compile(r"[^/?#]*//[^/?#]*")


class Agent(NamedTuple):
    device: str
    browser: str


def referrer_host(referrer: str | None, url: str | None) -> str:
    """The host that led here, without `www.`; empty for none and for the site itself."""
    host = _host(referrer)
    return "" if host == _host(url) else host


def _host(url: str | None) -> str:
    found = _START.match(url) if url else None
    return _host_of(found.group()) if found else ""


@functools.lru_cache(maxsize=4096)
def _host_of(start: str) -> str:
    """Of a URL as far as its host; the same ones come again and again, and each takes 3 µs."""
    try:
        return (urlsplit(start).hostname or "").removeprefix("www.")[:255]
    except ValueError:
        return ""


def campaign(url: str | None) -> str:
    """`utm_campaign` of the address."""
    if not url or "utm_campaign=" not in url:
        return ""
    try:
        return parse_qs(urlsplit(url).query, max_num_fields=200).get("utm_campaign", [""])[0]
    except ValueError:
        return ""


@functools.lru_cache(maxsize=4096)
def agent(user_agent: str) -> Agent:
    """Kind of device and browser."""
    found = _parser().parse(user_agent[:1000])
    browser = found.user_agent.family if found.user_agent else ""
    system = found.os.family if found.os else ""
    return Agent(_device(system, user_agent), browser.removesuffix(" Mobile"))


@functools.cache
def _parser() -> "Parser":
    """Takes 0.1 s to load, hence late. Without its expressions for makes and models of devices,
    which nobody asks for: 14 of 24 MB, and most of the time that an agent takes."""
    from ua_parser import Parser
    from ua_parser.loaders import load_lazy_builtins

    browsers, systems, _ = load_lazy_builtins()
    return Parser.from_matchers((browsers, systems, []))


def _device(system: str, user_agent: str) -> str:
    if "iPad" in user_agent or (system == "Android" and "Mobile" not in user_agent):
        return "Tablet"
    if system in ("iOS", "Android"):
        return "Phone"
    return "Desktop" if system in ("Windows", "Mac OS X", "Linux", "Chrome OS", "Ubuntu") else ""


class Places:
    """Countries of addresses, by a MaxMind database that the operator brings."""

    def __init__(self, path: str) -> None:
        self._reader: Any = None
        if path:
            try:
                import maxminddb

                self._reader = maxminddb.open_database(path)
            except (ImportError, OSError, ValueError) as error:
                raise CollectorError(f"admin.country_database: {path}: {error}") from None

    def country(self, ip: str | None) -> str:
        """The two letters of ISO 3166, empty when unknown."""
        if self._reader is None or not ip:
            return ""
        try:
            found = self._reader.get(str(ipaddress.ip_address(ip)))
        except ValueError:
            return ""
        place = (found or {}).get("country") or (found or {}).get("registered_country") or {}
        return str(place.get("iso_code", ""))
