"""What rules look at of somebody is bounded, and found without looking at all there is."""

from collector.store import histories


async def test_of_a_persons_purchases_the_newest_are_read_however_many_there_are(store):
    await store.open()

    async def buy(first, count):
        await store.database.run(
            lambda c: c.executemany(
                "INSERT INTO purchases (seq, message_id, site, person, timestamp, event, counted,"
                " cart) VALUES (?, ?, 's', 7, ?, 'Purchase', ?, '')",
                [(n, f"m{n}", n * 7919 % 10_007, n % 10 > 0) for n in range(first, first + count)],
            )
        )

    async def read():
        """The times of purchases, and in how many steps of SQLite's machine."""
        ticks = []
        tick = lambda: ticks.append(1)  # noqa: E731
        need = histories.Need(20, left=False, profiles=False)
        await store.database.run(lambda c: c.set_progress_handler(tick, 1))
        found = await store.database.run(histories.load, [7], need)
        await store.database.run(lambda c: c.set_progress_handler(None, 0))
        return sorted(bought.at for bought in found[7].bought), len(ticks)

    await buy(0, 100)
    _, few = await read()
    await buy(100, 5000)
    found, many = await read()

    assert found == sorted(n * 7919 % 10_007 for n in range(5100) if n % 10)[-20:]
    assert many == few
