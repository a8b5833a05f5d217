"""Whose events are taken: write keys and origins."""

from urllib.parse import urlsplit

import msgspec

from collector.config import SiteConfig
from collector.errors import Refused

DEFAULT_SITE = "default"
_NAMES_CHARS = 2048


class Site(msgspec.Struct, frozen=True):
    """`server`: met under a server key. `secret` is None where identity is open."""

    name: str
    keys: tuple[str, ...]
    origins: frozenset[str]
    secret: bytes | None = None
    server: bool = False
    cookieless: bool = False

    def admits(self, origin: str | None) -> bool:
        """A request without Origin passes: it is no page's."""
        return origin is None or not self.origins or origin in self.origins


class Sites:
    """All sites, found by write key."""

    def __init__(self, configured: tuple[SiteConfig, ...], made_keys: dict[str, str]) -> None:
        self.configure(configured, made_keys)

    def configure(self, configured: tuple[SiteConfig, ...], made_keys: dict[str, str]) -> None:
        """These and no others from now on."""
        entries = configured or (SiteConfig(name=DEFAULT_SITE),)
        self.all = tuple(
            Site(
                s.name,
                s.keys or (made_keys[s.name],),
                frozenset(s.origins),
                s.identity_secret.encode() if s.identity == "verified" else None,
                cookieless=s.cookieless,
            )
            for s in entries
        )
        self._by_key = {key: site for site in self.all for key in site.keys}
        self._by_name = {site.name: site for site in self.all} | self._by_key
        self._by_host = {_host(origin): site for site in self.all for origin in site.origins}
        for site, entry in zip(self.all, entries, strict=True):
            trusted = msgspec.structs.replace(site, server=True)
            self._by_key.update(dict.fromkeys(entry.server_keys, trusted))
        self._plain = {
            key: site
            for key, site in self._by_key.items()
            if not (site.server or site.cookieless) and site.secret is None
        }

    @staticmethod
    def without_key(configured: tuple[SiteConfig, ...]) -> list[str]:
        """The sites whose key the store makes."""
        return [s.name for s in configured if not s.keys] if configured else [DEFAULT_SITE]

    def authenticate(self, key: str | None, origin: str | None) -> Site:
        site = self._by_key.get(key) if key else None
        if site is None:
            said = "unknown write key" if key else "no write key"
            raise Refused(401, "unauthorized", said)
        return _admitting(site, origin)

    def plain(self, key: str | None, origin: str | None) -> Site | None:
        """Whose key it is, if that site takes this origin's events and keeps them as they come."""
        site = self._plain.get(key) if key else None
        return site if site is not None and site.admits(origin) else None

    def named(self, name: str, origin: str | None) -> Site:
        """The site of a client without a key: found by its name, key, or the host of one of its
        origins (with or without www), the first known of a comma list. Where there is but one
        site, all is its."""
        site = self.all[0] if len(self.all) == 1 else self._known(name)
        if site is None:
            raise Refused(401, "unauthorized", "no site of that name, key or host")
        return _admitting(site, origin)

    def _known(self, names: str) -> Site | None:
        for name in names[:_NAMES_CHARS].split(","):
            name = name.strip()
            host = name.lower().removeprefix("www.")
            site = self._by_name.get(name) or self._by_host.get(host)
            if site is not None:
                return site
        return None


def _host(origin: str) -> str:
    return (urlsplit(origin).hostname or origin).removeprefix("www.")


def _admitting(site: Site, origin: str | None) -> Site:
    if not site.admits(origin):
        raise Refused(401, "origin_not_allowed", f"this origin may not send for {site.name}")
    return site
