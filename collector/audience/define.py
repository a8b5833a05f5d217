"""Audiences as the settings give them: rules read, tied together, made self-contained. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from collector.audience.nodes import Node
from collector.audience.rule import link, parse
from collector.config_audiences import AudienceConfig

_encode = msgspec.json.Encoder(order="sorted", enc_hook=str).encode


class Definition(Struct, frozen=True):
    """`text`: the rule as JSON, the rules of other audiences in place of their names."""

    config: AudienceConfig
    node: Node
    text: str


def define(audiences: Iterable[AudienceConfig]) -> dict[str, Definition]:
    """Raises ConfigError with the path of what is wrong."""
    configs = {audience.name: audience for audience in audiences}
    nodes = {
        name: parse(config.rule, f"audience[{i}].rule")
        for i, (name, config) in enumerate(configs.items())
    }
    linked = link(nodes)
    return {
        name: Definition(config, linked[name], _encode(_inlined(config.rule, configs)).decode())
        for name, config in configs.items()
    }


def one(rule: Any, audiences: Iterable[AudienceConfig], path: str = "rule") -> Node:
    """A rule that is tried, which may name the audiences of the settings."""
    rules = {a.name: parse(a.rule, f"audience[{i}].rule") for i, a in enumerate(audiences)}
    return link({**rules, "": parse(rule, path)})[""]


def _inlined(rule: Any, configs: dict[str, AudienceConfig]) -> Any:
    if isinstance(rule, dict):
        if isinstance(name := rule.get("audience"), str):
            return _inlined(configs[name].rule, configs)
        return {
            key: _inlined(value, configs) if key in ("all", "any", "not") else value
            for key, value in rule.items()
        }
    if isinstance(rule, list | tuple):
        return [_inlined(value, configs) for value in rule]
    return rule
