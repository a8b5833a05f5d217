"""Purchases and leads by pieces say what the tables say, whatever comes late or goes."""

import msgspec
import pytest

from collector.admin import ranges
from collector.store import sale_pieces, sales
from collector.store.hits import DIMENSIONS
from collector.store.question import Question, names
from collector.store.sale_pieces import SPAN_MS
from tests.store.conftest import NOW, counted_all, make_event

MONTH = ranges.parse("2026-10-26", "2026-11-24", "Europe/Vienna", NOW)
ASKED = Question(MONTH.start, MONTH.end)
LATER = NOW + 40 * 86_400_000


def filters(connection):
    """No filter, each dimension by a few of its values among what may be sales, and a site."""
    yield ASKED
    yield msgspec.structs.replace(ASKED, site="shop")
    yield msgspec.structs.replace(ASKED, site="elsewhere")
    yield msgspec.structs.replace(ASKED, bots=True)
    yield msgspec.structs.replace(ASKED, device="Desktop", browser="Chrome")
    for name in DIMENSIONS:
        rows = connection.execute(f"SELECT DISTINCT {name} FROM hit_sales ORDER BY 1 LIMIT 4")
        for text in ["", *names(connection, [number for (number,) in rows]).values()]:
            yield msgspec.structs.replace(ASKED, **{name: text})


def answers(connection):
    found = {}
    for asked in filters(connection):
        found[asked, "sums"] = sales.commerce(connection, asked)
        for by in sales.REVENUE_BY:
            found[asked, by] = sales.revenue(connection, asked, by, 500)
        for limit in (7, 500):
            found[asked, "purchases", limit] = sales.purchases(connection, asked, limit)
            found[asked, "leads", limit] = sales.leads(connection, asked, limit)
    return found


def made(connection):
    """The numbers of pieces, all that can be made."""
    while piece := sale_pieces.plan(connection, LATER):
        sale_pieces.apply(connection, piece)
    return {number for (number,) in connection.execute("SELECT number FROM sale_pieces")}


async def run(collector, work, *args):
    return await collector.app._database.run(work, *args)


async def by_tables(collector):
    def without(connection):
        connection.execute("DELETE FROM sale_pieces")
        return answers(connection)

    return await run(collector, without)


def same_rows(found):
    """Rows of one time come in any order."""
    return {
        key: sorted(rows, key=str) if len(key) == 3 and key[2] == 500 else rows
        for key, rows in found.items()
        if len(key) < 3 or key[2] == 500
    }


async def test_pieces_say_what_the_tables_say(counted):
    numbers = await run(counted, made)
    assert len(numbers) >= 4

    quick = await run(counted, answers)

    assert same_rows(quick) == same_rows(await by_tables(counted))
    assert quick[ASKED, "sums"]["purchases"] > 10
    assert quick[ASKED, "sums"]["leads"] > 5
    assert len(quick[ASKED, "product"]) > 3
    assert len(quick[ASKED, "first"]) > 3


async def test_a_range_that_ends_within_pieces_takes_the_part_of_them(counted):
    await run(counted, made)
    within = Question(ASKED.start + 5 * 86_400_000, ASKED.end - 3 * 86_400_000)

    def ask(connection):
        return sales.commerce(connection, within)

    quick = await run(counted, ask)
    await by_tables(counted)
    assert await run(counted, ask) == quick


async def test_the_newest_rows_are_listed_newest_first(counted):
    await run(counted, made)
    for listed in (sales.purchases, sales.leads):
        rows = await run(counted, listed, ASKED, 10)
        times = [row["timestamp"] for row in rows]
        assert times == sorted(times, reverse=True)
        assert len(times) == 10


def row_of(connection, table):
    (found,) = connection.execute(f"SELECT min(timestamp) FROM {table}").fetchone()
    return found


