"""Ids that grow with time."""

import time
import uuid

from hypothesis import given
from hypothesis import strategies as st

from collector import clock

MOMENTS = st.integers(0, 2**48 - 1)


@given(MOMENTS)
def test_an_id_is_a_uuid_of_version_7_that_holds_its_time(at_ms):
    made = uuid.UUID(clock.uuid7(at_ms))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == at_ms
    assert str(made) == clock.uuid7(at_ms)[:0] + str(made)


@given(MOMENTS, MOMENTS)
def test_ids_sort_as_their_times(first, second):
    if first < second:
        assert clock.uuid7(first) < clock.uuid7(second)


def test_ids_of_one_millisecond_differ():
    assert len({clock.uuid7(1) for _ in range(10_000)}) == 10_000


def test_now_is_in_milliseconds():
    before, now, after = time.time(), clock.now_ms(), time.time()

    assert int(before * 1000) <= now <= int(after * 1000) + 1
