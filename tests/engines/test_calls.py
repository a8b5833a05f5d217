"""What a page's owner writes is what stands in the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.engines.conftest import Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")

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
PRICING = ("Pricing and Plans", "https://shop.example/pricing", "/pricing")


def columns(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


async def test_the_six_calls_queued_by_the_snippet_and_the_page_left_at_once(shop: Shop) -> None:
    site = shop.site
    leave = f"addEventListener('load', () => {{ location.href = {site.elsewhere!r} }})"
    site.add("/pricing", await shop.collector.snippet() + f"<script>{CALLS}{leave}</script>")
    tab = await shop.open(site.elsewhere)
    await tab.evaluate(f"void (location.href = '{site.url}/pricing?plan=pro#top')")
    rows = await shop.rows(7)
    assert columns(rows, "type", "event", "user_id") == [
        ("page", None, None),
        ("page", "Pricing and Plans", None),
        ("identify", None, "123456"),
        ("track", "Purchase Completed", "123456"),
        ("track", "Purchase", "123456"),
        ("track", "Lead Captured", "123456"),
        ("track", "Lead Captured", "123456"),
    ]
    assert columns(rows[1:2], "title", "url", "path") == [PRICING]
    assert rows[0]["url"] == f"{site.url}/pricing?plan=pro"
    assert rows[3]["properties"]["products"][1]["name"] == "Pro Plan"
    assert rows[4]["properties"] is None
    assert rows[2]["traits"] == {"email": "ada@example.com"}
    assert len({row["anonymous_id"] for row in rows}) == 1


async def test_the_context_of_an_event(shop: Shop) -> None:
    url = shop.site.add("/", "<link rel=canonical href=/shop>" + shop.collector.script())
    tab = await shop.open(url + "?utm_source=news&utm_campaign=spring&gclid=g1")
    (row,) = await shop.rows(1)
    context = row["context"]
    assert context["campaign"] == {"source": "news", "name": "spring", "gclid": "g1"}
    assert context["page"]["canonical"] == f"{shop.site.url}/shop"
    assert context["locale"] == await tab.evaluate("navigator.language")
    assert context["timezone"] == await tab.evaluate(
        "Intl.DateTimeFormat().resolvedOptions().timeZone"
    )
    assert context["screen"]["width"] == await tab.evaluate("screen.width")
    assert context["library"]["name"] == "pixel"
    assert context["bot"] is True
    assert row["bot"] == 1


async def test_group_alias_user_callbacks_and_promises(shop: Shop) -> None:
    tab = await shop.page()
    await tab.evaluate("sendgrid.identify(42, {plan: 'pro'}).then(() => 0)")
    await tab.evaluate(
        "new Promise(done => sendgrid.group('acme', {seats: 3}, {}, done)).then(() => 0)"
    )
    said = "new Promise(done => sendgrid.track('A', {}, {}, () => done('called')))"
    assert await tab.evaluate(said) == "called"
    assert await tab.evaluate("sendgrid.track('B').then(event => event.event)") == "B"
    assert await tab.evaluate("[sendgrid.user().id(), sendgrid.user().traits().plan]") == [
        "42",
        "pro",
    ]
    group = "[sendgrid.group().id(), sendgrid.group().traits().seats]"
    assert await tab.evaluate(group) == ["acme", 3]
    await tab.evaluate("void sendgrid.alias('ada')")
    rows = await shop.rows(6)
    assert [row["event"] or row["type"] for row in rows] == [
        "page",
        "identify",
        "group",
        "A",
        "B",
        "alias",
    ]
    assert (rows[2]["group_id"], rows[5]["user_id"], rows[5]["previous_id"]) == (
        "acme",
        "ada",
        "42",
    )


async def test_options_of_a_call(shop: Shop) -> None:
    tab = await shop.page()
    options = "{context: {plan: 'pro'}, timestamp: '2026-01-02T03:04:05Z', anonymousId: 'mine'}"
    await tab.evaluate(f"void sendgrid.track('A', null, {options}).track('B', {{}}, null)")
    _, a, b = await shop.rows(3)
    assert (a["anonymous_id"], a["properties"]) == ("mine", None)
    assert (a["context"]["plan"], a["context"]["library"]["name"]) == ("pro", "pixel")
    assert a["original_timestamp"] == 1767323045000  # 2026-01-02T03:04:05Z
    assert b["anonymous_id"] != "mine"
    assert "plan" not in b["context"]


async def test_a_visitor_is_one_over_pages_another_after_reset_and_for_another_user(
    shop: Shop,
) -> None:
    tab = await shop.page()
    await tab.evaluate("void sendgrid.identify('u1')")
    await tab.goto(f"{shop.site.url}/")
    await tab.evaluate("void sendgrid.track('A').reset()")
    await tab.evaluate("void sendgrid.track('B')")
    await tab.evaluate("void sendgrid.identify('u2')")
    await tab.evaluate("void sendgrid.identify('u3')")
    rows = await shop.rows(7)
    assert [row["user_id"] for row in rows] == [None, "u1", "u1", "u1", None, "u2", "u3"]
    ids = [row["anonymous_id"] for row in rows]
    assert len(set(ids[:4])) == 1
    assert len({ids[0], ids[4], ids[6]}) == 3
    assert ids[4] == ids[5]
    assert f"_px_aid={ids[6]}" in await tab.evaluate("document.cookie")


async def test_listeners_links_and_forms(shop: Shop) -> None:
    body = (
        "<a id=a href='#x'>go</a><form id=f onsubmit='return false'><button id=b></button></form>"
    )
    shop.site.add("/", shop.collector.script(), body=body)
    tab = await shop.open(f"{shop.site.url}/")
    await tab.evaluate("(window.heard = [], sendgrid.on('track', name => heard.push(name)), 0)")
    await tab.evaluate("void sendgrid.trackLink(document.links, 'Followed', a => ({to: a.hash}))")
    await tab.evaluate("void sendgrid.trackForm(document.forms[0], 'Sent')")
    loaded = "new Promise(done => sendgrid.once('ready', done).ready())"
    await tab.evaluate(loaded)
    await tab.evaluate("(a.click(), b.click(), 0)")
    rows = await shop.rows(3)
    assert [(row["event"], row["properties"]) for row in rows[1:]] == [
        ("Followed", {"to": "#x"}),
        ("Sent", None),
    ]
    assert await tab.evaluate("heard") == ["Followed", "Sent"]


async def test_addresses_name_the_visitor_only_where_asked_for(shop: Shop) -> None:
    asked = "/?ajs_uid=u9&ajs_trait_plan=pro&ajs_event=Opened&ajs_prop_mail=7"
    shop.site.add("/", shop.collector.script(query="on"))
    await shop.open(shop.site.url + asked)
    rows = await shop.rows(3)
    assert {row["event"] or row["type"] for row in rows} == {"page", "identify", "Opened"}
    assert {row["user_id"] for row in rows if row["type"] != "page"} == {"u9"}
    shop.site.add("/", shop.collector.script())
    await shop.open(shop.site.url + asked)
    assert len(await shop.rows(4)) == 4


async def test_visitors_of_analytics_js_and_of_a_linked_domain_are_kept(shop: Shop) -> None:
    site = shop.site
    other = site.elsewhere.removesuffix("/elsewhere")
    named = f"{site.host},{other.split('//')[1].split(':')[0]}"
    site.add("/", shop.collector.script(link=named), body=f"<a id=a href='{other}/there'>go</a>")
    site.add("/there", shop.collector.script(link=named))
    await shop.open(site.elsewhere.replace(other, site.url))
    tab = await shop.open(site.elsewhere.replace(other, site.url))
    await tab.evaluate("void (document.cookie = 'ajs_anonymous_id=%22old-visitor%22')")
    await tab.evaluate("void (document.cookie = 'ajs_user_id=%22u7%22')")
    await tab.evaluate("void (localStorage.ajs_user_traits = JSON.stringify({plan: 'pro'}))")
    await tab.goto(f"{site.url}/")
    await shop.rows(1)
    assert await tab.evaluate("sendgrid.user().traits()") == {"plan": "pro"}
    await tab.evaluate("(a.click(), 0)")
    rows = await shop.rows(2)
    assert [row["anonymous_id"] for row in rows] == ["old-visitor"] * 2
    assert rows[0]["user_id"] == "u7"
    assert rows[1]["url"] == f"{other}/there"
