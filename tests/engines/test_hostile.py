"""Pages that do harm, and pages with strict policies: nothing breaks in either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collector import snippet

if TYPE_CHECKING:
    from tests.engines.conftest import Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = """
const cycle = {name: 'cycle'}; cycle.self = cycle;
const values = [cycle, 2n ** 80n, Symbol('s'), new Date(NaN), document.body, window,
  'x'.repeat(1e6), 'a\\ud800b\\0c', 1e20, {get bad() { throw new Error('no') }, good: 1},
  Object.create(null), () => 1, JSON.parse('['.repeat(500) + ']'.repeat(500)),
  new Proxy({}, {ownKeys() { throw new Error('no') }})];
for (const value of values)
  for (const name of ['page', 'identify', 'track', 'group', 'alias', 'setAnonymousId', 'consent',
    'on', 'off', 'once', 'ready', 'user', 'reset', 'trackLink', 'trackForm'])
    for (const args of [[value], ['name', value], [value, value, value], ['n', {inner: value}]])
      sendgrid[name](...args);
sendgrid.consent({analytics: true}).reset().track('Last');
"""
OVERRIDES = """<script>
Array.prototype.toJSON = function () { return 'broken' };
Object.prototype.extra = 1;
history.pushState = () => { throw new Error('no history') };
const { fetch: plain } = window; window.fetch = (...args) => plain(...args);
</script>"""
LATER = "JSON.stringify = JSON.parse = () => { throw new Error('no JSON') };"


async def test_whatever_is_passed_nothing_is_thrown(shop: Shop) -> None:
    tab = await shop.page()
    assert await tab.evaluate(f"(() => {{ {HOSTILE} return 'through' }})()") == "through"
    rows = await shop.rows(150)
    assert "Last" in [row["event"] for row in rows]
    assert len(rows) > 100


async def test_a_page_that_overrides_what_the_script_stands_on(shop: Shop) -> None:
    shop.site.add("/", OVERRIDES + shop.collector.script(), body=f"<script>{LATER}</script>")
    await shop.open(shop.site.add("/quiet", ""))
    tab = await shop.open(f"{shop.site.url}/")
    await tab.goto(f"{shop.site.url}/quiet")
    assert await shop.names(1) == ["page"]


async def test_blocked_storage_and_cookies_cost_no_event(shop: Shop) -> None:
    inner = "<script>sendgrid.identify('u').track('A')</script>"
    shop.site.add("/inner", shop.collector.script() + inner)
    frame = "<iframe sandbox='allow-scripts' src='/inner'></iframe>"
    await shop.open(shop.site.add("/", "", body=frame))
    rows = await shop.rows(3)
    assert [row["event"] or row["type"] for row in rows] == ["page", "identify", "A"]
    assert len({row["anonymous_id"] for row in rows}) == 1


async def test_a_full_storage_costs_no_event(shop: Shop) -> None:
    fill = "<script>try { for (let i = 0; ; i++) localStorage['f' + i] = 'x'.repeat(1e5) } catch {}"
    more = "try { for (let i = 0; ; i++) localStorage['g' + i] = 'x' } catch {}</script>"
    tab = await shop.open(shop.site.add("/", fill + more + shop.collector.script()))
    await tab.evaluate("void sendgrid.identify('u').track('A')")
    assert await shop.names(3) == ["page", "identify", "A"]


@pytest.mark.parametrize("kind", ["no inline script", "nonce"])
async def test_a_strict_policy(shop: Shop, kind: str) -> None:
    collector = shop.collector
    calls = "pixel = window.pixel || []; pixel.push(['track', 'A']); pixel.push(['debug']);"
    if kind == "nonce":
        script = "script-src 'nonce-abc123'"
        inline = (await collector.snippet("pixel")).replace("<script>", "<script nonce=abc123>")
        head = f"{inline}<script nonce=abc123>{calls}</script>"
    else:
        script = f"script-src 'self' {collector.url}"
        shop.site.pages["/own.js"] = (calls, {})
        head = "<script src=/own.js></script>" + await collector.snippet("pixel", "--external")
    policy = f"default-src 'none'; connect-src {collector.url}; {script}"
    await shop.open(shop.site.add("/", head, Content_Security_Policy=policy))
    assert sorted(await shop.names(2)) == ["A", "page"]


async def test_no_value_can_break_out_of_the_snippet(shop: Shop) -> None:
    name = "a</script><script>alert(1)<!--'\"\u2028"
    head = snippet.render(name, f"{shop.collector.url}/c.js?</script>", shop.collector.key)
    await shop.open(shop.site.add("/", head))
    assert await shop.names(1) == ["page"]
