"""Segment's standard snippet, with the collector's address in place of Segment's, in Chromium."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import BrowserContext, Page

from tests.clients.node import HERE, run_node
from tests.clients.shop import Shop
from tests.faults.harness import Collector, Row

Stored = Callable[[int], Awaitable[list[Row]]]
UMD = Path(HERE) / "node_modules" / "@segment" / "analytics-next" / "dist" / "umd"

BEFORE = """
analytics.identify('u-1', { email: 'ada@example.com' });
analytics.track('Clicked', { n: 1 });
"""
AFTER = """() => {
    analytics.track('Purchase Completed', { total: 119.85, currency: 'USD' });
    analytics.group('g-1', { seats: 3 });
    analytics.page('Docs', 'Second');
    analytics.alias('u-2', 'u-1');
}"""


async def snippet(key: str, address: str) -> str:
    rendered = await run_node("snippet.mjs", {"key": key})
    assert "https://cdn.segment.com/" in rendered
    return str(rendered).replace("https://cdn.segment.com", address)


async def visit(visitor: BrowserContext, shop: Shop, code: str) -> Page:
    page = await visitor.new_page()
    await page.goto(shop.page("/pricing", f"<script>{code}{BEFORE}</script>", "Pricing") + "?q=1")
    await page.wait_for_function("analytics.initialized")
    return page


def check(rows: list[Row], shop: Shop) -> None:
    """One row a call, in its order, with what was said of the visitor."""
    assert [(row["type"], row["event"]) for row in rows] == [
        ("page", None),
        ("identify", None),
        ("track", "Clicked"),
        ("track", "Purchase Completed"),
        ("group", None),
        ("page", "Second"),
        ("alias", None),
    ]
    first, identify, clicked, bought, group, _, alias = rows
    assert first["url"] == f"{shop.url}/pricing?q=1"
    assert (first["path"], first["title"]) == ("/pricing", "Pricing")
    assert json.loads(identify["traits"]) == {"email": "ada@example.com"}
    assert json.loads(clicked["properties"]) == {"n": 1}
    assert json.loads(bought["properties"]) == {"total": 119.85, "currency": "USD"}
    assert (group["group_id"], alias["previous_id"]) == ("g-1", "u-1")
    assert {row["user_id"] for row in rows[1:6]} == {"u-1"}
    assert len({row["anonymous_id"] for row in rows}) == 1


async def test_it_loads_the_pixel_which_takes_over(
    collector: Collector, visitor: BrowserContext, shop: Shop, stored: Stored
) -> None:
    page = await visit(visitor, shop, await snippet(collector.key, collector.url))
    await stored(3)
    await page.evaluate(AFTER)
    # Group and alias are the second file's, and may come a request later; ids tell the order.
    rows = sorted(await stored(7), key=lambda row: str(row["message_id"]))
    check(rows, shop)
    assert json.loads(rows[0]["context"])["library"]["name"] == "pixel"


async def test_calls_that_the_pixel_does_not_have_do_no_harm(
    collector: Collector, visitor: BrowserContext, shop: Shop, stored: Stored
) -> None:
    page = await visit(visitor, shop, await snippet(collector.key, collector.url))
    await page.evaluate(
        "() => { for (const name of analytics.methods) analytics[name]('x', () => {}); }"
    )
    await page.evaluate("analytics.track('Still here')")
    assert "Still here" in [row["event"] for row in await stored(4 + len(CALLS_THAT_SEND))]


CALLS_THAT_SEND = ("identify", "group", "track", "alias", "page")


async def test_segments_own_script_works_with_the_collectors_settings(
    collector: Collector, visitor: BrowserContext, shop: Shop, stored: Stored
) -> None:
    for script in UMD.glob("*.js"):
        shop.script(f"/analytics.js/v1/{collector.key}/{script.name}", script.read_bytes())
        shop.script(f"/analytics-next/bundles/{script.name}", script.read_bytes())
    standalone = (UMD / "standalone.js").read_bytes()
    shop.script(f"/analytics.js/v1/{collector.key}/analytics.min.js", standalone)
    code = f"{await snippet(collector.key, shop.url)}analytics._cdn = '{collector.url}';"
    page = await visit(visitor, shop, code)
    await stored(3)
    await page.evaluate(AFTER)
    rows = await stored(7)
    assert json.loads(rows[0]["context"])["library"]["name"] == "analytics.js"
    assert sorted(str(row["event"]) for row in rows) == sorted(
        ["None", "None", "None", "None", "Clicked", "Purchase Completed", "Second"]
    )
