"""A follower does its steps in order, tries again what failed, and ends between two steps."""

import asyncio

from collector.errors import StoreUnavailable
from collector.workers.follow import Committed, Follower


class Steps:
    """Remembers its calls; fails as often as told."""

    def __init__(self, failures: int = 0, size: int = 10) -> None:
        self.calls: list[tuple[int, int]] = []
        self.failures = failures
        self.size = size

    async def __call__(self, after: int, last_seq: int) -> int:
        self.calls.append((after, last_seq))
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("disk full")
        return min(last_seq, after + self.size)


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def test_works_through_what_is_there_in_steps():
    steps = Steps()
    follower = Follower("test", steps, Committed(25), 0)
    follower.start()
    await until(lambda: follower.lag == 0)
    await follower.stop()
    assert steps.calls == [(0, 25), (10, 25), (20, 25)]


async def test_waits_for_news_and_begins_where_its_cursor_stands():
    committed, steps = Committed(5), Steps()
    follower = Follower("test", steps, committed, 5)
    follower.start()
    await asyncio.sleep(0.01)
    assert steps.calls == []
    committed.advance(7)
    await until(lambda: follower.position == 7)
    assert steps.calls == [(5, 7)]
    await follower.stop()


async def test_tries_again_and_says_what_is_wrong_meanwhile():
    steps = Steps(failures=2)
    follower = Follower("test", steps, Committed(3), 0)
    follower.start()
    await until(lambda: follower.failure is not None)
    assert follower.failure == "disk full"
    assert follower.lag == 3
    await until(lambda: follower.position == 3)
    assert follower.failure is None
    assert steps.calls == [(0, 3)] * 3
    await follower.stop()


async def test_stop_waits_for_the_step_and_begins_no_other():
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def step(after: int, last_seq: int) -> int:
        begun.set()
        await go_on.wait()
        return after + 1

    follower = Follower("test", step, Committed(9), 0)
    follower.start()
    await begun.wait()
    stop = asyncio.create_task(follower.stop())
    await asyncio.sleep(0.01)
    assert not stop.done()
    go_on.set()
    await stop
    assert follower.position == 1


async def test_unexpected_error_is_shown_and_the_step_repeated(caplog):
    calls = 0

    async def step(after: int, last_seq: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("oh")
        return last_seq

    follower = Follower("test", step, Committed(1), 0)
    follower.start()
    await until(lambda: follower.position == 1)
    await follower.stop()
    assert "test failed at event 0" in caplog.text


async def test_writer_tells_followers_what_is_on_disk(desk):
    desk.submit("one", "a", "b")
    assert await desk.writer.committed.beyond(1) == 2
    assert await desk.ids() == ["a", "b"]
