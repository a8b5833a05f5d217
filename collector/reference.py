"""Prints docs/CONFIG.md from the declarations in config.py: `python -m collector.reference`."""

from typing import Literal, get_args, get_origin

import msgspec

from collector.config import declared


def reference() -> str:
    """docs/CONFIG.md."""
    lines = [
        "# Settings",
        "",
        "Printed by `make docs`; a test compares. Precedence: flag, environment,",
        "file (`--config FILE`, TOML), default. The environment variable of `http.listen` is",
        "`COLLECTOR__HTTP__LISTEN`, of a list's item `COLLECTOR__SITE__0__NAME`; with `_FILE`",
        "behind it the value is read from that file.",
    ]
    section = None
    for path, info, meta in declared():
        head = path.rpartition(".")[0]
        if head != section:
            section = head
            title = f"[[{head[:-2]}]]" if head.endswith("[]") else f"[{head}]" if head else "Top"
            lines += [
                "",
                f"## {title}",
                "",
                "| setting | default | unit | what |",
                "|---|---|---|---|",
            ]
        unit = (meta.extra_json_schema or {}).get("unit", "")
        what = f"{meta.description}{_choices(info)}"
        lines.append(f"| `{info.name}` | {_default(info)} | {unit} | {what} |")
    return "\n".join(lines) + "\n"


def _default(info: msgspec.structs.FieldInfo) -> str:
    if info.required:
        return "required"
    value = msgspec.json.encode(info.default).decode().replace("|", "\\|")  # a table's bar
    return "" if value in ('""', "[]") else f"`{value}`"


def _choices(info: msgspec.structs.FieldInfo) -> str:
    inner = get_args(info.type)[0]
    if get_origin(inner) is not Literal:
        return ""
    return f" (one of {', '.join(get_args(inner))})"


if __name__ == "__main__":
    print(reference(), end="")
