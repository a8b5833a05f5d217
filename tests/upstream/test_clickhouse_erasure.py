"""ClickHouse's engine forgets whom the collector forgets."""

from typing import Any

import pytest

from collector.fleet import Forward
from collector.upstream.clickhouse import ClickHouse as Upstream
from collector.upstream.sink import Name, Unwanted
from tests.conftest import Collector
from tests.upstream.conftest import ClickHouse, until

ADA = "ada.lovelace@example.com"
HOSTILE = "it's \\ (an) id') OR 1 = 1 --\n\t\\'"


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Tried", "messageId": f"m{number}"} | fields


async def serve(collector: Collector, url: str, *batch: dict[str, Any], **settings: Any) -> Any:
    to = {"name": "warehouse", "kind": "clickhouse", "url": url, "linger_s": 0.0, "retry_s": 0.1}
    await collector.start(forward=[to], **settings)
    await collector.post("/v1/batch", {"batch": list(batch)})
    return collector.app.forwarding.forwarders[0]


async def told(collector: Collector) -> None:
    await until(lambda: collector.app.forwarding.status()[0].erasures == 0)


async def ids(clickhouse: ClickHouse) -> list[str]:
    rows = await clickhouse.query("SELECT message_id FROM events FINAL ORDER BY message_id")
    return [row["message_id"] for row in rows]


STORY = (
    event(1, anonymousId="visitor-1815"),
    event(
        2, type="identify", anonymousId="visitor-1815", userId="user-1815", traits={"email": ADA}
    ),
    event(3, userId="user-1815"),
    event(4, userId="bob", properties={"whom": ADA.title()}, url="/?m=ada.lovelace%40example.com"),
    event(5, type="alias", userId="bob", previousId="visitor-1815"),
    event(6, anonymousId="visitor-of-bob"),
)


@pytest.mark.parametrize("profile", ["edge", "full"])
@pytest.mark.parametrize("whom", [("user-1815", None), (None, ADA)])
async def test_the_person_goes_and_others_keep_what_is_theirs(
    idle: Collector, clickhouse: ClickHouse, profile: str, whom: tuple[str | None, str | None]
) -> None:
    forwarder = await serve(idle, clickhouse.url, *STORY, profile=profile)
    await until(lambda: forwarder.status().lag_events == 0)
    await idle.app.persons.forget(whom[0], None, whom[1], None)
    await told(idle)
    assert await ids(clickhouse) == ["m4", "m6"]
    text = str(await clickhouse.query("SELECT * FROM events FINAL")).lower()
    for name in ("visitor-1815", "user-1815") + ((ADA,) if whom[1] else ()):
        assert name not in text


async def test_it_waits_for_a_server_that_is_down(idle: Collector, clickhouse: ClickHouse) -> None:
    forwarder = await serve(idle, clickhouse.url, *STORY)
    await until(lambda: forwarder.status().lag_events == 0)
    clickhouse.down = True
    await idle.app.persons.forget("user-1815", None, None, None)
    await until(lambda: idle.app.forwarding.status()[0].erasure_error is not None)
    await idle.restart()
    assert idle.app.forwarding.status()[0].erasures == 1
    clickhouse.down = False
    await told(idle)
    assert await ids(clickhouse) == ["m4", "m6"]


async def test_a_hostile_id_erases_its_own_events_alone(
    idle: Collector, clickhouse: ClickHouse
) -> None:
    other = event(2, userId="it", properties={"of": HOSTILE})
    forwarder = await serve(idle, clickhouse.url, event(1, userId=HOSTILE), other)
    await until(lambda: forwarder.status().lag_events == 0)
    names = [("shop", kind, HOSTILE) for kind in ("user", "anonymous", "email")]
    await forgets(clickhouse, [*names, ("shop", "email", ADA)])
    assert await ids(clickhouse) == ["m2"]


async def test_a_table_that_is_not_there_is_said(clickhouse: ClickHouse) -> None:
    with pytest.raises(Unwanted, match="no_such"):
        await forgets(clickhouse, [("shop", "user", "u")], table="no_such")


async def forgets(clickhouse: ClickHouse, names: list[Name], table: str = "events") -> None:
    upstream = Upstream(Forward(name="w", kind="clickhouse", url=clickhouse.url, table=table))
    try:
        await upstream.forget("e", names)
    finally:
        await upstream.close()
