"""Small files beside the database, each written anew as a whole."""

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write it and sync it: after a kill there is the old file or the new one, readable by its
    owner only."""
    draft = path.with_suffix(".new")
    with open(draft, "w", encoding="utf-8", opener=_private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
