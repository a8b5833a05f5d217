"""What an edge took is at the centre, once, as it was, whatever happens in between."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import Collector
from tests.forward.conftest import Pair, until

Fill = Callable[..., Awaitable[list[str]]]
OWN = {"seq"}


def without(rows: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


async def test_the_centre_has_the_edges_rows_byte_for_byte(pair: Pair, fill: Fill) -> None:
    await pair.start()
    await fill(pair.edge, 1200)
    await pair.delivered(1200)
    there = sorted(pair.centre.rows(), key=lambda row: row["node_seq"])
    assert without(there, OWN) == without(pair.edge.rows(), OWN)


async def test_each_visitors_events_arrive_in_order(pair: Pair, fill: Fill) -> None:
    await pair.start_centre()
    await pair.edge.start()
    await fill(pair.edge, 3000)
    await pair.edge.stop()
    await pair.start_edge(batch_events=100)
    await pair.delivered(3000)
    last: dict[str, int] = {}
    for row in pair.centre.rows():
        assert row["node_seq"] > last.get(row["anonymous_id"], 0)
        last[row["anonymous_id"]] = row["node_seq"]


async def test_what_is_sent_again_at_any_age_adds_nothing(pair: Pair, fill: Fill) -> None:
    await pair.start_centre(**{"store.dedupe_ids": 1000})
    await pair.start_edge()
    await fill(pair.edge, 3000)
    await pair.delivered(3000)
    await pair.edge.stop()
    rewind(pair.edge)
    await pair.edge.start(**pair.edge.settings)
    await fill(pair.edge, 1, first=3000)
    await until(lambda: "m-3000" in pair.centre.ids())
    assert len(pair.centre.ids()) == 3001


async def test_a_centre_that_is_down_is_waited_for(pair: Pair, fill: Fill) -> None:
    await pair.start(retry_s=0.2)
    await fill(pair.edge, 100)
    await pair.delivered(100)
    port = pair.centre.port
    await pair.centre.stop()
    await fill(pair.edge, 100, first=100)
    forwarder = pair.edge.app.forwarding.forwarders[0]
    await until(lambda: forwarder.last_error is not None)
    assert (await pair.edge.get("/readyz"))[0] == 200
    await pair.start_centre(**{"http.listen": f"127.0.0.1:{port}"})
    await pair.delivered(200)
    await until(lambda: forwarder.status().state == "running")
    assert sorted(pair.centre.ids()) == sorted(pair.edge.ids())


def rewind(collector: Collector) -> None:
    from pysqlite3 import dbapi2 as sqlite

    connection = sqlite.connect(collector.data / "collector.db")
    connection.execute("DELETE FROM cursors")
    connection.commit()
    connection.close()
