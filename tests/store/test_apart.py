"""Reading in a process of its own: the same answers, the same errors, and it comes and goes."""

import asyncio
import os
import signal
import time

import pytest

from collector.errors import CollectorError, StoreUnavailable
from collector.store import lookup
from collector.store.apart import Apart, Lane
from collector.store.reader import TookTooLong, tell


@pytest.fixture
async def apart(store, event):
    log = await store.open()
    await log.append([event("a"), event("b")], [])
    made = Apart(store.path, lanes=2, limit_s=1.0)
    yield made
    await made.close()


def number_of_process(connection):
    return os.getpid()


def refuse(connection):
    raise CollectorError("not like that")


def fail(connection):
    raise ZeroDivisionError("a mistake")


def count_for_ever(connection):
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    ).fetchall()


def read_what_is_not_there(connection):
    connection.execute("SELECT * FROM missing_table")


def nap(connection, seconds):
    tell(connection, 0.5)
    time.sleep(seconds)
    return seconds


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def ended(process):
    for _ in range(250):
        if not alive(process):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_it_answers_from_another_process(apart):
    lane = Lane(apart, 0)
    assert await lane.run(lookup.last_seq) == 2
    assert len(await lane.run(lookup.newest, 0, 10, site="shop")) == 2
    assert await lane.run(number_of_process) != os.getpid()


async def test_there_is_one_process_from_the_first_question_on(apart):
    assert apart._process is None
    found = await asyncio.gather(*(Lane(apart, i % 2).run(number_of_process) for i in range(6)))
    assert len(set(found)) == 1


async def test_two_lanes_work_at_the_same_time_and_one_in_turn(apart):
    await Lane(apart, 0).run(number_of_process)
    started = time.monotonic()
    await asyncio.gather(*(Lane(apart, i).run(nap, 0.3) for i in (0, 1)))
    both = time.monotonic() - started
    await asyncio.gather(*(Lane(apart, 0).run(nap, 0.3) for _ in range(2)))
    assert both < 0.6 <= time.monotonic() - started - both


async def test_it_tells_how_far_it_is(apart):
    told = []
    assert await Lane(apart, 0).watched(told.append, nap, 0.01) == 0.01
    assert told == [0.5]


@pytest.mark.parametrize(
    ("work", "error", "text"),
    [
        (refuse, CollectorError, "not like that"),
        (fail, CollectorError, "a mistake"),
        (count_for_ever, TookTooLong, "took longer than 1 s"),
        (read_what_is_not_there, CollectorError, "no such table"),
    ],
)
async def test_an_error_is_the_same_error_here(apart, work, error, text):
    lane = Lane(apart, 0)
    with pytest.raises(error, match=text):
        await lane.run(work)
    assert await lane.run(lookup.last_seq) == 2


async def test_when_it_is_killed_the_question_fails_and_the_next_is_answered(apart):
    lane = Lane(apart, 0)
    process = await lane.run(number_of_process)
    asked = asyncio.create_task(lane.run(nap, 30))
    await asyncio.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    with pytest.raises(StoreUnavailable, match="ended"):
        await asked
    assert await lane.run(number_of_process) != process


async def test_where_it_cannot_be_started_that_is_said_and_tried_again(apart, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("collector.store.apart._command", lambda: ["/there/is/none"])
        with pytest.raises(StoreUnavailable, match="cannot be started: No such file"):
            await Lane(apart, 0).run(lookup.last_seq)
    assert await Lane(apart, 0).run(lookup.last_seq) == 2


async def test_it_ends_when_nothing_was_asked_for_a_while(apart):
    apart.idle_s = 0.1
    lane = Lane(apart, 0)
    process = await lane.run(number_of_process)
    assert await ended(process)
    assert await lane.run(lookup.last_seq) == 2


async def test_a_long_question_does_not_end_by_the_while_without_one(apart):
    apart.idle_s = 0.1
    await Lane(apart, 1).run(number_of_process)
    assert await Lane(apart, 0).run(nap, 0.5) == 0.5


async def test_who_has_gone_takes_nothing_from_the_next(apart):
    lane = Lane(apart, 0)
    process = await lane.run(number_of_process)
    asked = asyncio.create_task(lane.run(nap, 0.2))
    await asyncio.sleep(0.05)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await lane.run(number_of_process) == process


async def test_closing_ends_it_and_the_questions_in_hand(apart):
    process = await Lane(apart, 0).run(number_of_process)
    asked = asyncio.create_task(Lane(apart, 0).run(nap, 30))
    await asyncio.sleep(0.1)
    os.kill(process, signal.SIGTERM)  # as a service manager sends to all: left to the collector
    await apart.close()
    assert await ended(process)
    with pytest.raises(StoreUnavailable, match="ended"):
        await asked
