"""What a visitor's own word decides: consent, Global Privacy Control, Do Not Track."""

import msgspec

from collector.config_privacy import Privacy

_ENCODE = msgspec.json.Encoder().encode
_ANY = msgspec.json.Decoder()


class Declined(Exception):
    """The event is not kept: its visitor said no."""


class Rules(msgspec.Struct, frozen=True):
    """The settings as questions."""

    gpc: str
    dnt: str

    @classmethod
    def of(cls, settings: Privacy) -> "Rules":
        return cls(settings.gpc, settings.dnt)

    def declines(self, gpc: bool, dnt: bool) -> bool:
        return (gpc and self.gpc == "off") or (dnt and self.dnt == "off")

    def consent(self, given: msgspec.Raw, gpc: bool, dnt: bool) -> str | None:
        """The event's `consent`: what was given, and the signals that are respected. Raises
        Declined where analytics was denied or a signal is not to be kept."""
        if self.declines(gpc, dnt):
            raise Declined
        signals = {}
        if gpc and self.gpc == "respect":
            signals["gpc"] = True
        if dnt and self.dnt == "respect":
            signals["dnt"] = True
        text = str(given, "utf-8") or "null"
        value = _ANY.decode(text)
        if isinstance(value, dict) and value.get("analytics") is False:
            raise Declined
        if not signals:
            return None if text == "null" else text
        return _ENCODE((value if isinstance(value, dict) else {}) | signals).decode()


RULES = Rules.of(Privacy())
