"""A row that cannot be stored goes to rejected alone."""

import asyncio

import pytest

from collector.errors import StoreUnavailable

TRIGGER = (
    "CREATE TRIGGER poison BEFORE INSERT ON events WHEN new.message_id LIKE 'bad%' "
    "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("place", [0, 0.5, 1])
async def test_a_bad_row_alone_goes_to_rejected(desk, caplog, count, place, event, reject):
    await desk.sql(TRIGGER)
    at = int(place * (count - 1))
    ids = [f"m-{n}" for n in range(count)]
    ids[at] = "bad"

    await desk.writer.append([event(i) for i in ids], [reject("was refused before")])

    assert await desk.ids() == [i for i in ids if i != "bad"]
    rows = await desk.sql("SELECT code, message, body FROM rejected ORDER BY id")
    assert sorted(row[0] for row in rows) == ["invalid_event", "unstorable"]
    (kept,) = [row for row in rows if row[0] == "unstorable"]
    assert kept[1] == "not this one"
    assert b"message_id='bad'" in kept[2]
    assert desk.metrics.stored_events == count - 1
    assert desk.metrics.rejected_events == 2
    assert "cannot be stored and goes to rejected" in caplog.text
    assert desk.writer.unavailable is None


async def test_several_bad_rows_of_several_requests_harm_nobody_else(desk):
    await desk.sql(TRIGGER)
    with desk.held():
        for number in range(20):
            desk.submit(
                f"r-{number}", f"a-{number}", f"{'bad' if number % 3 == 0 else 'b'}-{number}"
            )
        await asyncio.sleep(0.05)
    await desk.until(*(f"r-{number}" for number in range(20)))

    assert set(desk.answers.values()) == {None}
    assert len(await desk.ids()) == 33
    assert await desk.sql("SELECT count(*) FROM rejected") == [(7,)]


@pytest.mark.parametrize("field", ["user_id", "properties", "message_id"])
async def test_a_lone_surrogate_that_got_this_far_harms_nobody_else(desk, field, event):
    bad = event("bad", **({field: "\ud800"} if field != "message_id" else {}))
    if field == "message_id":
        bad = event("\ud800")

    await desk.writer.append([event("a"), bad, event("b")])

    assert await desk.ids() == ["a", "b"]
    assert await desk.sql("SELECT code FROM rejected") == [("unstorable",)]


async def test_a_refused_event_that_cannot_be_kept_is_not_answered_200(desk, reject):
    await desk.sql(
        "CREATE TRIGGER no BEFORE INSERT ON rejected BEGIN SELECT RAISE(ABORT, 'full'); END"
    )

    with pytest.raises(StoreUnavailable, match="a refused event cannot be kept"):
        await desk.writer.append([], [reject("r")])

    assert await desk.sql("SELECT count(*) FROM rejected") == [(0,)]
