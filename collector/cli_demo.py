"""`collector demo`."""

from typing import Any

import click

from collector import demo
from collector.app import App
from collector.clock import now_ms
from collector.config import Config
from collector.settings import load

_BATCH = 500


def settings(data: str, listen: str | None, admin: str | None) -> Config:
    """One site without a foreign origin."""
    flags: dict[str, Any] = {
        "data": data,
        "http.listen": listen,
        "admin.listen": admin,
        "site": [{"name": "shop"}],
    }
    return load(environ={}, flags=flags)


async def fill(app: App, visits: int) -> None:
    """Put the month's events through the writer; nothing where there are events already."""
    if app.writer.committed.seq:
        return
    batch = []
    for number, event in enumerate(demo.events(now_ms(), visits), 1):
        batch.append(event)
        if number % _BATCH == 0:
            await app.writer.append(batch)
            batch = []
    if batch:
        await app.writer.append(batch)
    click.echo(f"A month of a shop: {app.writer.committed.seq:,} events in {app.data}")
