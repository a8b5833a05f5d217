"""The live view's stream."""

import asyncio

from collector.store import lookup
from tests.store.conftest import make_event


async def test_what_comes_while_the_first_rows_are_read_is_told_too(idle, monkeypatch):
    collector = await idle.start()
    await collector.app.writer.append([make_event("before")])
    loop, real = asyncio.get_running_loop(), lookup.newest

    def newest(connection, after, *args):
        rows = real(connection, after, *args)
        if not after:  # the first look
            late = collector.app.writer.append([make_event("meanwhile")])
            asyncio.run_coroutine_threadsafe(late, loop).result()
        return rows

    monkeypatch.setattr(lookup, "newest", newest)
    headers = {"Authorization": f"Bearer {collector.app.token}"}
    url = f"http://127.0.0.1:{collector.app.admin_port}/api/live"
    told = b""
    async with asyncio.timeout(10), collector.session.get(url, headers=headers) as stream:
        async for line in stream.content:
            told += line
            if b"meanwhile" in told:
                break
    assert told.count(b'"before"') == 1
