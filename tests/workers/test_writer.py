"""Group commit over a real log: answers after the commit, refusals at once."""

import asyncio

import pytest

from collector.errors import Overloaded, StoreUnavailable


async def test_an_answer_comes_after_the_commit(desk, event, reject):
    await desk.writer.append([event("a"), event("b")], [reject("r")])

    assert await desk.ids() == ["a", "b"]
    assert await desk.sql("SELECT message FROM rejected") == [("r",)]
    assert (desk.metrics.stored_events, desk.metrics.rejected_events) == (2, 1)


async def test_what_comes_during_a_commit_goes_into_the_next_one(desk):
    with desk.held():
        desk.submit("first", "a")
        await asyncio.sleep(0.05)
        for number in range(50):
            desk.submit(f"later-{number}", f"l-{number}")
        await asyncio.sleep(0.05)
        assert desk.answers == {}
    await desk.until("first", *(f"later-{n}" for n in range(50)))

    assert set(desk.answers.values()) == {None}
    assert desk.metrics.commits == 2
    assert await desk.ids() == ["a", *(f"l-{n}" for n in range(50))]


async def test_a_duplicate_of_an_uncommitted_event_is_answered_after_its_commit(desk):
    with desk.held():
        desk.submit("first", "a")
        desk.submit("again", "a")
        await asyncio.sleep(0.05)
        assert desk.answers == {}
    await desk.until("first", "again")

    assert await desk.ids() == ["a"]
    assert desk.metrics.duplicate_events == 1


async def test_a_commit_takes_no_more_than_a_batch(make_desk):
    desk = await make_desk(batch_events=10)
    with desk.held():
        for number in range(31):
            desk.submit(str(number), str(number))
        await asyncio.sleep(0.05)
    await desk.until(*map(str, range(31)))

    assert desk.metrics.commits == 4


async def test_the_next_full_batch_is_prepared_while_one_is_under_way(make_desk, monkeypatch):
    desk = await make_desk(batch_events=10)
    prepared: list[int] = []
    log = desk.writer._log
    prepare = log.prepare
    monkeypatch.setattr(
        log, "prepare", lambda events: [prepared.append(len(events))] and prepare(events)
    )
    with desk.held():
        for number in range(25):
            desk.submit(str(number), f"m{number:02}")
        await asyncio.sleep(0.05)
        assert prepared == [10]
    await desk.until(*map(str, range(25)))

    assert prepared == [10]
    assert await desk.ids() == [f"m{n:02}" for n in range(25)]


@pytest.mark.parametrize(
    ("settings", "size"), [({"buffer_events": 5}, 1), ({"buffer_bytes": 5000}, 1000)]
)
async def test_a_full_buffer_refuses_at_once_and_takes_nothing(make_desk, settings, size):
    desk = await make_desk(**settings)
    with desk.held():
        for number in range(5):
            desk.submit(str(number), f"m-{number}", size=size)
        with pytest.raises(Overloaded, match="the buffer is full"):
            desk.submit("beyond", "beyond", size=size)
        assert desk.writer.full
    await desk.until(*"01234")

    assert "beyond" not in desk.answers
    assert (desk.writer.buffered_events, desk.writer.buffered_bytes) == (0, 0)
    desk.submit("after", "after")
    await desk.until("after")
    assert await desk.ids() == ["m-0", "m-1", "m-2", "m-3", "m-4", "after"]


async def test_a_store_that_cannot_write_answers_all_and_the_writer_goes_on(desk, caplog, event):
    await desk.writer.append([event("before")])
    await desk.sql("PRAGMA busy_timeout = 20")
    with desk.held():
        for number in range(30):
            desk.submit(str(number), f"m-{number}")
        await desk.until(*map(str, range(30)))

        assert {type(error) for error in desk.answers.values()} == {StoreUnavailable}
        assert "busy" in desk.writer.unavailable
    desk.submit("after", "m-3", "m-4")
    await desk.until("after")

    assert desk.answers["after"] is None
    assert desk.writer.unavailable is None
    assert await desk.ids() == ["before", "m-3", "m-4"]
    assert desk.metrics.failed_commits >= 1
    errors = [r for r in caplog.records if r.levelname == "ERROR"]
    assert len(errors) == 1


async def test_a_stop_stores_what_is_buffered_and_refuses_what_comes(desk):
    with desk.held():
        desk.submit("in-hand", "a")
        stopping = asyncio.create_task(desk.writer.stop())
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded, match="stopping"):
            desk.submit("late", "b")
    await stopping

    assert desk.answers == {"in-hand": None}
    assert await desk.ids() == ["a"]


async def test_an_answer_that_fails_takes_no_other_with_it(desk, event, caplog):
    def broken(error):
        raise RuntimeError("the client is gone")

    with desk.held():
        desk.submit("before", "a")
        desk.writer.submit([event("b")], [], 10, broken, None, lambda error: error)
        desk.submit("after", "c")
    await desk.until("before", "after")

    assert await desk.ids() == ["a", "b", "c"]
    assert "an answer could not be given" in caplog.text
    await desk.writer.append([event("d")])
