"""The story of the product page: seen anonymously, recognised, bought; who was in, who was told."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import hmac
import json
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.destinations.peer import Peer, until

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import BrowserContext

    from tests.browser.conftest import Collector, Site

SECRET = "secret-of-the-scenario"
SETTINGS = """
[[destination]]
name = "crm"
kind = "webhook"
url = "{url}/in"
secret = "{secret}"
private = true

[[audience]]
name = "saw-pricing"
rule = {{ all = [{{ page = "/pricing" }}, {{ trait = "email", op = "exists" }}] }}

[[audience]]
name = "did-not-buy"
to = ["crm"]
[audience.rule]
all = [{{ page = "/pricing", within = "7d" }}, {{ not = {{ event = "purchase", within = "7d" }} }}]
"""
LEAD = "sendgrid.track('Lead Captured', { email: 'ada@example.com', source: 'Landing Page 1' })"
IDENTIFY = "sendgrid.identify('123456', { email: 'ada@example.com' })"
PURCHASE = "sendgrid.track('Purchase Completed', { total: 119.85, currency: 'USD' })"


@pytest.fixture
async def peer():
    made = Peer()
    made.url = await made.start()
    yield made
    await made.stop()


@pytest.fixture
def settings(tmp_path: Path, peer: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Before the collector starts, which reads it by its environment."""
    file = tmp_path / "collector.toml"
    file.write_text(SETTINGS.format(url=peer.url, secret=SECRET))
    monkeypatch.setenv("COLLECTOR_CONFIG", str(file))
    return file


async def test_from_the_first_view_to_the_purchase(
    settings: Path, peer: Any, collector_process: Collector, site: Site, visitor: BrowserContext,
) -> None:  # fmt: skip
    data = settings.parent

    def rows(sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(f"file:{data}/collector.db?mode=ro", uri=True) as database:
            return database.execute(sql).fetchall()

    def members(audience: str) -> list[tuple[Any, ...]]:
        return rows(
            "SELECT p.user_id, p.email FROM audience_members m JOIN people p "
            f"ON p.id = m.person_id WHERE m.audience = '{audience}'"
        )

    page = await visitor.new_page()
    address = site.add("/pricing", await collector_process.snippet())
    for _ in range(2):
        await page.goto(address)
    await until(lambda: members("did-not-buy") == [(None, None)])
    assert members("saw-pricing") == []

    await page.evaluate(LEAD)
    await until(lambda: members("saw-pricing") == [(None, "ada@example.com")])

    await page.evaluate(IDENTIFY)
    known = [("123456", "ada@example.com")]
    await until(lambda: members("saw-pricing") == known == members("did-not-buy"))
    people = rows("SELECT id FROM people")
    assert len(people) == 1
    timeline = rows("SELECT type, event FROM person_events WHERE event IS NOT 'Audience Entered' "
                    f"AND event IS NOT 'Audience Exited' AND person_id = '{people[0][0]}' "
                    "ORDER BY seq")  # fmt: skip
    assert [kind for kind, _ in timeline] == ["page", "page", "track", "identify"]

    bought = time.monotonic()
    await page.evaluate(PURCHASE)
    await until(lambda: members("did-not-buy") == [])
    print(f"out {time.monotonic() - bought:.2f} s after the purchase")
    assert members("saw-pricing") == known

    await until(lambda: told(peer)[-1:] == ["audience.exited"])
    await asyncio.sleep(0.5)  # a second copy of anything would arrive now
    check_webhooks(peer, people[0][0])
    await check_csv(data)


def told(peer: Any) -> list[str]:
    return [json.loads(body)["type"] for _, _, _, body in peer.requests
            if json.loads(body)["person"]["user_id"] == "123456"]  # fmt: skip


def check_webhooks(peer: Any, person_id: str) -> None:
    """Each signed, each once; the known person came and went."""
    ids = []
    for _, _, headers, body in peer.requests:
        ids.append(headers["webhook-id"])
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        right = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(right).decode()}"
    assert len(ids) == len(set(ids))
    last = json.loads(peer.requests[-1][3])
    assert (last["type"], last["person"]["id"]) == ("audience.exited", person_id)
    assert last["person"]["email"] == "ada@example.com"
    assert told(peer) == ["audience.entered", "audience.exited"]


async def check_csv(data: Path) -> None:
    for layout, column, value in (
        ("plain", "email", "ada@example.com"),
        ("meta", "email", hashlib.sha256(b"ada@example.com").hexdigest()),
    ):
        file = data / f"{layout}.csv"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "collector", "audience", "export", "saw-pricing",
            "--data", str(data), "--layout", layout, "--output", str(file),
        )  # fmt: skip
        assert await process.wait() == 0
        with file.open(newline="", encoding="utf-8") as text:
            found = [row[column] for row in csv.DictReader(text)]
        # Nobody was asked for consent: the site's own file has them, the advertising one not.
        assert found == ([value] if layout == "plain" else [])
