"""The example page, and the package as a module of a page: as their readers use them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engines.conftest import Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")

PIXEL = Path(__file__).parent.parent.parent / "pixel_js"
SHOTS = os.environ.get("PIXEL_SHOTS")  # a folder for the pictures
CALLS = ["identify", "group", "alias", "page", "view", "purchase", "lead", "broken"]
NAMES = [
    "page",
    "identify",
    "group",
    "alias",
    "Pricing and Plans",
    "page",
    "Purchase Completed",
    "Lead Captured",
    "Broken",
    "Followed",
]
SAID = "[...document.querySelectorAll('#log summary')].map(line => line.textContent)"


async def test_each_button_of_the_example_is_stored_and_said(shop: Shop) -> None:
    for file in (PIXEL / "examples").iterdir():
        shop.site.copy(f"/{file.name}", file.read_text("utf-8"))
    url = f"{shop.site.url}/shop.html?collector={shop.collector.url}&key={shop.collector.key}"
    tab = await shop.open(url)
    for index, call in enumerate(CALLS):
        await tab.evaluate(f"document.querySelector('[data-call={call}]').click()")
        assert len(await shop.rows(index + 2)) == index + 2
    await tab.evaluate("document.querySelector('#link').click()")
    assert await shop.names(10) == NAMES
    purchase = (await shop.rows(10))[6]
    assert (purchase["user_id"], purchase["violations"]) == ("123456", None)

    said: list[str] = []
    while not said or sum("stored" in line for line in said) < len(CALLS):
        said = await tab.evaluate(SAID)
    for name in ("Purchase Completed", "Lead Captured", "Broken", "Followed"):
        assert f"[pixel] track {name}" in said
    await tab.evaluate("document.querySelector('#log li:nth-child(2) summary').click()")
    if SHOTS:
        Path(SHOTS, f"{shop.engine}.png").write_bytes(await tab.screenshot())


async def test_the_module_of_the_package_in_a_page(shop: Shop, tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node
    subprocess.run([node, "build.mjs", "--module", str(tmp_path)], cwd=PIXEL, check=True)
    for file in tmp_path.iterdir():
        shop.site.copy(f"/pixel/{file.name}", file.read_text("utf-8"))
    options = f"{{key: '{shop.collector.key}', endpoint: '{shop.collector.url}/c', link: ['a.b']}}"
    module = f"""<script type=module>
    import {{ load }} from '/pixel/index.js';
    window.pixel = load({options});
    pixel.track('A', {{big: 2n ** 70n}});
    </script>"""
    tab = await shop.open(shop.site.add("/", module))
    await shop.rows(2)
    await tab.evaluate("void pixel.group('acme')")
    rows = await shop.rows(3)
    assert [row["event"] or row["type"] for row in rows] == ["page", "A", "group"]
    assert rows[1]["properties"] == {"big": str(2**70)}
