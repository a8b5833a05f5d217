"""python -m tests.browser.dashboard.pictures: draws docs/images/dashboard anew, every page of a
demo's dashboard, light and dark, wide and narrow, at half the size."""

import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, async_playwright

from tests.browser.dashboard.conftest import loaded
from tests.clients.shop import CHROMIUM, FLAGS
from tests.faults.harness import free_port

PICTURES = Path(__file__).parents[3] / "docs/images/dashboard"
SIZES = {1280: 900, 390: 844}
NAME = "pricing-not-bought"
RULE = {
    "all": [{"page": "/pricing*", "within": "14d"}, {"not": {"event": "purchase", "within": "7d"}}]
}
STEPS = "step=path%3A%2Fpricing&step=event%3APlan+Viewed&step=event%3APurchase+Completed"
PAGES = {
    "overview": "overview?days=30",
    "live": "live",
    "people": "people",
    "person": "people?id={person}",
    "events": "events?days=30&event=Purchase+Completed",
    "sales": "sales?days=30",
    "audiences": "audiences",
    "audience": f"audiences?name={NAME}",
    "builder": f"audiences?edit={NAME}",
    "funnels": f"funnels?days=30&{STEPS}",
    "system": "system",
}


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        listen, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
        command = [sys.executable, "-m", "collector", "demo", "--data", folder]
        demo = subprocess.Popen([*command, "--listen", listen, "--admin", admin])
        try:
            await draw(f"http://{listen}", f"http://{admin}", Path(folder) / "admin-token")
        finally:
            demo.terminate()
            demo.wait()


async def draw(public: str, admin: str, token_file: Path) -> None:
    while not token_file.exists():
        await asyncio.sleep(0.1)
    token = token_file.read_text().strip()
    await asyncio.sleep(20)  # until all is counted
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.put(f"{admin}/api/audiences/{NAME}", json={"rule": RULE}) as answer:
            assert answer.status == 200, await answer.text()
        async with session.get(f"{admin}/api/people?part=1&q=example") as answer:
            person = (await answer.json())["people"][0]["id"]
        async with session.get(f"{admin}/api/sites") as answer:
            found = re.search(r"wk_\w+", await answer.text())
        for page, users in (("/pricing", 40), ("", 12)):  # some enter, of these some leave
            await asyncio.sleep(5)
            batch = [come(page, f"new-{n}") for n in range(users)]
            body = {"writeKey": found[0] if found else "", "batch": batch}
            async with session.post(f"{public}/v1/batch", json=body) as answer:
                assert answer.status == 200, await answer.text()
    await asyncio.sleep(5)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for width, height in SIZES.items():
            for scheme in ("light", "dark"):
                await of_all(browser, f"{admin}/#token={token}", person, scheme, width, height)
        await browser.close()


def come(page: str, user: str) -> dict[str, Any]:
    """A view of that page; without one, a purchase."""
    if page:
        return {"type": "page", "userId": user, "properties": {"path": page}}
    bought = {"order_id": user, "total": 19.95, "currency": "USD"}
    return {
        "type": "track",
        "event": "Purchase Completed",
        "userId": user,
        "properties": bought,
    }


async def of_all(
    browser: Browser, entry: str, person: str, scheme: str, width: int, height: int
) -> None:
    context = await browser.new_context(
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        device_scale_factor=0.5,
        locale="en-US",
        timezone_id="Europe/Vienna",
    )
    tab = await context.new_page()
    await tab.goto(entry.partition("#")[0])
    await tab.wait_for_selector("form")
    await tab.screenshot(path=PICTURES / f"login-{scheme}-{width}.png")
    tab = await context.new_page()
    await tab.goto(entry)
    await tab.wait_for_selector("nav")
    for name, page in PAGES.items():
        await tab.evaluate("hash => (location.hash = hash)", f"#/{page.format(person=person)}")
        await asyncio.sleep(0.5)
        await loaded(tab)
        await asyncio.sleep(0.5)
        await tab.screenshot(path=PICTURES / f"{name}-{scheme}-{width}.png")
    await context.close()


if __name__ == "__main__":
    asyncio.run(main())
