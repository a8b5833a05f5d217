"""The HTML that a site owner pastes."""

import json
from importlib import resources


def render(global_name: str, script_url: str, key: str) -> str:
    """The inline loader with its three values, safe inside <script>."""
    code = (resources.files("collector") / "static" / "snippet.js").read_text("utf-8").strip()
    values = {"__GLOBAL__": global_name, "__SRC__": script_url, "__KEY__": key}
    for placeholder, value in values.items():
        code = code.replace(placeholder, json.dumps(value).replace("<", "\\u003c"))
    return f"<script>{code}</script>"
