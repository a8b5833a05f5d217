"""Made anew, people and purchases are byte for byte what they were; money is exact."""

import asyncio
import os
import random
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings

from collector.store import people
from tests.workers.people import make_event, world
from tests.workers.test_projector_order import history

PURCHASES = 1_000_000 if os.environ.get("COLLECTOR_LONG_TESTS") else 4_000


async def bytes_of(made):
    """Every row and column of what was projected."""
    return {table: await made.sql(f"SELECT * FROM {table}") for table in people.PROJECTED}


async def made_anew(folder, batches):
    async with world(folder) as made:
        for batch in batches:
            await made.tell(*batch)
        before = await bytes_of(made)
        await made.database.run(people.begin_anew)
        while await made.database.run(people.empty_some):
            pass
        await made.database.run(people.begin, 0)
        made.position = 0
        await made.project()
        return before, await bytes_of(made)


@settings(max_examples=40)
@given(history())
def test_a_rebuild_gives_the_same_bytes(both):
    with tempfile.TemporaryDirectory() as folder:
        before, after = asyncio.run(made_anew(Path(folder) / "data", both[1]))
    assert before == after


@pytest.mark.timeout(3600 if PURCHASES > 4_000 else 120)
async def test_sums_are_exact_to_the_cent_in_every_currency(tmp_path):
    chance = random.Random(20261124)
    expected: dict[str | None, Decimal] = {}
    async with world(tmp_path / "data") as made:
        for start in range(0, PURCHASES, 2000):
            batch = []
            for n in range(start, min(PURCHASES, start + 2000)):
                total = Decimal(chance.randrange(10 ** chance.randrange(1, 9))) / 100
                currency = chance.choice(["USD", "EUR", "JPY", None])
                expected[currency] = expected.get(currency, Decimal(0)) + total
                number = chance.choice([f"{total:.2f}", f'"{total:.2f}"', f"{total:.2f}0"])
                code = f',"currency":"{currency.lower()}"' if currency else ""
                properties = f'{{"total":{number}{code},"order_id":"o{n}"}}'
                batch.append(
                    make_event(f"m{n}", event="Purchase", user_id="u", properties=properties)
                )
            await made.tell(*batch)
        sums = dict(
            await made.sql(
                "SELECT currency, sum(total_micros) FROM purchases WHERE counted GROUP BY currency"
            )
        )
    assert sums == {code: int(total * 1_000_000) for code, total in expected.items()}
    assert sum(expected.values()) > 0
