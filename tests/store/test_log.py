"""Batches in, every event once within the window, over restarts and failures."""

import os

import pytest

from collector.errors import BadRow, CollectorError, StoreUnavailable
from collector.store import log as log_module
from collector.store.log import EventLog, claim


async def test_a_batch_is_stored_in_its_order_and_numbered(store, event):
    log = await store.open()

    done = await log.append([event("b"), event("a")], [])
    await log.append([event("c")], [])

    assert (done.stored, done.duplicates) == (2, 0)
    rows = await store.sql("SELECT seq, message_id, node_seq, node_id FROM events ORDER BY seq")
    assert [row[:3] for row in rows] == [(1, "b", 1), (2, "a", 2), (3, "c", 3)]
    assert len({row[3] for row in rows}) == 1
    assert log.last_seq == 3


async def test_every_column_comes_back_as_it_went_in(store, event):
    log = await store.open()
    texts = {
        "event": 'quotes " and \\ and 🛒',
        "user_id": "\x01\x7f\u2028",
        "anonymous_id": "007",
        "properties": '{"n":1.0,"big":9223372036854775807,"t":"\\u00e9"}',
        "context": '{"a":[null,true,1e-7]}',
        "title": "null",
        "url": "",
        "path": "1e5",
    }
    numbers = {"timestamp": -62_135_683_140_000, "sent_at": 2**63 - 1, "bot": 0, "trusted": 1}

    await log.append([event("m", **texts, **numbers)], [])

    columns = [*texts, *numbers]
    (row,) = await store.sql(f"SELECT {', '.join(columns)} FROM events")
    assert dict(zip(columns, row, strict=True)) == texts | numbers
    (kinds,) = await store.sql("SELECT typeof(anonymous_id), typeof(path), typeof(bot) FROM events")
    assert kinds == ("text", "text", "integer")
    assert await store.sql("SELECT count(*) FROM events WHERE traits IS NULL AND ip IS NULL") == [
        (1,)
    ]


async def test_an_edges_event_keeps_its_node_and_number(store, event):
    log = await store.open()

    await log.append([event("m", node_id="edge-1", node_seq=77)], [])

    assert await store.sql("SELECT seq, node_id, node_seq FROM events") == [(1, "edge-1", 77)]


async def test_the_same_id_twice_in_a_batch_is_stored_once(store, event):
    log = await store.open()

    done = await log.append([event("a"), event("b"), event("a"), event("a", site="other")], [])

    assert (done.stored, done.duplicates) == (3, 1)
    assert await store.ids() == ["a", "b", "a"]


async def test_refused_events_are_kept_up_to_the_cap_of_their_site(store, reject):
    log = await store.open(rejected_per_site=3)

    await log.append([], [reject("other", site="b")])
    done = await log.append([], [reject(str(n)) for n in range(5)])
    again = await log.append([], [reject("last")])

    assert (done.rejects_expired, again.rejects_expired) == (2, 1)
    assert await store.sql("SELECT site, message FROM rejected ORDER BY id") == [
        ("b", "other"),
        ("shop", "3"),
        ("shop", "4"),
        ("shop", "last"),
    ]


async def test_events_and_refused_are_one_transaction(store, event, reject):
    log = await store.open()
    await store.sql(
        "CREATE TRIGGER no BEFORE INSERT ON rejected BEGIN SELECT RAISE(ABORT, 'no'); END"
    )

    with pytest.raises(BadRow, match="no"):
        await log.append([event("a")], [reject("r")])

    assert await store.ids() == []
    assert (await log.append([event("a")], [])).stored == 1


async def test_a_text_that_is_no_text_is_a_bad_row(store, event):
    log = await store.open()

    with pytest.raises(BadRow):
        await log.append([event("a"), event("b", user_id="\ud800")], [])

    assert await store.ids() == []


async def test_another_writer_is_noticed_and_nothing_is_overwritten(store, event):
    log = await store.open()
    await log.append([event("a")], [])
    await store.sql("INSERT INTO events SELECT 2, * FROM (SELECT message_id || 'x', site, type, "
                    "event, user_id, anonymous_id, group_id, previous_id, timestamp, received_at, "
                    "sent_at, original_timestamp, url, path, title, referrer, properties, traits, "
                    "context, ip, user_agent, consent, trusted, bot, violations, node_id, node_seq "
                    "FROM events)")  # fmt: skip

    with pytest.raises(StoreUnavailable, match="another program wrote to events"):
        await log.append([event("b")], [])

    assert await store.ids() == ["a", "ax"]


async def test_a_mark_that_cannot_be_written_does_not_undo_a_commit(store, event):
    """The mark is a second opinion: when its disk is full, the events are stored all the same."""
    good = await store.open()
    full = os.open("/dev/full", os.O_RDWR)
    log = EventLog(store.database, "node", 0, good._seen, log_module.array("Q"), full, 100_000, 100)
    try:
        await log.append([event("a")], [])
        await log.append([event("b")], [])
    finally:
        os.close(full)

    assert await store.ids() == ["a", "b"]


def test_a_data_folder_has_one_collector(tmp_path):
    mark = claim(tmp_path)

    with pytest.raises(CollectorError, match="another collector runs on"):
        claim(tmp_path)

    os.close(mark)
    os.close(claim(tmp_path))


async def test_what_was_prepared_is_stored_like_any_other(store, event):
    log = await store.open()
    events = [event("a", user_id="u"), event("b", traits='{"x":1}'), event("c", node_id="n")]
    prepared = log.prepare(events)

    await log.append([event("before")], [])
    result = await log.insert(events, [], prepared=prepared)

    assert result.stored == 3
    found = await store.sql("SELECT seq, message_id, user_id, traits, node_id FROM events")
    assert found[1:] == [
        (2, "a", "u", None, log.node_id),
        (3, "b", None, '{"x":1}', log.node_id),
        (4, "c", None, None, "n"),
    ]


async def test_of_what_was_prepared_only_the_new_is_stored(store, event):
    log = await store.open()
    events = [event("a"), event("b"), event("a")]
    prepared = log.prepare(events)

    await log.append([event("b")], [])
    result = await log.insert(events, [], prepared=prepared)

    assert (result.stored, result.duplicates) == (1, 2)
    assert await store.ids() == ["b", "a"]


async def test_a_bad_row_cannot_be_prepared_and_is_told_in_its_turn(store, event):
    log = await store.open()

    assert log.prepare([event("a", user_id="\ud800")]) is None
