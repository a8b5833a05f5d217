"""`collector forward …`: asks the running collector, through its admin listener."""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import click
import msgspec

from collector.admin.auth import token_file
from collector.config import Config, split_listen
from collector.errors import CollectorError
from collector.forwarding import describe
from collector.options import (
    config_option,
    data_option,
    database_of,
    json_option,
    load_config,
    say_error,
)
from collector.store import database as db
from collector.store import nodes
from collector.store.log import claim
from collector.upstream.clickhouse import schema as tables
from collector.workers.forwarder import Status

_admin_option = click.option(
    "--admin", metavar="HOST:PORT", help="The admin listener [default: admin.listen]."
)


@click.group(short_help="How far each upstream is; sending again.")
def forward() -> None:
    """Each upstream's lag, last error and next try; sending again from an earlier point."""


@forward.command()
@config_option
@data_option
@_admin_option
@json_option
def status(file: Path | None, data: str | None, admin: str | None, as_json: bool) -> None:
    """Show each upstream's lag, last error and next try."""
    config = load_config(file, data=data, admin__listen=admin)
    body = ask(config, "GET", "/api/forward")
    if as_json:
        click.echo(body)
        return
    statuses = msgspec.json.decode(body, type=list[Status])
    if not statuses:
        click.echo("No upstream is configured ([[forward]] in the settings).")
    for shown in statuses:
        if shown.state == "removed":
            click.echo(f"{shown.name} {describe(shown)}")
            continue
        click.echo(f"{shown.name} ({shown.kind} {shown.to}): {describe(shown)}")
        click.echo(
            f"  at event {shown.cursor:,}; since the start {shown.forwarded_events:,} delivered, "
            f"{shown.refused_events:,} refused, {shown.retries:,} tries repeated"
        )
        if shown.last_error and shown.last_error_at:
            click.echo(f"  last error {_ago(shown.last_error_at)}: {shown.last_error}")
        if shown.next_try_at:
            click.echo(f"  next try in {max(0.0, shown.next_try_at - time.time()):.0f} s")


@forward.command()
@config_option
@data_option
@_admin_option
@click.argument("name")
@click.option("--to", help="A time, as 2026-01-31T12:00:00Z; without zone it is UTC.")
@click.option("--seq", type=click.IntRange(0), help="The number of the last event to leave out.")
@json_option
def rewind(
    file: Path | None,
    data: str | None,
    admin: str | None,
    name: str,
    to: str | None,
    seq: int | None,
    as_json: bool,
) -> None:
    """Send again to upstream NAME what came since a time or a number.

    A collector whose edge this is takes only what it does not have."""
    config = load_config(file, data=data, admin__listen=admin)
    if (to is None) == (seq is None):
        say_error(CollectorError("one of --to and --seq is needed"))
    wanted = {"seq": seq} if to is None else {"time": _milliseconds(to)}
    body = ask(config, "POST", f"/api/forward/{name}/rewind", msgspec.json.encode(wanted))
    if as_json:
        click.echo(body)
        return
    click.echo(f"{name} goes on after event {msgspec.json.decode(body)['seq']:,}")


@forward.command()
@config_option
@data_option
@_admin_option
@click.argument("name")
def drop(file: Path | None, data: str | None, admin: str | None, name: str) -> None:
    """Let go of upstream NAME, which the settings no longer name.

    Until then no event that it lacks expires, so that it may come back."""
    config = load_config(file, data=data, admin__listen=admin)
    ask(config, "POST", f"/api/forward/{name}/drop", b"")
    click.echo(f"nothing is kept for {name} any more")


@forward.command("new-node")
@config_option
@data_option
def new_node(file: Path | None, data: str | None) -> None:
    """Give a restored or cloned data folder a node id of its own.

    For an edge that its centre refuses with `node_conflict`; the collector has to be stopped.
    Events that the centre lacks are counted under the new id; those that the folder's other copy
    has delivered meanwhile are known at the centre by message id, within its window."""
    config = load_config(file, data=data)
    try:
        new, count = asyncio.run(_new_node(config))
    except CollectorError as error:
        say_error(error)
    click.echo(f"This is node {new} now; {count:,} events that wait go under that name.")


