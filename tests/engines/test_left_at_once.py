"""Pages that are left immediately after their call, or call when they are left, with the collector
answering slowly: none is lost, none is stored twice. PIXEL_LEAVES=3000 for a long round;
docs/PIXEL.md has its figures."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.engines.conftest import until

if TYPE_CHECKING:
    from tests.engines.conftest import Door, Shop, Site
    from tests.engines.drivers import Tab

LEAVES = int(os.environ.get("PIXEL_LEAVES", "10"))
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(120 + LEAVES * 2),
]

# A page calls and leaves for the next, on another of three hosts, so that what it did not hand
# over in time nobody else would send before its host is visited again. Its own beacon, behind the
# call, says whether the browser has let the page come so far. The last page says that it is there.
PAGE = """<script>
const here = Number(location.search.slice(1)), next = here + 1;
if (next <= %d) {
  addEventListener('%s', () => {
    sendgrid.track('Left ' + here);
    navigator.sendBeacon('/behind?' + here);
  });
  addEventListener('load', () => (location.href = `http://${%s[next %% 3]}/page?${next}`));
} else addEventListener('load', () => fetch('/there'));
</script>"""


async def emptied(tab: Tab) -> None:
    kept = "Object.keys(localStorage).filter(key => key.startsWith('_px_q')).length"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(120):
            while await tab.evaluate(kept):
                await asyncio.sleep(0.2)
    left = "[Object.keys(localStorage), navigator.locks.query(), typeof sendgrid]"
    assert not await tab.evaluate(kept), await tab.evaluate(f"Promise.all({left})")


@pytest.mark.parametrize("moment", ["load", "pagehide"])
async def test_pages_left_immediately_after_the_call(shop: Shop, door: Door, moment: str) -> None:
    site = shop.site
    door.delay = lambda: random.choice((0, 0.05, 0.4))
    hosts = [site.host, *(f"{site.host.rpartition('.')[0]}.{n}" for n in (2, 3))]
    named = [f"{host}:{site.port}" for host in hosts]
    script = shop.collector.script(door.url, auto="false")
    site.add("/page", script + PAGE % (LEAVES, moment, named))
    tab = await shop.open(site.elsewhere)
    await tab.evaluate(f"void (location.href = 'http://{named[0]}/page?0')")
    await until(lambda: "/there" in site.seen, 60 + LEAVES)
    assert "/there" in site.seen
    pages = f"http://{site.host.rpartition('.')[0]}."

    def stored() -> Counter[int]:
        return Counter(int(row["event"].split()[1]) for row in shop.collector.rows(pages))

    def due() -> set[int]:
        # Firefox breaks a listener off where the process ends with its page, and runs nothing
        # behind that.
        broken_off = shop.engine == "firefox" and moment == "pagehide"
        return asked_for(site, "/behind") if broken_off else set(range(LEAVES))

    await until(lambda: due() <= stored().keys(), 30)
    at_once = len(stored())
    site.add("/quiet", shop.collector.script(door.url, auto="false"))
    for host in named:  # what a beacon did not bring is sent by the next visit
        await tab.goto(f"http://{host}/quiet")
        await emptied(tab)
    print(
        f"\n{LEAVES} pages left at once, which call at {moment}: {at_once} calls stored without"
        f" another visit, {len(stored())} with it, {len(asked_for(site, '/behind'))} beacons of the"
        " pages' own behind them"
    )
    assert due() <= stored().keys()
    assert max(stored().values()) == 1


def asked_for(site: Site, path: str) -> set[int]:
    asked = zip(site.seen, site.queries, strict=True)
    return {int(query) for seen, query in asked if seen == path}
