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

    need = histories.Need(20, left=False, profiles=False)
    await buy(0, 100)
    _, few = await store.steps(histories.load, [7], need)
    await buy(100, 5000)
    found, many = await store.steps(histories.load, [7], need)

    assert (
        sorted(bought.at for bought in found[7].bought)
        == sorted(n * 7919 % 10_007 for n in range(5100) if n % 10)[-20:]
    )
    assert many == few
