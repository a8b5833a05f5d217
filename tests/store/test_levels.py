"""Of what units a range is made."""

import pytest

from collector.store.levels import OF_CELLS, pieces, units
from collector.store.sums import DAY, HOUR, MONTH, WEEK

SPANS = [(0, 1), (5, 9000), (3071, 3073), (100, 100), (7, 40_000)]


def covered(found):
    slots = []
    for level, first, end in found:
        assert first % level == end % level == 0
        slots += range(first, end)
    return sorted(slots)


@pytest.mark.parametrize("span", SPANS)
def test_a_range_of_slots_is_whole_pieces_and_nothing_twice(span):
    assert covered(pieces(*span, (1, HOUR, DAY))) == list(range(*span))


@pytest.mark.parametrize("span", SPANS)
def test_so_it_is_where_some_months_are_added_up(span):
    months = {MONTH, 2 * MONTH, 5 * MONTH}
    found = list(units(*span, (1, DAY), months, OF_CELLS))
    assert covered(found) == list(range(*span))
    for level, first, end in found:
        if level in OF_CELLS:
            assert {slot // MONTH * MONTH for slot in range(first, end)} <= months


def test_a_month_begun_is_hours_days_weeks():
    found = list(units(MONTH + 3, 3 * MONTH, (1, DAY), {MONTH, 2 * MONTH}, OF_CELLS))
    assert found == [
        (1, MONTH + 3, MONTH + HOUR),
        (HOUR, MONTH + HOUR, MONTH + DAY),
        (DAY, MONTH + DAY, MONTH + WEEK),
        (WEEK, MONTH + WEEK, 2 * MONTH),
        (MONTH, 2 * MONTH, 3 * MONTH),
    ]
