"""What the visitor said is what is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engines.conftest import Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACES = "Object.keys(localStorage).length + document.cookie.length"


async def test_nothing_is_kept_or_sent_before_consent_and_all_of_it_after(shop: Shop) -> None:
    tab = await shop.page(consent="required")
    await tab.evaluate("void sendgrid.track('A').identify('u1')")
    assert await shop.rows(0) == []
    assert await tab.evaluate(TRACES) == 0
    await tab.evaluate("void sendgrid.consent({analytics: true, ads: false})")
    rows = await shop.rows(3)
    assert [row["event"] or row["type"] for row in rows] == ["page", "A", "identify"]
    for row in rows:
        assert (row["consent"]["analytics"], row["consent"]["ads"]) == (True, False)
        assert row["consent"]["at"].startswith("20")
    await tab.goto(f"{shop.site.url}/")
    assert (await shop.rows(4))[3]["consent"] == rows[0]["consent"]


async def test_what_was_held_back_is_dropped_when_consent_is_denied(shop: Shop) -> None:
    tab = await shop.page(consent="required")
    await tab.evaluate("void sendgrid.track('A').consent({analytics: false})")
    await tab.evaluate("void sendgrid.track('B')")
    await tab.goto(f"{shop.site.url}/")
    await tab.evaluate("void sendgrid.track('C')")
    assert await shop.rows(0) == []
    assert 'anonymousId":"0' not in await tab.evaluate("JSON.stringify(localStorage)")


SIGNALS = """<script>
for (const [name, value] of [['globalPrivacyControl', true], ['doNotTrack', '1']])
  Object.defineProperty(navigator, name, {value, configurable: true});
</script>"""


async def test_privacy_signals_go_with_the_event(shop: Shop) -> None:
    await shop.open(shop.site.add("/", SIGNALS + shop.collector.script()))
    (row,) = await shop.rows(1)
    assert (row["context"]["gpc"], row["context"]["dnt"]) == (True, True)
    assert row["consent"]["gpc"] is True


@pytest.mark.parametrize("signal", ["gpc", "dnt"])
async def test_a_signal_switches_it_off_where_the_page_says_so(shop: Shop, signal: str) -> None:
    script = shop.collector.script(**{signal: "off"})
    tab = await shop.open(shop.site.add("/", SIGNALS + script))
    await tab.evaluate("void sendgrid.track('A').identify('u1')")
    assert await tab.evaluate(TRACES) == 0
    await tab.goto(shop.site.add("/without", script))
    await tab.evaluate("void sendgrid.track('B')")
    assert await shop.names(2) == ["page", "B"]


async def test_without_cookies_nothing_is_kept_and_all_arrives(shop: Shop) -> None:
    tab = await shop.page(cookieless="on")
    await tab.evaluate("void sendgrid.track('A')")
    await tab.goto(f"{shop.site.url}/")
    assert await shop.names(3) == ["page", "A", "page"]
    assert await tab.evaluate(TRACES) == 0


async def test_a_visitor_switches_it_off_and_on(shop: Shop) -> None:
    tab = await shop.page()
    await shop.rows(1)
    for path in ("/?pixel_off", "/"):
        await tab.goto(shop.site.url + path)
        await tab.evaluate("void sendgrid.track('A')")
        await tab.evaluate("new Promise(done => setTimeout(done, 300))")
    assert len(await shop.rows(1)) == 1
    await tab.goto(f"{shop.site.url}/?pixel_off=0")
    await tab.evaluate("new Promise(done => setTimeout(done, 300))")
    await tab.goto(f"{shop.site.url}/")
    assert "page" in await shop.names(2)