async def _new_node(config: Config) -> tuple[str, int]:
    path = database_of(Path(config.data))
    mark = claim(path.parent)
    try:
        database = await db.open_database(path, "full", config.store.checkpoint_pages)
        try:
            centres = [upstream.name for upstream in config.forward if upstream.is_centre]
            new, start = await database.run(nodes.begin, centres)
            after: int | None = start
            while after is not None:
                after = await database.run(nodes.relabel, new, after)
            await database.run(nodes.finish, new)
            return new, await database.run(nodes.behind, start)
        finally:
            await database.close()
    finally:
        os.close(mark)


def _milliseconds(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        say_error(CollectorError(f"--to: expected a time as 2026-01-31T12:00:00Z, got {text!r}"))
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _ago(at: float) -> str:
    return f"{max(0.0, time.time() - at):,.0f} s ago"


def ask(
    config: Config, method: str, path: str, body: bytes | None = None, timeout_s: float = 30
) -> bytes:
    """What the running collector answers on its admin listener; ends with an error otherwise."""
    host, port = split_listen(config.admin.listen)
    headers = {"Authorization": f"Bearer {admin_token(config)}"}
    connection = HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        said = response.read()
    except (OSError, HTTPException) as error:
        say_error(CollectorError(f"no collector answers at {config.admin.listen}: {error}"))
    finally:
        connection.close()
    if response.status != 200:
        say_error(CollectorError(message_of(said) or f"answered {response.status}"))
    return said


def admin_token(config: Config) -> str:
    if config.admin.token:
        return config.admin.token
    path = token_file(Path(config.data))
    try:
        return path.read_text("ascii").strip()
    except OSError as error:
        say_error(CollectorError(f"{path}: {error.strerror}: has `collector serve` been run?"))


def message_of(said: bytes) -> str:
    try:
        value: Any = msgspec.json.decode(said)
    except msgspec.DecodeError:
        return ""
    return str(value.get("message", "")) if isinstance(value, dict) else ""


@click.command(short_help="Compare this edge with its centre: is anything lost?")
@config_option
@data_option
@_admin_option
@click.argument("name", required=False)
@json_option
def audit(
    file: Path | None, data: str | None, admin: str | None, name: str | None, as_json: bool
) -> None:
    """Compare this edge with its centre, range by range: is anything lost on the way?

    NAME: the upstream [default: each that is a centre]. Exits with 1 when something is lost."""
    config = load_config(file, data=data, admin__listen=admin)
    centres = [f.name for f in config.forward if f.is_centre]
    lost = 0
    for upstream in [name] if name else centres:
        total = _audit(config, upstream)
        lost += total["lost"]
        click.echo(msgspec.json.encode(total) if as_json else _verdict(upstream, total))
    if not name and not centres:
        click.echo("No upstream is a centre ([[forward]] with a key ek_…).")
    raise SystemExit(1 if lost else 0)


def _audit(config: Config, upstream: str) -> dict[str, Any]:
    total: dict[str, Any] = {"upstream": upstream, "events": 0, "lost": 0, "expired": 0}
    total |= {"missing": [], "known": {}}
    after, done = 0, False
    while not done:
        asked = msgspec.json.encode({"after": after})
        found = msgspec.json.decode(ask(config, "POST", f"/api/forward/{upstream}/audit", asked))
        for field in ("events", "lost", "expired"):
            total[field] += found[field]
        for why, count in found["known"].items():
            total["known"][why] = total["known"].get(why, 0) + count
        total["missing"] += found["missing"]
        after, done = found["upto"], found["done"]
        if sys.stderr.isatty():
            click.echo(f"\r  compared up to event {after:,}", err=True, nl=done)
    return total


def _verdict(upstream: str, total: dict[str, Any]) -> str:
    said = f"{upstream}: lost {total['lost']:,} of {total['events']:,} events"
    if total["expired"]:
        said += f"; {total['expired']:,} numbers have expired here and cannot be compared"
    for why, count in sorted(total["known"].items()):
        said += f"; {count:,} absent at the centre: {why}"
    for first, last in total["missing"]:
        said += f"\n  missing: {first}" + (f" to {last}" if last > first else "")
    return said


@click.group()
def schema() -> None:
    """Print the tables that an upstream needs."""


@schema.command()
@click.option("--database", default="default", show_default=True)
@click.option("--table", default="events", show_default=True)
@click.option(
    "--months", type=click.IntRange(1), default=25, show_default=True, help="Kept so long."
)
def clickhouse(database: str, table: str, months: int) -> None:
    """Print the statements that make ClickHouse's table and view."""
    click.echo(tables(database, table, months), nl=False)
