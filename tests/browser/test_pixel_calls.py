"""What a page's owner writes is what stands in the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

    from tests.browser.conftest import Collector, Site

CALLS = """
sendgrid.page('Pricing and Plans', { title: 'Pricing and Plans', url: 'https://shop.example/pricing', path: '/pricing', referrer: 'https://shop.example/labs' });
sendgrid.identify('123456', { email: 'ada@example.com' });
sendgrid.track('Purchase Completed', { total: 119.85, currency: 'USD', products: [
  { product_id: '1', name: 'Essentials Plan', sku: 'SKU-1', price: 19.95, quantity: 2, category: 'Transactional Email' },
  { product_id: '2', name: 'Pro Plan', sku: 'SKU-2', price: 79.95, quantity: 1, category: 'Marketing Email' } ] });
sendgrid.track('Purchase');
sendgrid.track('Lead Captured', { email: 'ada@example.com', source: 'Landing Page 1' });
sendgrid.track('Lead Captured', { email: 'ada@example.com' });
"""  # noqa: E501
PRICING = {
    "title": "Pricing and Plans",
    "url": "https://shop.example/pricing",
    "path": "/pricing",
    "referrer": "https://shop.example/labs",
}
ORDER = {
    "total": 119.85,
    "currency": "USD",
    "products": [
        {
            "product_id": "1",
            "name": "Essentials Plan",
            "sku": "SKU-1",
            "price": 19.95,
            "quantity": 2,
            "category": "Transactional Email",
        },
        {
            "product_id": "2",
            "name": "Pro Plan",
            "sku": "SKU-2",
            "price": 79.95,
            "quantity": 1,
            "category": "Marketing Email",
        },
    ],
}
EMAIL = {"email": "ada@example.com"}


def leaving(calls: str, elsewhere: str, queued: bool) -> str:
    """A page that makes the calls, in the snippet's queue or later, and is left at once."""
    go = f"location.href = {elsewhere!r};"
    early, late = (calls, go) if queued else ("", calls + go)
    return f"<script>{early} addEventListener('load', () => {{ {late} }});</script>"


def columns(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("queued", [True, False], ids=["queued", "script loaded"])
@pytest.mark.parametrize("elsewhere", ["other origin", "about:blank"])
async def test_the_six_calls_of_a_page_left_at_once(
    collector_process: Collector, site: Site, visitor: BrowserContext, queued: bool, elsewhere: str
) -> None:
    target = site.elsewhere if elsewhere == "other origin" else elsewhere
    head = await collector_process.snippet() + leaving(CALLS, target, queued)
    url = site.add("/pricing", head, title="<title>Prices</title>")
    page = await visitor.new_page()
    await page.goto(f"{url}?plan=pro#top", referer="https://search.example/", wait_until="commit")
    await page.wait_for_url(target)

    rows = await collector_process.wait_for(7)
    own = {
        "title": "Prices",
        "url": f"{url}?plan=pro",
        "path": "/pricing",
        "referrer": "https://search.example/",
    }
    assert columns(rows, "type", "event", "user_id", "traits") == [
        ("page", None, None, None),
        ("page", "Pricing and Plans", None, None),
        ("identify", None, "123456", EMAIL),
        ("track", "Purchase Completed", "123456", None),
        ("track", "Purchase", "123456", None),
        ("track", "Lead Captured", "123456", None),
        ("track", "Lead Captured", "123456", None),
    ]
    assert [row["properties"] for row in rows] == [
        own,
        PRICING,
        None,
        ORDER,
        None,
        EMAIL | {"source": "Landing Page 1"},
        EMAIL,
    ]
    facts = columns(rows, "title", "url", "path", "referrer")
    assert facts == [tuple(own.values()), tuple(PRICING.values())] + [tuple(own.values())] * 5
    assert len({row["anonymous_id"] for row in rows}) == 1
    assert len({row["message_id"] for row in rows}) == 7
    assert [row["message_id"] for row in rows] == sorted(row["message_id"] for row in rows)


async def test_the_context_of_an_event(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    page = await visitor.new_page()
    await page.goto(site.add("/", await collector_process.snippet()))
    (row,) = await collector_process.wait_for(1)
    facts = {"path": "/", "referrer": "", "search": "", "title": "Shop", "url": f"{site.url}/"}
    context = row["context"]
    assert context.pop("library")["name"] == "pixel"
    assert context == {
        "page": facts,
        "locale": await page.evaluate("navigator.language"),
        "timezone": await page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone"),
        "screen": await page.evaluate("({width: screen.width, height: screen.height})"),
    }
    assert row["user_agent"] == await page.evaluate("navigator.userAgent")


async def test_a_visitor_is_one_over_pages_and_another_after_reset(
    collector_process: Collector, site: Site, visitor: BrowserContext
) -> None:
    url = site.add("/", await collector_process.snippet())
    page = await visitor.new_page()
    await page.goto(url)
    await page.evaluate("sendgrid.identify(42, {plan: 'pro'})")
    await page.goto(url)
    await page.evaluate("sendgrid.track('A').reset()")
    await page.evaluate("sendgrid.track('B')")
    rows = await collector_process.wait_for(5)
    assert [row["user_id"] for row in rows] == [None, "42", "42", "42", None]
    first = rows[0]["anonymous_id"]
    assert [row["anonymous_id"] == first for row in rows] == [True] * 4 + [False]
    (cookie,) = await visitor.cookies()
    assert cookie["value"] == rows[4]["anonymous_id"]