CHANGES = {
    "a purchase is counted no more": (
        "purchases",
        "UPDATE purchases SET counted = 1 - counted WHERE timestamp = ?",
    ),
    "a purchase goes": ("purchases", "DELETE FROM purchases WHERE timestamp = ?"),
    "an item goes": (
        "purchases",
        "DELETE FROM purchase_items WHERE seq IN (SELECT seq FROM purchases WHERE timestamp = ?)",
    ),
    "an item changes": (
        "purchases",
        "UPDATE purchase_items SET quantity = 7 "
        "WHERE seq IN (SELECT seq FROM purchases WHERE timestamp = ?)",
    ),
    "an item comes": (
        "purchases",
        "INSERT INTO purchase_items (seq, position, name) "
        "SELECT seq, 99, 'late' FROM purchases WHERE timestamp = ?",
    ),
    "a purchase comes": (
        "purchases",
        "INSERT INTO purchases (seq, message_id, site, timestamp, event, counted, cart) "
        "SELECT 1000000, 'late', site, timestamp, event, 1, '' FROM purchases "
        "WHERE timestamp = ? LIMIT 1",
    ),
    "a lead was there earlier": ("leads", "UPDATE leads SET timestamp = 0 WHERE timestamp = ?"),
    "a lead goes": ("leads", "DELETE FROM leads WHERE timestamp = ?"),
    "a lead comes": (
        "leads",
        "INSERT INTO leads (site, email, timestamp, message_id, last_at, times) "
        "SELECT site, 'late@example.com', timestamp, 'late', 0, 1 FROM leads "
        "WHERE timestamp = ? LIMIT 1",
    ),
    "its hit goes": ("purchases", "DELETE FROM hit_sales WHERE at = ?"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_takes_away_the_piece_that_it_is_in(counted, change):
    table, statement = CHANGES[change]
    numbers = await run(counted, made)

    def work(connection):
        at = row_of(connection, table)
        connection.execute(statement, (at,))
        return at // SPAN_MS, {n for (n,) in connection.execute("SELECT number FROM sale_pieces")}

    number, left = await run(counted, work)

    assert left == numbers - {number}


async def test_a_change_while_a_piece_is_made_leaves_it_to_be_made_again(counted):
    def work(connection):
        first = sale_pieces.plan(connection, LATER)
        sale_pieces.apply(connection, first)
        second = sale_pieces.plan(connection, LATER)
        connection.execute("UPDATE purchases SET counted = 0 WHERE counted")
        sale_pieces.apply(connection, second)
        return first, second, connection.execute("SELECT * FROM sale_pieces").fetchall()

    await by_tables(counted)
    first, second, left = await run(counted, work)

    assert (first.number, first.content) == (second.number, b"")
    assert second.content
    assert left == []


async def test_a_late_touch_takes_away_what_its_visitor_bought_after_it(counted):
    numbers = await run(counted, made)

    def work(connection):
        number, visitor = connection.execute(
            "SELECT at / ?, visitor FROM hit_sales WHERE visitor <> 0 ORDER BY at LIMIT 1",
            (SPAN_MS,),
        ).fetchone()
        columns = [row[1] for row in connection.execute("SELECT * FROM pragma_table_info('hits')")]
        seq = 10_000_000
        values = dict.fromkeys(columns, 0) | {"seq": seq, "at": 1, "campaign": 1}
        connection.execute(
            f"INSERT INTO hits VALUES ({', '.join('?' * len(columns))})",
            [*(values | {"visitor": visitor}).values()],
        )
        sale_pieces.touched(connection, "t.seq = ?", (seq,))
        return number, {n for (n,) in connection.execute("SELECT number FROM sale_pieces")}

    number, left = await run(counted, work)

    assert number in numbers
    assert number not in left
    assert len(left) >= len(numbers) - 2


async def test_a_late_view_by_a_campaign_is_the_first_touch_of_what_was_bought_after_it(counted):
    await run(counted, made)
    (bought,) = counted.rows(
        "SELECT e.site, e.anonymous_id, e.user_id, e.user_agent FROM purchases AS p "
        "JOIN events AS e ON e.seq = p.seq WHERE p.counted AND p.total_micros > 0 "
        "AND e.anonymous_id IS NOT NULL ORDER BY p.timestamp LIMIT 1"
    )
    late = {
        **{name: bought[name] for name in ("site", "anonymous_id", "user_id", "user_agent")},
        "url": "https://shop.example/?utm_campaign=long-ago",
        "path": "/",
        "timestamp": ASKED.start + 1,
    }
    await counted.app.writer.append([make_event("late", type="page", **late)])
    await counted_all(counted)
    await run(counted, made)

    found = await run(counted, sales.revenue, ASKED, "first", 500)

    assert "long-ago" in [row["value"] for row in found]


async def test_the_last_days_are_left_to_the_tables(counted):
    def work(connection):
        connection.execute("DELETE FROM sale_pieces")
        end = (NOW // SPAN_MS) * SPAN_MS
        found = []
        for now in (end + 86_400_000 - 1, end + 86_400_000):
            while piece := sale_pieces.plan(connection, now):
                sale_pieces.apply(connection, piece)
            found.append(connection.execute("SELECT max(number) FROM sale_pieces").fetchone()[0])
        return found

    last = NOW // SPAN_MS - 1
    assert await run(counted, work) == [last - 1, last]
