"""`collector tail`, `stats` and `rejected`, beside a running collector."""

import asyncio
import functools
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from collector import import_doors
from collector.cli_forward import ask
from collector.cli_people import is_running
from collector.clock import iso
from collector.config import Config
from collector.errors import CollectorError
from collector.ingest.intake import Replayed
from collector.options import (
    Moment,
    config_option,
    data_option,
    database_of,
    json_option,
    load_config,
    reading,
    say_error,
    since_option,
    sites_option,
    types_option,
    until_option,
)
from collector.store import cursors, erase, exports, refusals, reports, rollups
from collector.store.database import read_site_keys
from collector.store.question import Question
from collector.store.reader import Reader
from collector.terminal import bar, colour, line, safe

T = TypeVar("T")
_LOOK_S = 0.25
_ROWS = 500
_SHOWN = 20
_COLOURS = {"page": "green", "screen": "green", "track": "cyan", "identify": "yellow"}
_HOUR, _DAY = 3_600_000, 86_400_000


@click.command(short_help="Show events as they arrive.")
@config_option
@data_option
@sites_option
@types_option
@click.option("--event", "events", multiple=True, help="Of this name; repeatable.")
@click.option("--user", help="Of this user or anonymous id.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="How many of those before.",
)
@click.option("--follow/--no-follow", default=True, help="Go on until Ctrl-C.")
@json_option
def tail(
    file: Path | None,
    data: str | None,
    sites: tuple[str, ...],
    types: tuple[str, ...],
    events: tuple[str, ...],
    user: str | None,
    lines: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Show events as they arrive, the last ones first of all.

    With --json each is a line as `collector export` writes it."""
    config = load_config(file, data=data)
    wanted = exports.Filter(sites=sites, types=types, events=events, user=user)
    form = "ndjson" if as_json else "brief"

    async def work(reader: Reader) -> None:
        if sites:
            _say_unknown(sites, config)
        rows, after = await reader.run(exports.latest, form, wanted, lines)
        _show(rows, as_json)
        while follow:
            last = await reader.run(erase.last_seq)
            while after < last:
                found = await reader.run(exports.portion, form, wanted, after, last, _ROWS)
                after = found.upto
                _show(found.rows, as_json)
            await asyncio.sleep(_LOOK_S)  # another process writes: nothing wakes this one

    _reading(config, work)


def _say_unknown(sites: tuple[str, ...], config: Config) -> None:
    """A site of earlier may have events, so it is no error."""
    known = {site.name for site in config.site}.union(
        read_site_keys(database_of(Path(config.data)))
    )
    for name in sorted(set(sites) - known):
        there = ", ".join(sorted(known))
        click.echo(f"--site: no site is called {name} now, there are: {there}", err=True)


def _show(rows: list[tuple[Any, ...]], as_json: bool) -> None:
    for row in rows:
        click.echo(row[0] if as_json else _brief(*row))
    if rows:
        sys.stdout.flush()


def _brief(
    received_at: int,
    site: str,
    kind: str,
    event: str | None,
    user_id: str | None,
    anonymous_id: str | None,
    path: str | None,
    bot: int | None,
    violations: str | None,
    properties: str | None,
) -> str:
    time = iso(received_at)[11:23]
    name = event or path or ""
    who = user_id or anonymous_id or "-"
    said = f"{colour(time, dim=True)} {safe(site)} {colour(f'{kind:8}', fg=_COLOURS.get(kind))} "
    said += f"{colour(safe(name), bold=True)} {safe(who)}"
    if event and path:
        said += f" {safe(path)}"
    if bot:
        said += colour(" bot", fg="magenta")
    if violations:
        said += colour(f" {safe(violations)}", fg="red")
    if properties and kind == "track":
        said += " " + colour(safe(properties[:200]), dim=True)
    return said


@click.command(short_help="Show visitors, views, events, purchases and leads.")
@config_option
@data_option
@click.option("--since", type=Moment(), default="7d", show_default=True, help="From then on.")
@until_option
@click.option("--site", help="Of this site [default: all].")
@click.option("--bots", is_flag=True, help="Known bots too.")
@click.option(
    "--top",
    type=click.IntRange(0, 100),
    default=8,
    show_default=True,
    help="How many pages, referrers and events.",
)
@json_option
def stats(
    file: Path | None,
    data: str | None,
    since: int,
    until: int | None,
    site: str | None,
    bots: bool,
    top: int,
    as_json: bool,
) -> None:
    """Show visitors, views, events, purchases and leads, with charts (hours or days, UTC)."""
    end = min(until or 2**62, int(time.time() * 1000) + 1)
    if since >= end:
        raise click.BadParameter("must be before --until", param_hint="--since")
    unit = _DAY if end - since > 3 * _DAY else _HOUR
    start = since // unit * unit
    bounds = [*range(start, end, unit), -(-end // unit) * unit]
    if len(bounds) > 1000:
        raise click.BadParameter("expected a range of at most 1000 days", param_hint="--since")
    question = Question(start, bounds[-1], site, bots=bots)
    config = load_config(file, data=data)
    if config.profile == "edge":
        say_error(CollectorError('profile: an "edge" counts nothing; ask the centre'))

    async def work(reader: Reader) -> None:
        behind = await reader.run(_behind)  # first: what is counted meanwhile is not told twice
        found = await reader.run(reports.totals, question)
        chart = await reader.run(reports.chart, question, bounds)
        lists = {
            name: await reader.run(reports.top, question, name, top)
            for name in ("path", "referrer", "event")
        }
        if as_json:
            said = {"totals": found, "bounds": bounds, "chart": chart, "top": lists}
            click.echo(msgspec.json.encode(said | {"uncounted_events": behind}))
        else:
            click.echo("\n".join(_told(question, unit, bounds, found, chart, lists, behind)))

    _reading(config, work)


def _behind(connection: Any) -> int:
    return erase.last_seq(connection) - cursors.position(connection, rollups.CURSOR)


def _told(
    question: Question,
    unit: int,
    bounds: list[int],
    found: dict[str, Any],
    chart: dict[str, list[int]],
    lists: dict[str, list[dict[str, Any]]],
    behind: int,
) -> list[str]:
    places = "%Y-%m-%d" if unit == _DAY else "%Y-%m-%d %H:%M"
    first, last = (
        datetime.fromtimestamp(at / 1000, UTC).strftime(places)
        for at in (bounds[0], bounds[-1] - 1)
    )
    whose = safe(question.site or "all sites") + ("" if question.bots else ", without known bots")
    said = [colour(f"{whose}, {first} to {last} (UTC)", bold=True)]
    step = "day" if unit == _DAY else "hour"
    for name in ("visitors", "views", "events"):
        said.append(f"  {name:9} {found[name]:>12,}  {line(chart[name])}  a {step}")
    said.append(f"  {'leads':9} {found['leads']:>12,}")
    said.append(f"  {'purchases':9} {found['purchases']:>12,}")
    for money in found["revenue"]:
        said.append(f"  {safe(money['currency'] or 'currency?'):9} {money['micros'] / 1e6:>12,.2f}")
    for name, title in (("path", "pages"), ("referrer", "from"), ("event", "events")):
        said += _bars(title, lists[name])
    if behind:
        said.append(f"{behind:,} newest events are not counted yet")
    return said


def _bars(title: str, rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    width = shutil.get_terminal_size((80, 24)).columns
    label = min(40, max(len(safe(row["value"])) for row in rows), width // 2)
    most = rows[0]["count"]
    said = [colour(title, bold=True)]
    for row in rows:
        text = safe(row["value"] or "(none)")
        text = text if len(text) <= label else text[: label - 1] + "…"
        drawn = colour(bar(row["count"], most, max(5, width - label - 18)), fg="blue")
        said.append(f"  {text:{label}} {row['count']:>12,}  {drawn}")
    return said


@click.group()
def rejected() -> None:
    """What was refused, and why."""


def _of_refusals(command: Callable[..., None]) -> Callable[..., None]:
    """The settings, and which refused events are meant."""

    @config_option
    @data_option
    @sites_option
    @click.option("--code", "codes", multiple=True, help="As invalid_event; repeatable.")
    @since_option
    @until_option
    @functools.wraps(command)
    def told(
        file: Path | None,
        data: str | None,
        sites: tuple[str, ...],
        codes: tuple[str, ...],
        since: int | None,
        until: int | None,
        **more: Any,
    ) -> None:
        wanted = refusals.Refusals(since, until, sites, codes)
        command(load_config(file, data=data), wanted, **more)

    return told


@rejected.command(name="list")
@_of_refusals
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest.")
@click.option("--body", is_flag=True, help="With what was sent.")
@json_option
def list_(config: Config, wanted: refusals.Refusals, limit: int, body: bool, as_json: bool) -> None:
    """Show refused events, the newest last."""

    async def work(reader: Reader) -> None:
        counts = await reader.run(refusals.counts, wanted)
        for row in reversed(await reader.run(refusals.newest, wanted, limit)):
            text = bytes(row["body"]).decode("utf-8", "replace")
            if as_json:
                click.echo(msgspec.json.encode(row | {"body": text}))
                continue
            at, why = iso(row["received_at"]), colour(row["code"], fg="red")
            click.echo(f"{at} {safe(row['site'])} {row['status']} {why} {safe(row['message'])}")
            if body:
                click.echo(colour(f"    {safe(text)}", dim=True))
        if not as_json:
            said = ", ".join(f"{count:,} {safe(code)}" for code, count in counts.items())
            click.echo(f"Refused: {said or 'none'}.", err=True)

    _reading(config, work)


@rejected.command()
@_of_refusals
@json_option
def replay(config: Config, wanted: refusals.Refusals, as_json: bool) -> None:
    """Try again what was refused, as after a limit was raised.

    What is stored now goes from the list; what is refused again stays. Ends with 1 when some
    stay."""
    try:
        done = _replayed(config, wanted)
    except CollectorError as error:
        say_error(error)
    if as_json:
        click.echo(msgspec.json.encode(done))
    else:
        click.echo(f"{done.stored:,} are stored now, {len(done.refused):,} are refused again.")
        for row, why in done.refused[:_SHOWN]:
            click.echo(f"  {row}: {safe(why)}")
    raise SystemExit(1 if done.refused else 0)


def _replayed(config: Config, wanted: refusals.Refusals) -> Replayed:
    if is_running(config):
        body = msgspec.json.encode(wanted)
        said = ask(config, "POST", "/api/rejected/replay", body, timeout_s=3600)
        return msgspec.json.decode(said, type=Replayed)

    async def alone() -> Replayed:
        async with import_doors.files(config) as (door, _, _):
            return await door.replay(wanted)

    return asyncio.run(alone())


def _reading(config: Config, work: Callable[[Reader], Awaitable[T]]) -> T:
    async def run() -> T:
        async with reading(config) as reader:
            return await work(reader)

    try:
        return asyncio.run(run())
    except CollectorError as error:
        say_error(error)
    except (KeyboardInterrupt, BrokenPipeError):  # broken off, or who reads has enough
        raise SystemExit(0) from None
