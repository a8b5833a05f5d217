"""A data folder that was restored or copied counts on with numbers that are taken."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Collector
from tests.forward.conftest import EDGE_KEY, Pair, until
from tests.forward.test_status import command

Fill = Callable[..., Awaitable[list[str]]]


def quick(edge: Collector) -> dict[str, Any]:
    return dict(edge.settings["forward"][0]) | {"audit_s": 0.05}


async def new_node(edge: Collector) -> tuple[int, str]:
    config = edge.data.with_name("new-node.toml")
    to = edge.settings["forward"][0]
    config.write_text(f'[[forward]]\nname = "centre"\nurl = "{to["url"]}"\nkey = "{to["key"]}"\n')
    return await command(edge, "new-node", "--config", str(config), beside=False)


async def denial(edge: Collector) -> str:
    forwarder = edge.app.forwarding.forwarders[0]
    await until(lambda: forwarder.denied is not None)
    return forwarder.denied or ""


async def test_a_restored_edge_is_noticed_and_named(
    pair: Pair, fill: Fill, caplog: pytest.LogCaptureFixture
) -> None:
    await pair.start()
    await fill(pair.edge, 20)
    await pair.delivered(20)
    await pair.edge.stop()
    backup = pair.edge.data.with_name("backup")
    shutil.copytree(pair.edge.data, backup)
    await pair.edge.start(**pair.edge.settings)
    await fill(pair.edge, 20, first=100)
    await pair.delivered(40)
    await pair.edge.stop()
    shutil.rmtree(pair.edge.data)
    backup.rename(pair.edge.data)
    await pair.edge.start(**pair.edge.settings)
    await fill(pair.edge, 5, first=200)
    said = await denial(pair.edge)
    assert "fra-1 was restored or cloned" in said
    at_the_centre = [r.getMessage() for r in caplog.records if r.name.endswith("workers.writer")]
    assert "fra-1 was restored or cloned" in at_the_centre[0]
    assert len(pair.centre.ids()) == 40
    assert len(pair.edge.ids()) == 25, "nothing of it is lost"
    assert "`collector forward new-node`" in said
    code, words = await new_node(pair.edge)
    assert (code, "another collector runs" in words) == (2, True)
    await pair.edge.stop()
    code, words = await new_node(pair.edge)
    assert (code, "5 events that wait" in words) == (0, True)
    await pair.edge.start(**pair.edge.settings | {"forward": [quick(pair.edge)]})
    await fill(pair.edge, 3, first=300)
    await pair.delivered(48)
    assert len({row["node_id"] for row in pair.centre.rows()}) == 2
    auditor = pair.edge.app.forwarding.auditors["centre"]
    await until(lambda: auditor.total.upto == 28)
    assert auditor.total.lost == 0


async def test_a_copy_under_another_key_is_named(
    pair: Pair, fill: Fill, tmp_path: Path, make_collector: Callable[[Path], Collector]
) -> None:
    second = {"name": "fra-2", "key": "ek_of_the_tests_0002"}
    await pair.start_centre(edge=[{"name": "fra-1", "key": EDGE_KEY}, second])
    await pair.start_edge()
    await fill(pair.edge, 10)
    await pair.delivered(10)
    await pair.edge.stop()
    shutil.copytree(pair.edge.data, tmp_path / "copy")
    copy = make_collector(tmp_path / "copy")
    to = dict(pair.edge.settings["forward"][0]) | {"key": second["key"]}
    await copy.start(forward=[to])
    await fill(copy, 1, first=50)
    said = await denial(copy)
    assert "belongs to edge fra-1: the data folder of fra-2 is a copy" in said
    assert len(pair.centre.ids()) == 10


async def test_the_same_event_by_way_of_two_edges_is_stored_once(
    pair: Pair, fill: Fill, tmp_path: Path, make_collector: Callable[[Path], Collector]
) -> None:
    await pair.start()
    other = make_collector(tmp_path / "other")
    await other.start(forward=pair.edge.settings["forward"])
    await fill(pair.edge, 10)
    await pair.delivered(10)
    await fill(other, 11)
    await pair.delivered(11)
    assert len(pair.centre.ids()) == 11
    absent = pair.centre.rows("SELECT * FROM absent_numbers")
    assert {row["why"] for row in absent} == {"duplicate"}
    assert len(absent) == 10
