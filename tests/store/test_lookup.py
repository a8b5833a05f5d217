"""What the dashboard asks is found without looking at everything."""

from collector.store import lookup

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
