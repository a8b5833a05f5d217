"""Which settings a running collector can take over, and which need a restart."""

from typing import Any

import msgspec

from collector.config import Config

FORWARDING = ("edge", "forward", "spool")
MEMBERSHIP = ("audience", "destination", "evaluation")
_TAKEN = ("site", "limits", "rates", "privacy", "clients", "log", *FORWARDING, *MEMBERSHIP)
_OF_HTTP = (
    "public_url",
    "trusted_proxies",
    "script_path",
    "gif_path",
    "beacon_path",
    "redirect_domains",
    "body_timeout_s",
    "stop_idle_s",
    "stop_body_s",
    "stop_send_s",
)


def merged(old: Config, new: Config) -> tuple[Config, list[str]]:
    """The settings in force after a reload, and the paths of those that would need a restart."""
    http = msgspec.structs.replace(old.http, **{name: getattr(new.http, name) for name in _OF_HTTP})
    taken = {name: getattr(new, name) for name in _TAKEN}
    log = msgspec.structs.replace(new.log, format=old.log.format)
    config = msgspec.structs.replace(old, **{**taken, "http": http, "log": log})
    return config, list(_differing(msgspec.to_builtins(config), msgspec.to_builtins(new), ""))


def differ(old: Config, new: Config, names: tuple[str, ...]) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in names)


def _differing(old: Any, new: Any, path: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = [
            _differing(old.get(name), new.get(name), f"{path}.{name}" if path else name)
            for name in old | new
        ]
        return [one for each in found for one in each]
    return [] if old == new else [path]
