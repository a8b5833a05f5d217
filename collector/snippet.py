"""The HTML that a site owner pastes."""

import html
import json
import re
from importlib import resources


def render(global_name: str, script_url: str, key: str, **data: str) -> str:
    """The inline loader with its values, safe inside <script>. `data` are further attributes of
    the script: `endpoint`, `consent`, …"""
    code = (resources.files("collector") / "static" / "snippet.js").read_text("utf-8").strip()
    values = {
        "__GLOBAL__": global_name,
        "__SRC__": script_url,
        "__DATA__": {"key": key, "global": global_name, **data},
    }
    code = re.sub("|".join(values), lambda found: _literal(values[found[0]]), code)
    return f"<script>{code}</script>"


def external(global_name: str, script_url: str, key: str, **data: str) -> str:
    """The script alone, for pages whose policy allows no inline script."""
    named = {"key": key, "global": global_name, **data}
    attributes = " ".join(f'data-{name}="{html.escape(value)}"' for name, value in named.items())
    return f'<script async src="{html.escape(script_url)}" {attributes}></script>'


def _literal(value: object) -> str:
    return json.dumps(value).replace("<", "\\u003c")
