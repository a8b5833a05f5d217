"""What the dashboard asks is found without looking at everything."""

from collector.store import lookup
from tests.store.conftest import NOW, make_event

HOUR = 3_600_000


async def test_the_people_last_seen_are_found_however_many_there_are(store):
    await store.open()

    async def more(first, count):
        await store.database.run(
            lambda c: c.executemany(
                "INSERT INTO people (number, site, first_seen, last_seen, trusted)"
                " VALUES (?, 's', 0, ?, 1)",
                [(n, n * 7919 % 10_007 * HOUR) for n in range(first, first + count)],
            )
        )

    await more(0, 100)
    _, few = await store.steps(lookup.people, "", ["s"], 20)
    await more(100, 5000)
    found, many = await store.steps(lookup.people, "", ["s"], 20)

    latest = sorted((n * 7919 % 10_007 * HOUR for n in range(5100)), reverse=True)
    assert [row["last_seen"] for row in found] == latest[:20]
    assert many == few


async def test_the_newest_event_of_each_site_is_heard_of_also_before_it_is_counted(counted):
    newest = NOW + 500_000
    late = make_event("late", site="shop", received_at=newest)
    await counted.app.writer.append([late])

    heard = await counted.app.dashboard.counts.run(lookup.last_heard)

    others = {
        row["site"]: row["at"]
        for row in counted.rows(
            "SELECT site, max(received_at) AS at FROM events WHERE message_id <> 'late' GROUP BY 1"
        )
    }
    assert heard == others | {"shop": newest}
