"""Audiences at size: a shop's history of a million people, a new audience over all of it, and
how soon somebody is in while 5,000 events arrive a second."""

import asyncio
import contextlib
import random
import time
from pathlib import Path
from typing import Any

import aiohttp
import click
import msgspec

from bench import shop
from bench.cli import Plan, bench
from bench.console import Progress, say
from bench.process import KEY, Collector, scratch_folder
from bench.process import open_database as read_only
from bench.result import Run
from collector.app import DATABASE
from collector.people.identity import USER, number
from collector.store.database import open_database

_BATCH = 20
_PROBE = "saw-pricing"
_encode = msgspec.json.Encoder().encode


class Kept(Collector):
    """Leaves its folder where it is."""

    def __exit__(self, *_: object) -> None:
        self.stop()


@bench(
    click.option("--people", type=int, help="[default: 1,000,000; 2,000 with --quick]"),
    click.option("--events", type=int, help="[default: 10,000,000]"),
    click.option("--rate", type=int, default=5000, show_default=True, help="Events a second."),
    click.option(
        "--folder",
        help="Filled if it is not there, and kept, to measure in pieces.",
    ),
)
def audiences(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """20 audiences of a million people: full evaluation, and entering under load."""
    own = plan.own
    people = int(own["people"] or plan.pick(2000, 1_000_000))
    events = int(own["events"] or plan.pick(20_000, 10_000_000))
    folder = Path(own["folder"] or scratch_folder())
    if not (folder / DATABASE).exists():
        folder.mkdir(exist_ok=True)
        asyncio.run(empty(folder / DATABASE))
        shop.fill(folder / DATABASE, people, events)
    figures: dict[str, float] = {}
    defined = shop.audiences()
    with _serving(folder, defined[:-1]):
        figures["audiences.first_19_s"] = _evaluated(folder, len(defined) - 1)
    with _serving(folder, [*defined[1:-1], {**defined[0], "name": "new"}, *defined[-1:]]):
        figures["audiences.two_new_s"] = _evaluated(folder, len(defined))
    with _serving(folder, [*defined[1:-1], *defined[:1], *defined[-1:]]) as collector:
        figures["audiences.one_new_s"] = _evaluated(folder, len(defined))
        seconds = plan.pick(5, 60)
        waits = asyncio.run(_enter(collector, folder, people, own["rate"], seconds))
        figures |= _quantiles(waits)
    return [], figures


async def empty(path: Path) -> None:
    await (await open_database(path, "full", 2000)).close()


@contextlib.contextmanager
def _serving(folder: Path, defined: list[dict[str, Any]]) -> Any:
    file = folder / "collector.toml"
    file.write_text(settings(defined))
    with Kept({"COLLECTOR_CONFIG": str(file)}, folder) as collector:
        yield collector


def settings(defined: list[dict[str, Any]]) -> str:
    """The settings of these audiences."""
    return "\n".join(
        f'[[audience]]\nname = "{a["name"]}"\nrecord = false\nrule = {_toml(a["rule"])}'
        for a in defined
    )


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return _encode(value).decode()


def _ask(folder: Path, statement: str, *values: Any) -> list[Any]:
    with contextlib.closing(read_only(folder / DATABASE)) as connection:
        return list(connection.execute(statement, values).fetchall())


def _evaluated(folder: Path, count: int) -> float:
    """Seconds from the index's being complete until that many audiences are evaluated."""
    progress, begun = Progress(f"evaluating {count} audiences", 0), 0.0
    while True:
        behind = _ask(
            folder, "SELECT (SELECT max(seq) FROM events) - coalesce((SELECT seq FROM cursors "
            "WHERE name = 'audiences'), 0)"
        )[0][0]  # fmt: skip
        if not begun and not behind:
            begun = time.monotonic()
        done = _ask(folder, "SELECT count(*) FROM audiences WHERE evaluated_at IS NOT NULL")[0][0]
        if begun and done == count:
            break
        progress.tick()
        time.sleep(0.1)
    took = time.monotonic() - begun
    progress.end(f"{took:.1f} s")
    return round(took, 1)


async def _enter(
    collector: Collector, folder: Path, people: int, rate: int, seconds: float
) -> list[float]:
    """Milliseconds from sending a page view to being a member, of probes ten times a second."""
    chance, waits, done = random.Random(), list[float](), asyncio.Event()  # others at each run
    async with aiohttp.ClientSession() as session:

        async def post(batch: list[dict[str, Any]]) -> None:
            body = _encode({"writeKey": KEY, "batch": batch})
            async with session.post(f"{collector.url}/v1/batch", data=body) as answer:
                assert answer.status == 200, answer.status

        async def load() -> None:
            started, sent = time.monotonic(), 0
            running: set[asyncio.Task[None]] = set()
            while not done.is_set():
                batch = [_event(chance, people) for _ in range(_BATCH)]
                task = asyncio.create_task(post(batch))
                running.add(task)
                task.add_done_callback(running.discard)
                sent += _BATCH
                await asyncio.sleep(max(0.0, started + sent / rate - time.monotonic()))
            say(f"  {sent / (time.monotonic() - started):,.0f} events/s sent")
            await asyncio.gather(*running)

        async def probe(user: str) -> None:
            person = number(shop.SITE, USER, user)
            sent_at[person] = time.monotonic()
            path = {"path": "/pricing/probe"}
            await post([{"type": "page", "userId": user, "properties": path}])

        loading = asyncio.create_task(load())
        await asyncio.sleep(min(5.0, seconds / 2))
        stamp, sent_at, probes = int(time.time()), dict[int, float](), []
        looking = asyncio.create_task(_look(folder, sent_at, waits))
        for i in range(int(seconds * 10)):
            probes.append(asyncio.create_task(probe(f"probe-{stamp}-{i}")))
            await asyncio.sleep(0.1)
        await asyncio.gather(*probes)
        async with asyncio.timeout(120):
            while sent_at:
                await asyncio.sleep(0.05)
        looking.cancel()
        done.set()
        await loading
    return sorted(waits)


async def _look(folder: Path, sent_at: dict[int, float], waits: list[float]) -> None:
    """Take out who has become a member; one question each 10 ms, however many are waited for,
    so that looking costs what is measured as little as it can."""
    with contextlib.closing(read_only(folder / DATABASE)) as connection:
        while True:
            text = _encode(list(sent_at)).decode()
            for (person,) in connection.execute(_MEMBERS, (text, _PROBE)).fetchall():
                waits.append((time.monotonic() - sent_at.pop(person)) * 1000)
            await asyncio.sleep(0.01)


_MEMBERS = """SELECT s.person FROM json_each(?1) AS j CROSS JOIN audience_states AS s
  ON s.person = j.value AND s.audience = (SELECT number FROM audiences WHERE name = ?2)
  WHERE s.entered_at IS NOT NULL"""


def _event(chance: random.Random, people: int) -> dict[str, Any]:
    """As the history's: 70 % page views, drawn evenly over the people."""
    who, kind, part = chance.randrange(people), chance.randrange(100), chance.randrange(2000)
    ids = {"anonymousId": f"a{who}"} if who % 5 else {"userId": f"u{who}"}
    if kind < 70:
        path = f"/pricing/{part}" if part < 60 else f"/p/{part}"
        return {"type": "page", "properties": {"path": path}, **ids}
    name = "Product Viewed" if kind < 90 else "Signed Up" if kind < 93 else "Support Asked"
    if 93 <= kind < 98:
        order = {"total": part / 10, "currency": "EUR", "order_id": f"n{chance.random()}"}
        return {"type": "track", "event": "Order Completed", "properties": order, **ids}
    return {"type": "track", "event": name, "properties": {"product_id": str(part)}, **ids}


def _quantiles(waits: list[float]) -> dict[str, float]:
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        f"audiences.entering_{name}_ms": round(waits[min(len(waits) - 1, int(len(waits) * q))])
        for name, q in at.items()
    }
