"""Which purchases count: as if all had been known from the start, and at no cost of the repeats."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.people import world
from tests.workers.test_projector import bought

REPEAT = 30 * 60_000
MINUTE = 60_000


def judged(events):
    """By the rules' words: (message id, counted), all of them known at once."""
    counted, firsts, orders = {}, {}, set()
    for event in sorted(events, key=lambda e: (e.timestamp, e.message_id)):
        place = (event.user_id, event.properties)
        if "order_id" in (event.properties or ""):
            counted[event.message_id] = int("o" not in orders)
            orders.add("o")
        else:
            first = firsts.get(place)
            counted[event.message_id] = int(first is None or event.timestamp - first > REPEAT)
            if counted[event.message_id]:
                firsts[place] = event.timestamp
    return counted


one = st.tuples(
    st.sampled_from(["ada", "bob"]),
    st.integers(0, 150).map(lambda minute: minute * MINUTE),
    st.sampled_from([{"total": 5}, {"total": 6}, {"total": 5, "order_id": "o"}]),
)


async def settled(folder, batches):
    async with world(folder) as log:
        for batch in batches:
            await log.tell(*batch)
        return dict(await log.sql("SELECT message_id, counted FROM purchases"))


@settings(max_examples=60)
@given(st.lists(st.lists(one, min_size=1, max_size=8), max_size=6))
def test_in_whatever_order_they_come_the_same_ones_count(batches):
    made = [
        [bought(f"{b}-{n}", at, said, user_id=who) for n, (who, at, said) in enumerate(batch)]
        for b, batch in enumerate(batches)
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(settled(Path(folder) / "data", made))
    assert found == judged([event for batch in made for event in batch])


@pytest.mark.parametrize("said", [{"total": 5}, {"total": 5, "order_id": "o"}])
@pytest.mark.parametrize("step", [1, -1])
async def test_a_further_repeat_costs_the_same_after_thousands(tmp_path, said, step):
    async with world(tmp_path / "data") as log:

        async def cost(batch):
            """In a thousand steps of SQLite's machine."""
            ticks = []
            watch = lambda: ticks.append(1)  # noqa: E731
            await log.database.run(lambda c: c.set_progress_handler(watch, 1000))
            await log.tell(*batch)
            await log.database.run(lambda c: c.set_progress_handler(None, 0))
            return len(ticks)

        def some(start, count):
            return [
                bought(f"m{n:05}", 10**12 + step * n, said, user_id="ada")
                for n in range(start, start + count)
            ]

        await log.tell(*some(0, 50))
        few = await cost(some(50, 50))
        await log.tell(*some(100, 1000), *some(1100, 1000))
        many = await cost(some(2100, 50))
        assert few > 0
        assert many < 1.5 * few + 5
        assert await log.sql("SELECT sum(counted) FROM purchases") == [(1,)]
