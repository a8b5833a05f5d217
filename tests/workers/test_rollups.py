"""Whoever counts for the dashboard lets those go first who tell who enters an audience."""

import asyncio

from collector.wire.visit import Places
from collector.workers import rollups
from collector.workers.courtesy import Courtesy
from collector.workers.rollups import Rollups


class Waits:
    """How long was rested, and how far behind the others are after each rest."""

    def __init__(self, *lags):
        self.lags, self.rests = list(lags), []

    def lag(self):
        return self.lags[0]

    async def rest(self, seconds):
        self.rests.append(seconds)
        self.lags.pop(0)


def made(waits):
    courtesy = Courtesy(lambda: False)
    step = Rollups(None, None, Places(""), courtesy, waits.lag)
    step.rest = waits.rest
    return step, courtesy


async def test_it_waits_until_the_others_have_caught_up():
    waits = Waits(90_000, 50_000, 10)
    step, _ = made(waits)
    await step._let_others_go_first()
    assert len(waits.rests) == 2


async def test_it_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(rollups, "_MOST_PATIENT_S", -1.0)
    waits = Waits(90_000)
    step, _ = made(waits)
    await step._let_others_go_first()
    assert waits.rests == []


async def test_a_stop_ends_the_wait():
    """The follower's rests end at once then: the wait must not become a busy loop."""
    waits = Waits(90_000, 90_000)
    step, courtesy = made(waits)
    courtesy.stop()
    async with asyncio.timeout(5):
        await step._let_others_go_first()
    assert waits.rests == []
