"""When people were last seen: written later than the rest, and the same in the end."""

import pytest

from collector.store import visits
from tests.workers.people import make_event, world

HOUR = 3_600_000


@pytest.fixture
async def log(tmp_path):
    async with world(tmp_path / "data") as made:
        yield made


async def last_seen(log):
    rows = await log.sql("SELECT value, k.last_seen / 3600000 FROM person_keys AS k ORDER BY 1")
    return dict(rows)


async def of_people(log):
    return dict(await log.sql("SELECT coalesce(user_id, id), last_seen / 3600000 FROM people"))


async def test_a_visit_is_the_hour_of_the_newest_event_of_each_id(log):
    await log.tell(make_event("m1", anonymous_id="v", timestamp=5 * HOUR + 1))
    await log.tell(make_event("m2", anonymous_id="v", user_id="u", timestamp=9 * HOUR + 7))
    await log.tell(make_event("m3", anonymous_id="v", timestamp=7 * HOUR))
    assert await last_seen(log) == {"u": 9, "v": 9}
    assert await of_people(log) == {"u": 9}


async def test_a_time_before_1970_belongs_to_the_hour_that_had_begun(log):
    await log.tell(make_event("m1", user_id="u", timestamp=-5 * HOUR))
    await log.tell(make_event("m2", user_id="u", timestamp=-HOUR - 1))
    assert await last_seen(log) == {"u": -2}


async def test_ids_under_which_nothing_is_filed_are_seen_as_well(log):
    """The address beside a user id, and the former id of an alias."""
    lead = {"event": "Lead", "user_id": "u", "properties": '{"email":"ada@example.com"}'}
    await log.tell(make_event("m1", timestamp=HOUR, **lead))
    await log.tell(make_event("m2", timestamp=3 * HOUR, **lead))
    alias = {"type": "alias", "user_id": "u", "previous_id": "old"}
    await log.tell(make_event("m3", timestamp=4 * HOUR, **alias))
    await log.tell(make_event("m4", timestamp=6 * HOUR, **alias))
    seen = await last_seen(log)
    assert (seen["ada@example.com"], seen["old"], seen["u"]) == (3, 6, 6)


async def test_what_is_written_twice_or_late_changes_nothing(log):
    await log.tell(*(make_event(f"m{n}", anonymous_id=f"v{n}", timestamp=HOUR) for n in range(9)))
    await log.tell(*(make_event(f"n{n}", anonymous_id=f"v{n}", timestamp=8 * HOUR)
                     for n in range(9)))  # fmt: skip
    before = await log.tables()
    await log.database.run(visits.put, [(n, 0) for (n,) in await log.sql(
        "SELECT number FROM person_keys")], None)  # fmt: skip
    assert await log.visits(0, log.position) == log.position
    assert await log.tables() == before


async def test_a_visit_whose_id_has_found_its_user_meanwhile_counts_for_the_user(log):
    await log.tell(make_event("m1", anonymous_id="v", timestamp=HOUR))
    await log.log.append([make_event("m2", anonymous_id="v", timestamp=9 * HOUR)], [])
    log.position = await log.projector(log.position, log.log.last_seq)  # not yet written down
    await log.tell(make_event("m3", anonymous_id="v", user_id="u", timestamp=2 * HOUR))
    assert await of_people(log) == {"u": 9}


async def test_a_stop_waits_for_no_more_than_a_piece_and_the_rest_is_written_later(log):
    await log.tell(make_event("m1", user_id="u", timestamp=HOUR))
    await log.log.append([make_event("m2", user_id="u", timestamp=9 * HOUR)], [])
    log.position = await log.projector(log.position, log.log.last_seq)
    log.visits.leaving = True
    assert await log.visits(1, 2) == 1
    assert await of_people(log) == {"u": 1}
    log.visits.leaving = False
    assert await log.visits(1, 2) == 2
    assert await of_people(log) == {"u": 9}
