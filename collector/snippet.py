"""The HTML that a site owner pastes."""

import json
import re
from importlib import resources


def render(global_name: str, script_url: str, key: str) -> str:
    """The inline loader with its three values, safe inside <script>."""
    code = (resources.files("collector") / "static" / "snippet.js").read_text("utf-8").strip()
    values = {"__GLOBAL__": global_name, "__SRC__": script_url, "__KEY__": key}
    code = re.sub("|".join(values), lambda found: _literal(values[found[0]]), code)
    return f"<script>{code}</script>"


def _literal(text: str) -> str:
    return json.dumps(text).replace("<", "\\u003c")
