"""Followers give way while ingest is at its peak: one step at a time, long rests."""

import asyncio
import time

from collector.workers import courtesy
from collector.workers.courtesy import Courtesy
from collector.workers.follow import Committed


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
    made, log = Courtesy(Committed()), []
    await asyncio.gather(steps(made, "a", log, 1), steps(made, "b", log, 1))
    assert [word for _, word in log] == ["begins", "begins", "ends", "ends"]


async def test_at_a_peak_one_after_the_other_in_turn(monkeypatch):
    monkeypatch.setattr(courtesy, "_LOOK_S", 3600)
    monkeypatch.setattr(courtesy, "_RESTS", 0)
    made, log = Courtesy(Committed()), []
    made._busy = True
    await asyncio.gather(steps(made, "a", log, 2), steps(made, "b", log, 2))
    assert [name for name, _ in log] == ["a", "a", "b", "b", "a", "a", "b", "b"]


async def test_after_a_step_at_a_peak_all_rest_many_times_as_long(monkeypatch):
    monkeypatch.setattr(courtesy, "_LOOK_S", 3600)
    made, log = Courtesy(Committed()), []
    made._busy = True
    await steps(made, "a", log, 1)
    started = time.perf_counter()
    await steps(made, "b", log, 1)
    assert time.perf_counter() - started > 0.15  # 20 times 10 ms and more


async def test_a_stop_ends_all_rests(monkeypatch):
    monkeypatch.setattr(courtesy, "_LOOK_S", 3600)
    made, log = Courtesy(Committed()), []
    made._busy, made._next_at = True, time.perf_counter() + 3600
    waiting = asyncio.create_task(steps(made, "a", log, 1))
    await asyncio.sleep(0)
    made.stop()
    async with asyncio.timeout(10):
        await waiting
    assert log


async def test_busy_is_a_thread_that_runs_while_events_come_in(monkeypatch):
    monkeypatch.setattr(courtesy, "_BUSY", 0.05)  # also beside others that want the processor
    monkeypatch.setattr(courtesy, "_COMING_IN", 1)
    committed = Committed(7)
    made = Courtesy(committed)
    await asyncio.sleep(0.15)
    burn(0.2)
    assert not made.busy
    await asyncio.sleep(0.15)
    burn(0.2)
    committed.advance(5_000)
    assert made.busy


def test_a_thread_that_waits_for_a_processor_wants_it():
    before, ran_before = courtesy.wanted_s(), time.thread_time()
    burn(0.05)
    assert courtesy.wanted_s() - before > 0.9 * (time.thread_time() - ran_before)
