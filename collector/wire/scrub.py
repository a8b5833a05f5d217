"""E-mail addresses and tokens taken out of addresses of pages: url, referrer, path and whatever
else in properties and context is an address. What an event says of its user in its traits or in
a property of its own, as the e-mail of a lead, is not touched.

Nearly all requests hold nothing of the kind, and finding that out costs 0.2 µs: a body is asked
for single characters (24 ns each; two characters in a row take twenty times that, a regular
expression a hundred), and its events only for those that it has.
"""

import re
from typing import Any

import msgspec

from collector.config_privacy import Privacy

_INSTEAD = "redacted"
_FIELDS = frozenset({"url", "path", "referrer", "referer", "search", "hash", "href"})
_ADDRESS = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]{0,20}://|mailto:|[/?])")
_LOGIN = re.compile(r"(?<=://)[^/?#\s@]*@")
# A parameter's name, also in an address that is a parameter of another one, and its value.
_NAME = re.compile(r"(?:[?&#]|%3[Ff]|%2[36])([^=&#?%\s\"]{1,64})(?:=|%3[Dd])")
_CODES = (("%3F", "&"), ("%3f", "&"), ("%26", "&"), ("%23", "&"), ("%3D", "="), ("%3d", "="))
_VALUE = re.compile(r"(?:(?!%26|%23)[^&#\s])*")
_ASCII_ESCAPE = re.compile(r"\\u00[2-7]")  # \u0040 is @
_LONGEST_NAME = 64
_REMEMBERED = 4096
_AT, _EQUALS, _PERCENT, _J, _BACKSLASH = b"@=%J\\"
_DECODE = msgspec.json.Decoder().decode
_ENCODE = msgspec.json.Encoder().encode


class Scrubber:
    """The patterns of the settings."""

    def __init__(self, privacy: Privacy) -> None:
        names = "|".join(_glob(name) for name in privacy.scrub_parameters)
        self._names = re.compile(names, re.I) if names else None
        self.harmless: set[str] = set()  # what stood before a = and is none of these
        self._patterns = [re.compile(pattern) for pattern in privacy.scrub_patterns]
        self.off = not (names or self._patterns)
        # Patterns of the operator's own: what they look for may be in any text.
        self.own = not set(privacy.scrub_patterns) <= set(Privacy().scrub_patterns)

    def suspects(self, body: bytes) -> bool:
        """False when a body of plain JSON certainly holds nothing to be taken out."""
        if self.off or self.own:
            return self.own
        return (
            _AT in body
            or _EQUALS in body
            or _PERCENT in body
            or _BACKSLASH in body
            or (_J in body and b"eyJ" in body)
        )

    def text(self, text: str | None) -> str | None:
        """JSON text of an object with its addresses scrubbed."""
        if text is None or self.off or not (self.own or self._suspicious(text)):
            return text
        value = _DECODE(text)
        scrubbed = self._walk(value, "")
        return text if scrubbed == value else _ENCODE(scrubbed).decode()

    def _suspicious(self, text: str) -> bool:
        return (
            "@" in text
            or self._named(text)
            or ("%" in text and ("%40" in text or self._named(_decoded(text))))
            or ("J" in text and "eyJ" in text)
            or ("\\" in text and _ASCII_ESCAPE.search(text) is not None)
        )

    def _named(self, text: str) -> bool:
        """Whether a parameter of the settings is in it."""
        if self._names is None or "=" not in text:
            return False
        parts = text.replace("?", "&").replace("#", "&").split("&")
        unknown = {part.partition("=")[0] for part in parts[1:]} - self.harmless
        return any(self._new_is_named(part[-_LONGEST_NAME:]) for part in unknown)

    def _new_is_named(self, end: str) -> bool:
        if self._is_named(end):
            return True
        if len(self.harmless) >= _REMEMBERED:
            self.harmless.clear()
        self.harmless.add(end)
        return False

    def _is_named(self, name: str) -> bool:
        return self._names is not None and self._names.fullmatch(name) is not None

    def _walk(self, value: Any, name: str) -> Any:
        if isinstance(value, str):
            return self.address(value) if name in _FIELDS or _ADDRESS.match(value) else value
        if isinstance(value, dict):
            return {key: self._walk(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._walk(inner, name) for inner in value]
        return value

    def address(self, text: str) -> str:
        """A page's address without its login, the values of the named parameters, and what the
        patterns find."""
        text = _LOGIN.sub("", text)
        if self._names is not None:
            text = self._without_values(text)
        for pattern in self._patterns:
            text = pattern.sub(_INSTEAD, text)
        return text

    def _without_values(self, text: str) -> str:
        kept, end = [], 0
        for found in _NAME.finditer(text):
            if found.start() >= end and self._is_named(found[1]):
                value = _VALUE.match(text, found.end())
                kept += [text[end : found.end()], _INSTEAD]
                end = value.end() if value else found.end()
        return "".join([*kept, text[end:]])


def _decoded(text: str) -> str:
    """What may stand around a name, when an address is a parameter of another one."""
    for code, sign in _CODES:
        text = text.replace(code, sign)
    return text


def _glob(name: str) -> str:
    return re.escape(name).replace(r"\*", r".{0,64}")
