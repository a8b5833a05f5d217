"""The settings of docs/DEPLOY.md are sound, and a collector starts with each of them."""

import re
from pathlib import Path

import pytest

from collector.app import App
from collector.settings import load

TEXT = (Path(__file__).parent.parent / "docs" / "DEPLOY.md").read_text("utf-8")
FILES = {
    text.split("\n")[0].removeprefix("# ").partition(":")[0]: text
    for text in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
}


def test_all_three_set_ups_are_there() -> None:
    assert {"one-box.toml", "centre.toml", "edge.toml", "edge-kafka.toml"} <= FILES.keys()


@pytest.mark.parametrize("name", FILES)
async def test_a_collector_starts_with_it(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(FILES[name])
    flags = {
        "data": str(tmp_path / "data"),
        "http.listen": "127.0.0.1:0",
        "admin.listen": "127.0.0.1:0",
        "spool.min_free_bytes": 0,
    }
    app = App(load(file, environ={}, flags=flags))
    await app.start()
    assert await app.ready() is None
    await app.stop()
