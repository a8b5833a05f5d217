"""What the fuzzer has found worth keeping: a file a target, an input a line, in base64."""

import base64
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "corpus"


def read(target: str) -> list[bytes]:
    file = FOLDER / f"{target}.txt"
    return [base64.b64decode(line) for line in file.read_text().split()] if file.exists() else []


def write(target: str, inputs: Iterable[bytes]) -> None:
    FOLDER.mkdir(exist_ok=True)
    lines = sorted((base64.b64encode(data).decode() for data in inputs), key=lambda t: (len(t), t))
    (FOLDER / f"{target}.txt").write_text("".join(f"{line}\n" for line in lines))


def lay_out(inputs: Iterable[bytes], folder: Path) -> Path:
    """As files, as the fuzzer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs):
        (folder / f"kept-{number:04d}").write_bytes(data)
    return folder
