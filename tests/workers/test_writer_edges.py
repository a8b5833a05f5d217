"""What edges forward: requests of one edge share a commit, and are still told apart."""

import msgspec
import pytest

from collector.config import Store as Settings
from collector.errors import Conflict
from collector.metrics import Metrics
from collector.store import database as db
from collector.store.edges import open_edges
from collector.store.log import claim, open_log
from collector.workers.writer import Writer
from tests.workers.conftest import Desk, make_event


@pytest.fixture
async def desk(tmp_path):
    """Its writer is not started yet: what is submitted first waits together."""
    mark = claim(tmp_path)
    database = await db.open_database(tmp_path / "collector.db", "full", 4000)
    metrics = Metrics()
    log = await open_log(database, mark, 100_000, 100)
    edges = await open_edges(database, log, frozenset({"fra"}))
    writer = Writer(log, Settings(), metrics, lambda seconds: None, edges)
    yield Desk(writer, database, metrics)
    await writer.stop()
    await database.close()


def forward(desk: Desk, name: str, *numbers: int, node: str = "n", by: str = "m", pad: str = ""):
    events = [
        make_event(f"{by}-{n}", anonymous_id="same", properties='{ "a":1.50 }', node_id=node)
        for n in numbers
    ]
    events = [msgspec.structs.replace(e, node_seq=n) for e, n in zip(events, numbers, strict=True)]
    text = pad + msgspec.json.encode(events).decode() + pad

    def done(error: Exception | None) -> None:
        assert name not in desk.answers
        desk.answers[name] = error

    desk.writer.submit(events, [], 10, done, None, lambda error: error, "fra", text)


async def test_requests_that_wait_share_a_commit_and_are_stored_as_they_came(desk: Desk) -> None:
    forward(desk, "first", 1, 2, pad=" \n")
    forward(desk, "second", 3)
    desk.writer.start()
    await desk.until("first", "second")
    assert desk.answers == {"first": None, "second": None}
    assert desk.metrics.commits == 1
    rows = await desk.sql("SELECT message_id, node_id, node_seq, properties FROM events")
    assert rows == [(f"m-{n}", "n", n, '{ "a":1.50 }') for n in (1, 2, 3)]


async def test_the_same_request_twice_is_stored_once(desk: Desk) -> None:
    forward(desk, "first", 1, 2)
    forward(desk, "again", 1, 2)
    desk.writer.start()
    await desk.until("first", "again")
    assert await desk.ids() == ["m-1", "m-2"]
    assert desk.writer.buffered_events == 0
    assert await desk.sql("SELECT * FROM absent_numbers") == []


async def test_a_clones_request_does_not_take_its_neighbours_along(desk: Desk) -> None:
    forward(desk, "sound", 1, 2)
    forward(desk, "other node", 1, node="other", by="o")
    forward(desk, "clone", 2, by="clone")
    forward(desk, "sound too", 3)
    desk.writer.start()
    await desk.until("sound", "other node", "clone", "sound too")
    assert isinstance(desk.answers.pop("clone"), Conflict)
    assert set(desk.answers.values()) == {None}
    assert await desk.ids() == ["m-1", "m-2", "o-1", "m-3"]
    assert (desk.writer.waiting, desk.writer.buffered_bytes) == (0, 0)


async def test_a_row_that_cannot_be_stored_leaves_its_neighbours(desk: Desk) -> None:
    await desk.sql(
        "CREATE TRIGGER no BEFORE INSERT ON events WHEN new.message_id = 'm-2' "
        "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    )
    forward(desk, "first", 1, 2)
    forward(desk, "second", 3)
    desk.writer.start()
    await desk.until("first", "second")
    assert await desk.ids() == ["m-1", "m-3"]
    assert await desk.sql("SELECT why, first_number FROM absent_numbers") == [("rejected", 2)]
