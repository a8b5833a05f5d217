"""How fast who is who is worked out: the projector over a log that is there already, and its
longest step. In this process, with its own settings, no ingest beside it."""

import os
import shutil
import time
from typing import Any

import click
import uvloop

from bench.cli import Plan, bench
from bench.console import Progress
from bench.process import scratch_folder
from bench.result import Run
from bench.rooms import Stopwatch
from collector.app import DATABASE
from collector.config import People, Store
from collector.store.database import Database, open_database
from collector.store.log import claim
from collector.store.reader import Reader
from collector.workers.projector import Projector

# Of ten events of a visitor one is an identify of every tenth visitor, two in a hundred are
# purchases, one in a hundred is a lead. 5,000 events a second; the first tenth is all new visitors.
_FILL = """INSERT INTO events (message_id, site, type, event, user_id, anonymous_id, timestamp,
    received_at, url, path, properties, traits, context, user_agent, node_id, node_seq)
  WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2 - 1),
  e AS (SELECT i, (i * 7919 + i / ?3) % ?3 AS p, i * 2654435761 % 100 AS r,
    1700000000000 + i / 5 AS at FROM n)
  SELECT printf('m-%032d', i), 'shop',
    CASE WHEN p % 10 = 0 AND r < 30 THEN 'identify' WHEN r >= 97 THEN 'track' ELSE 'page' END,
    CASE WHEN p % 10 = 0 AND r < 30 THEN NULL WHEN r = 97 THEN 'Lead'
      WHEN r > 97 THEN 'Purchase Completed' END,
    iif(p % 10 = 0, 'user-' || p, NULL), printf('visitor-%024d', p), at, at,
    'https://shop.example/pricing', '/pricing',
    CASE WHEN r = 97 THEN json_object('email', 'lead' || p || '@shop.example')
      WHEN r > 97 THEN '{"total":119.85,"currency":"USD","order_id":"o' || i || '","products":'
        || '[{"product_id":"1","name":"Essentials Plan","price":19.95,"quantity":2}]}'
      ELSE '{"title":"Pricing and Plans","path":"/pricing"}' END,
    iif(p % 10 = 0 AND r < 30,
      json_object('email', 'user' || p || '@shop.example', 'plan', 'pro'), NULL),
    '{"page":{"url":"https://shop.example/pricing"},"locale":"en","timezone":"Europe/Berlin"}',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130 Safari/537.36', 'bench', i
  FROM e"""
_AT_ONCE = 500_000


@bench(
    click.option("--people", type=int, help="[default: 100,000; 1,000,000 with --full]"),
    click.option("--events", type=int, help="[default: 1,000,000; 10,000,000 with --full]"),
)
def people(plan: Plan) -> tuple[list[Run], dict[str, float]]:
    """The projector's rate, 1 million people and 10 million events with --full."""
    count = int(plan.own["people"] or plan.pick(500, 100_000, 1_000_000))
    events = int(plan.own["events"] or plan.pick(5_000, 1_000_000, 10_000_000))
    return uvloop.run(_measure(count, events))


async def _measure(count: int, events: int) -> tuple[list[Run], dict[str, float]]:
    folder = scratch_folder()
    mark = claim(folder)
    settings = Store()
    database = await open_database(folder / DATABASE, "full", settings.checkpoint_pages)
    reader = await Reader.open(folder / DATABASE, limit_s=600)
    try:
        progress = Progress(f"writing {events:,} events of {count:,} visitors", 0)
        for start in range(0, events, _AT_ONCE):
            await database.run(_fill, start, min(events, start + _AT_ONCE), count)
        progress.end("")
        return await _project(database, reader, count, events)
    finally:
        await reader.close()
        await database.close()
        os.close(mark)
        shutil.rmtree(folder, ignore_errors=True)


def _fill(connection: Any, start: int, end: int, count: int) -> None:
    connection.execute(_FILL, (start, end, count))


async def _project(
    database: Database, reader: Reader, count: int, events: int
) -> tuple[list[Run], dict[str, float]]:
    projector = Projector(reader, database, People())
    runs, steps, tenth = [], [], max(1, events // 10)
    at = 0
    for part in range(1, 11):
        progress = Progress(f"projecting up to {part * tenth:,}", 0)
        watch = Stopwatch()
        began = at
        with watch:
            while at < part * tenth:
                started = time.perf_counter()
                at = await projector(at, part * tenth)
                steps.append(time.perf_counter() - started)
        watch.events = at - began
        runs.append(watch.run("projector", "mixed", {"events_before": began}, progress))
    steps.sort()
    rates = [run.events_per_s for run in runs]
    return runs, {
        "people.last_tenth_events_per_s": rates[-1],
        "people.last_over_first": round(rates[-1] / max(1, rates[0]), 3),
        "people.step_p50_ms": round(steps[len(steps) // 2] * 1000, 2),
        "people.step_p99_ms": round(steps[len(steps) * 99 // 100] * 1000, 2),
        "people.rows": (await database.run(_counts))[0],
    }


def _counts(connection: Any) -> tuple[int]:
    return (int(connection.execute("SELECT count(*) FROM people").fetchone()[0]),)
