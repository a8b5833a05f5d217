"""Pages that are left immediately after their call, with the collector answering slowly: none is
lost, none is stored twice. PIXEL_LEAVES=3000 for a long round; docs/PIXEL.md has its figures."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.engines.conftest import until

if TYPE_CHECKING:
    from tests.engines.conftest import Door, Shop
    from tests.engines.drivers import Tab

LEAVES = int(os.environ.get("PIXEL_LEAVES", "20"))
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(120 + LEAVES * 2),
]

# A page calls and leaves for the next, on another of three hosts, so that what it did not hand
# over in time nobody else would send before its host is visited again.
PAGE = """<script>
const next = Number(location.search.slice(1)) + 1;
addEventListener('load', () => {
  sendgrid.track('Left ' + (next - 1));
  if (next < %d) location.href = `http://${%s[next %% 3]}/page?${next}`;
});
</script>"""


async def emptied(tab: Tab) -> None:
    kept = "Object.keys(localStorage).filter(key => key.startsWith('_px_q')).length"
    while await tab.evaluate(kept):
        await asyncio.sleep(0.2)


async def test_pages_left_immediately_after_the_call(shop: Shop, door: Door) -> None:
    site = shop.site
    door.delay = lambda: random.choice((0, 0.05, 0.4))
    hosts = [site.host, *(f"{site.host.rpartition('.')[0]}.{n}" for n in (2, 3))]
    named = [f"{host}:{site.port}" for host in hosts]
    site.add("/page", shop.collector.script(door.url, auto="false") + PAGE % (LEAVES, named))
    tab = await shop.open(site.elsewhere)
    await tab.evaluate(f"void (location.href = 'http://{named[0]}/page?0')")
    # Not by their number: an engine may ask for a page a second time.
    await until(lambda: str(LEAVES - 1) in site.queries[-9:], 60 + LEAVES)
    assert str(LEAVES - 1) in site.queries[-9:]
    pages = f"http://{site.host.rpartition('.')[0]}."
    expected = sorted(f"Left {i}" for i in range(LEAVES))

    def stored() -> list[str]:
        return sorted(str(row["event"]) for row in shop.collector.rows(pages))

    await until(lambda: len(stored()) >= LEAVES, 30)
    at_once = len(stored())
    site.add("/quiet", shop.collector.script(door.url, auto="false"))
    for host in named:  # what a beacon did not bring is sent by the next visit
        await tab.goto(f"http://{host}/quiet")
        await asyncio.wait_for(emptied(tab), 120)
    print(f"\n{LEAVES} pages left at once, {at_once} stored without another visit")
    assert stored() == expected
