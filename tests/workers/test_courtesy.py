"""Followers give way while ingest is at its peak: one step at a time, long rests."""

import asyncio
import time

from collector.workers import courtesy
from collector.workers.courtesy import Courtesy


def burn(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def steps(made, name, log, count):
    for _ in range(count):
        async with made.turn():
            log.append((name, "begins"))
            await asyncio.sleep(0.01)
            log.append((name, "ends"))


async def test_with_room_for_all_they_work_side_by_side():
    made, log = Courtesy(lambda: False), []
    await asyncio.gather(steps(made, "a", log, 1), steps(made, "b", log, 1))
    assert [word for _, word in log] == ["begins", "begins", "ends", "ends"]


async def test_at_a_peak_one_after_the_other_in_turn(monkeypatch):
    monkeypatch.setattr(courtesy, "_LOOK_S", 3600)
    monkeypatch.setattr(courtesy, "_RESTS", 0)
    made, log = Courtesy(lambda: False), []
    made._busy = True
    await asyncio.gather(steps(made, "a", log, 2), steps(made, "b", log, 2))
    assert [name for name, _ in log] == ["a", "a", "b", "b", "a", "a", "b", "b"]


async def test_after_a_step_at_a_peak_all_rest_many_times_as_long(monkeypatch):
    monkeypatch.setattr(courtesy, "_LOOK_S", 3600)
    made, log = Courtesy(lambda: False), []
    made._busy = True
    await steps(made, "a", log, 1)
    started = time.perf_counter()
    await steps(made, "b", log, 1)
    assert time.perf_counter() - started > 0.15  # 20 times 10 ms and more


async def test_when_the_peak_is_over_nobody_rests_any_longer(monkeypatch):
    monkeypatch.setattr(courtesy, "_LOOK_S", 0.01)
    monkeypatch.setattr(courtesy, "_BUSY", 10)
    looks = [True, True, True]  # at the beginning of the turn, and twice in the rest
    made, log = Courtesy(lambda: bool(looks) and looks.pop()), []
    made._next_at = time.perf_counter() + 3600
    await asyncio.sleep(0.02)
    async with asyncio.timeout(10):
        await steps(made, "a", log, 1)
    assert log
    assert not looks


async def test_a_stop_ends_all_rests(monkeypatch):
    monkeypatch.setattr(courtesy, "_LOOK_S", 3600)
    made, log = Courtesy(lambda: False), []
    made._busy, made._next_at = True, time.perf_counter() + 3600
    waiting = asyncio.create_task(steps(made, "a", log, 1))
    await asyncio.sleep(0)
    made.stop()
    async with asyncio.timeout(10):
        await waiting
    assert log


async def test_busy_is_what_the_thread_itself_uses(monkeypatch):
    monkeypatch.setattr(courtesy, "_BUSY", 0.05)  # also beside others that want the processor
    made = Courtesy(lambda: False)
    await asyncio.sleep(0.3)
    assert not made.busy
    burn(0.2)
    assert made.busy


async def test_busy_is_also_when_more_waits_to_be_stored_than_a_transaction_takes(monkeypatch):
    monkeypatch.setattr(courtesy, "_LOOK_S", 0)
    monkeypatch.setattr(courtesy, "_BUSY", 10)
    waiting = [False, True]
    made = Courtesy(lambda: waiting.pop(0))
    assert not made.busy
    assert made.busy


async def test_while_a_question_is_answered_no_step_begins(monkeypatch):
    monkeypatch.setattr(courtesy, "_MOST_PATIENT_S", 3600)
    made, log = Courtesy(lambda: False), []
    with made.answering():
        waiting = asyncio.create_task(steps(made, "a", log, 1))
        with made.answering():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
        assert not log  # one of the two is still answered
    async with asyncio.timeout(10):
        await waiting
    assert log


async def test_a_question_that_takes_long_is_not_waited_for_to_its_end(monkeypatch):
    monkeypatch.setattr(courtesy, "_MOST_PATIENT_S", 0.05)
    made, log = Courtesy(lambda: False), []
    with made.answering():
        async with asyncio.timeout(10):
            await steps(made, "a", log, 2)
    assert len(log) == 4


async def test_a_stop_waits_for_no_answer(monkeypatch):
    monkeypatch.setattr(courtesy, "_MOST_PATIENT_S", 3600)
    made, log = Courtesy(lambda: False), []
    with made.answering():
        waiting = asyncio.create_task(steps(made, "a", log, 1))
        await asyncio.sleep(0)
        made.stop()
        async with asyncio.timeout(10):
            await waiting
            await steps(made, "b", log, 1)
    assert log
