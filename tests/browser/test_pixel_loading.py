"""The ways in which the script comes into a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector import snippet

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

    from tests.browser.conftest import Collector, Site


def seen(rows: list[dict[str, Any]]) -> list[str]:
    return [row["event"] or row["type"] for row in rows]


async def test_queued_calls_are_replayed_in_order_after_the_page_view(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    calls = "".join(f"sendgrid.track('Step {i}');" for i in range(30))
    url = site.add("/", await collector_process.snippet() + f"<script>{calls}</script>")
    page = await visitor.new_page()
    await page.goto(url)
    await page.evaluate("sendgrid.track('Later')")
    rows = await collector_process.wait_for(32)
    assert seen(rows) == ["page", *(f"Step {i}" for i in range(30)), "Later"]


async def test_snippet_and_script_twice_do_nothing_twice(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    inline = await collector_process.snippet()
    key = await collector_process.key()
    src = f"{collector_process.url}/c.js"
    tag = f"<script async src='{src}' data-key='{key}' data-global='sendgrid'>"
    head = f"{inline}<script>sendgrid.track('A')</script>{inline}"
    page = await visitor.new_page()
    await page.goto(site.add("/", head, body=f"{tag}</script>{tag}</script>{inline}"))
    await page.evaluate("sendgrid.track('B')")
    assert seen(await collector_process.wait_for(3)) == ["page", "A", "B"]


async def test_a_plain_script_tag_is_enough(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    key = await collector_process.key()
    head = (
        f'<script async src="{collector_process.url}/c.js" data-key="{key}" '
        f'data-global="sendgrid"></script>'
    )
    page = await visitor.new_page()
    await page.goto(site.add("/", head))
    await page.evaluate("sendgrid.track('Purchase')")
    rows = await collector_process.wait_for(2)
    assert seen(rows) == ["page", "Purchase"]
    assert rows[0]["title"] == "Shop"


async def test_the_page_view_has_its_title_where_the_script_is_faster_than_the_parser(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    # A script that blocks the parser runs for certain before the title is met.
    key = await collector_process.key()
    head = f"<script src='{collector_process.url}/c.js' data-key='{key}'></script>"
    calls = "<script>pixel.track('A')</script><title>Late title</title>"
    page = await visitor.new_page()
    await page.goto(site.add("/", head + calls, title=""))
    rows = await collector_process.wait_for(2)
    assert [(row["type"], row["title"]) for row in rows] == [
        ("page", "Late title"),
        ("track", "Late title"),
    ]


async def test_no_value_can_break_out_of_the_snippet(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    name, key = "a</script><script>alert(1)<!--'\"\u2028", await collector_process.key()
    page = await visitor.new_page()
    head = snippet.render(name, f"{collector_process.url}/c.js?</script>", key)
    await page.goto(site.add("/", head))
    await page.evaluate("name => { window[name].track('A') }", name)
    assert seen(await collector_process.wait_for(2)) == ["page", "A"]


async def test_blocked_storage_and_cookies_cost_no_event(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    inner = site.add("/inner", await collector_process.snippet())
    outer = site.add("/", "", body=f"<iframe sandbox='allow-scripts' src='{inner}'></iframe>")
    page = await visitor.new_page()
    await page.goto(outer)
    await page.frames[1].evaluate("sendgrid.identify('u').track('A')")
    rows = await collector_process.wait_for(3)
    assert seen(rows) == ["page", "identify", "A"]
    assert len({row["anonymous_id"] for row in rows}) == 1
    assert [row["user_id"] for row in rows] == [None, "u", "u"]
