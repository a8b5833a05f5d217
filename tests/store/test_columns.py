"""What is looked through by columns is what is looked through row by row."""

import random

import pytest

from collector.admin import ranges
from collector.store import columns, hits, pieces, reports
from collector.store.columns import Narrow
from collector.store.hits import COLUMNS, DIMENSIONS
from collector.store.question import Question

NOW = 1_795_500_000_000  # as in `counted`


async def ask(collector, work, *args):
    return await collector.app.dashboard.counts.run(work, *args)


@pytest.mark.parametrize("values", [1, 2, 250, 256, 257, 3000])
def test_a_column_gives_back_what_was_put_in(values):
    drawn = random.Random(values)
    among = [drawn.randrange(1 << 31) for _ in range(values)]
    numbers = [*among, *(drawn.choice(among) for _ in range(5000))]
    column = Narrow(columns.pack("path", numbers))
    assert column.pick(None, len(numbers)) == numbers
    found = column.equal(numbers[7])
    chosen = (found if found is not None else 0).to_bytes(len(numbers), "little")
    wanted = [number == numbers[7] for number in numbers]
    assert found is None or [bool(one) for one in chosen] == wanted
    assert found is not None or all(wanted)
    assert column.equal(-5) == 0
    picked = bytes(wanted)
    assert column.pick(picked, len(numbers)) == [numbers[7]] * sum(wanted)


@pytest.mark.parametrize("numbers", [[5], [7, 8, 9], [7, 9, 30], [3, -(1 << 40), 1 << 50]])
@pytest.mark.parametrize("name", ["seq", "at", "visitor"])
def test_a_wide_column_gives_back_what_was_put_in(name, numbers):
    numbers = sorted(numbers) if name == "seq" else numbers
    assert list(columns.unpack(columns.pack(name, numbers), len(numbers))) == numbers


FILTERS = [
    {"device": "Desktop", "browser": "Firefox"},
    {"path": "/pricing", "type": "page"},
    {"event": "Plan Viewed", "device": "Phone"},
    {"referrer": "google.com", "browser": "Chrome", "type": "page"},
    {"path": "/nowhere", "device": "Desktop"},
]


def answers(connection):
    """Of several filters at once, in zones whose days begin within hours."""
    found = {}
    for zone in ("Europe/Vienna", "Asia/Kathmandu"):
        span = ranges.parse("2026-10-28", "2026-11-23", zone, NOW)
        for filters in [{}, *FILTERS]:
            asked = Question(span.start, span.end, **filters)
            found[asked, "chart"] = reports.chart(connection, asked, span.bounds())
            found[asked, "totals"] = reports.totals(connection, asked)
            for by in DIMENSIONS:
                found[asked, by] = reports.top(connection, asked, by, 500)
    return found


def by_rows(monkeypatch):
    monkeypatch.setattr(columns, "pieces", lambda *_: [])


async def test_several_filters_give_what_looking_at_each_row_gives(counted, monkeypatch):
    ((made, many),) = [
        tuple(r.values()) for r in counted.rows("SELECT count(*), sum(hits) FROM hit_pieces")
    ]
    assert made >= 8
    added_up = counted.rows("SELECT max(last) AS n FROM hit_blocks")[0]["n"]
    assert 0 <= added_up - many < 97 - 24  # the newest, not enough for a piece, row by row
    quick = await ask(counted, answers)
    assert sum(one["views"] for (_, what), one in quick.items() if what == "totals") > 1000
    by_rows(monkeypatch)
    assert await ask(counted, answers) == quick


def all_hits(connection):
    condition = hits.Condition(0, 1 << 40)
    return [
        list(map(list, zip(*part, strict=True)))
        for part in hits.scan(connection, condition, COLUMNS)
    ]


async def test_pieces_are_made_again_of_what_erasing_leaves(counted, monkeypatch):
    (whom,) = counted.rows(
        "SELECT user_id FROM events WHERE event = 'Purchase Completed' AND seq < 300 LIMIT 1"
    )
    before = counted.rows("SELECT * FROM hit_pieces")
    await counted.app.persons.forget(whom["user_id"], None, None, None)
    quick = await ask(counted, answers)
    left = counted.rows("SELECT * FROM hit_pieces")
    assert len(left) < len(before)
    while made := await ask(counted, pieces.plan):
        await counted.app._database.run(pieces.apply, made)
    again = counted.rows("SELECT sum(hits) AS n FROM hit_pieces")
    assert again == counted.rows(
        "SELECT count(*) AS n FROM hits WHERE seq <= (SELECT max(last) FROM hit_pieces)"
    )
    assert await ask(counted, answers) == quick
    by_rows(monkeypatch)
    assert await ask(counted, answers) == quick


async def test_what_was_planned_before_an_erasure_is_not_written(counted):
    await counted.app._database.run(drop_all)
    made = await ask(counted, pieces.plan)
    (whom,) = counted.rows("SELECT user_id FROM events WHERE user_id IS NOT NULL LIMIT 1")
    await counted.app.persons.forget(whom["user_id"], None, None, None)
    assert await counted.app._database.run(pieces.apply, made) is False


def drop_all(connection):
    connection.execute("DELETE FROM hit_columns")
    connection.execute("DELETE FROM hit_pieces")
