"""Reads the settings: file, environment and flags, in that order of rising precedence."""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from collector.config import Config, declared
from collector.errors import ConfigError, in_words
from collector.fleet import NEEDED

ENV_PREFIX = "COLLECTOR__"


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """The settings in force; raises ConfigError naming the first bad one with its path."""
    tree = _read(file) if file else {}
    _convert(tree, source=str(file), strict=True)
    for name, value in (os.environ if environ is None else environ).items():
        if name.startswith(ENV_PREFIX):
            _overlay(tree, name, value)
    for dotted, value in (flags or {}).items():
        if value is not None:
            _put(tree, dotted.split("."), value)
    config = _convert(_lists(tree), source="environment", strict=False)
    _check(config)
    return config


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: is not TOML: {error}") from None


def _overlay(tree: dict[str, Any], name: str, value: str) -> None:
    path = [part.lower() for part in name.removeprefix(ENV_PREFIX).split("__")]
    if path[-1].endswith("_file"):
        path[-1] = path[-1].removesuffix("_file")
        try:
            value = Path(value).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}: {value} cannot be read: {error}") from None
    _put(tree, path, value)


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    """Set one value; a numbered step addresses a list, kept as a dict until `_lists`."""
    for step in path[:-1]:
        child = tree.get(step)
        if isinstance(child, list | tuple):
            child = {str(i): item for i, item in enumerate(child)}
        tree[step] = child if isinstance(child, dict) else {}
        tree = tree[step]
    tree[path[-1]] = value


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(k.isdigit() for k in node):
        return [_lists(node[k]) for k in sorted(node, key=int)]
    return {k: _lists(v) for k, v in node.items()}


def _convert(tree: Any, source: str, strict: bool) -> Config:
    try:
        return msgspec.convert(tree, Config, strict=strict)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), source)) from None


def _explain(text: str, source: str) -> str:
    """`Expected `str`, got `int` - at `$.http.listen`` as `http.listen: expected text, got …`."""
    text, _, at = text.partition(" - at `$")
    path = at.rstrip("`").lstrip(".")
    if "unknown field" in text:
        name = text.split("`")[1]
        path = f"{path}.{name}" if path else name
        close = difflib.get_close_matches(
            path, [*Config.__struct_fields__, *(p for p, _, _ in declared())], n=1, cutoff=0.6
        )
        text = "there is no such setting" + (f"; did you mean {close[0]}?" if close else "")
    if "matching regex" in text:
        text = _EXPECTED.get(path.split(".")[-1], text)
    if "enum value" in text:
        text = f"expected {_choices(path)}, got {text.split()[-1]}"
    return f"{path or source}: {in_words(text)}"


def _choices(path: str) -> str:
    general = re.sub(r"\[\d+\]", "[]", path)
    (kind,) = (info.type for name, info, _ in declared() if name == general)
    return " or ".join(map(str, get_args(get_args(kind)[0])))


_EXPECTED = {
    "listen": "expected HOST:PORT, as 127.0.0.1:8080",
    "public_url": "expected an address with http:// or https://",
    "name": "expected letters, digits, dot, dash or underscore, 63 at most",
    "retention": 'expected a time as "25 months" or "90 days", or "forever"',
    "identity_secret": "expected at least 16 characters without spaces",
    "cookie": "expected letters, digits, dash or underscore, 40 at most",
    "token": "expected at least 16 characters without spaces",
    "script_path": "expected a path that starts with /",
    "gif_path": "expected a path that starts with /",
    "beacon_path": "expected a path that starts with /",
}


def _check(config: Config) -> None:
    """What types alone cannot say."""
    _check_networks("http.trusted_proxies", config.http.trusted_proxies)
    _check_networks("rates.exempt", config.rates.exempt)
    for i, pattern in enumerate(config.privacy.scrub_patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"privacy.scrub_patterns[{i}]: {error} in {pattern!r}") from None
    for path, listen in (("http", config.http.listen), ("admin", config.admin.listen)):
        if int(listen.rpartition(":")[2]) > 65535:
            raise ConfigError(f"{path}.listen: expected a port up to 65535")
    if bool(config.http.tls_certificate) != bool(config.http.tls_key):
        raise ConfigError("http.tls_key: needed together with http.tls_certificate")
    names: dict[str, str] = {}
    for i, site in enumerate(config.site):
        _unique(names, site.name, f"site[{i}].name")
        if site.identity == "verified" and not (site.identity_secret or site.server_keys):
            raise ConfigError(f"site[{i}].identity_secret: needed where identity is verified")
        for key in (*site.keys, *site.server_keys):
            if not 8 <= len(key) <= 200 or not key.isascii() or not key.isprintable():
                raise ConfigError(f"site[{i}].key: expected 8 to 200 printable ASCII characters")
            _unique(names, key, f"site[{i}].key")
        for j, origin in enumerate(site.origins):
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise ConfigError(
                    f"site[{i}].origins[{j}]: expected an origin as https://shop.example, "
                    f"got {origin!r}"
                )
    _check_fleet(config, names)
    check_audiences(config)


def _check_fleet(config: Config, keys: dict[str, str]) -> None:
    names: dict[str, str] = {}
    for i, edge in enumerate(config.edge):
        _unique(names, edge.name, f"edge[{i}].name")
        _unique(keys, edge.key, f"edge[{i}].key")
    names = {}
    for i, forward in enumerate(config.forward):
        _unique(names, forward.name, f"forward[{i}].name")
        for setting in NEEDED[forward.kind]:
            if not getattr(forward, setting):
                raise ConfigError(f"forward[{i}].{setting}: needed where kind is {forward.kind}")
        for j, header in enumerate(forward.headers):
            name, colon, _ = header.partition(":")
            if not (colon and name.strip() and header.isascii() and header.isprintable()):
                raise ConfigError(f"forward[{i}].headers[{j}]: expected `Name: value`")


def _check_networks(path: str, networks: tuple[str, ...]) -> None:
    for i, text in enumerate(networks):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ConfigError(
                f"{path}[{i}]: expected a network as 10.0.0.0/8, got {text!r}"
            ) from None


def check_audiences(config: Config) -> None:
    """Names, and what audiences and destinations ask of each other. Raises ConfigError."""
    names: dict[str, str] = {}
    for i, destination in enumerate(config.destination):
        _unique(names, destination.name, f"destination[{i}].name")
        needed = ("url", "secret") if destination.kind == "webhook" else ("secret", "list_id")
        for name in needed:
            if not getattr(destination, name):
                raise ConfigError(f"destination[{i}].{name}: {destination.kind} needs it")
    audiences: dict[str, str] = {}
    for i, audience in enumerate(config.audience):
        _unique(audiences, audience.name, f"audience[{i}].name")
        for j, name in enumerate(audience.to):
            if name not in names:
                raise ConfigError(f"audience[{i}].to[{j}]: there is no destination {name!r}")
        if audience.site and audience.site not in [site.name for site in config.site]:
            raise ConfigError(f"audience[{i}].site: there is no site {audience.site!r}")


def _unique(seen: dict[str, str], value: str, path: str) -> None:
    if value in seen:
        raise ConfigError(f"{path}: the same as {seen[value]}")
    seen[value] = path
