"""`collector forget`, `access` and `rebuild`: on a stopped collector at its files, else through
the running one."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from collector.app import DATABASE
from collector.cli_forward import ask
from collector.config import Config
from collector.errors import CollectorError
from collector.ingest.sites import DEFAULT_SITE
from collector.options import (
    NO_DATABASE,
    config_option,
    data_option,
    database_of,
    json_option,
    load_config,
    reading,
    say_error,
)
from collector.persons import Persons
from collector.store import cursors, erase, people, visits
from collector.store import database as db
from collector.store.log import claim
from collector.store.reader import Reader
from collector.store.suppressed import Suppressed
from collector.upstream.table import erases
from collector.workers.erasure import Finder, Report, as_line, named

T = TypeVar("T")
_whom = [
    config_option,
    data_option,
    click.option("--user", help="A user id."),
    click.option("--anonymous", help="An anonymous id."),
    click.option("--email", help="An e-mail address."),
    click.option("--site", help="The site [default: all that know the name]."),
]


def _of_person(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_whom):
        command = option(command)
    return command


@click.command(short_help="Erase a person everywhere, and prove it.")
@_of_person
@click.option("--lift", is_flag=True, help="Let the name be recorded again; erases nothing.")
@json_option
def forget(
    file: Path | None,
    data: str | None,
    user: str | None,
    anonymous: str | None,
    email: str | None,
    site: str | None,
    lift: bool,
    as_json: bool,
) -> None:
    """Erase a person everywhere, keep it from coming back, and prove it."""
    config = load_config(file, data=data)
    try:
        kind, value = named(user, anonymous, email)
        if lift:
            _lift(config, kind, value, site, as_json)
            return
        report = _forget(config, {"user": user, "anonymous": anonymous, "email": email}, site)
    except CollectorError as error:
        say_error(error)
    if as_json:
        click.echo(msgspec.json.encode(report))
        sys.exit(1 if report.found_in else 0)
    _show(config, report)


def _forget(config: Config, name: dict[str, str | None], site: str | None) -> Report:
    async def alone(persons: Persons) -> Report:
        await _catch_up(persons)
        return await persons.forget(name["user"], name["anonymous"], name["email"], site)

    if is_running(config):
        body = msgspec.json.encode({**name, "site": site})
        said = ask(config, "POST", "/api/forget", body, timeout_s=3600)
        return msgspec.json.decode(said, type=Report)
    return asyncio.run(_alone(config, alone))


def _show(config: Config, report: Report) -> None:
    click.echo(f"{report.people} people, {report.names} names (ids and addresses)")
    for table, count in report.removed.items():
        click.echo(f"  removed: {count:,} {table}")
    for upstream in config.forward:
        if erases(upstream):
            click.echo(f"  {upstream.name} is told: `collector forward status` says whether it was")
        else:
            click.echo(f"  was forwarded to {upstream.name} ({upstream.kind}): to be erased there")
    if report.found_in:
        click.echo(f"NOT gone from: {', '.join(report.found_in)}")
        sys.exit(1)
    if report.searched_for:
        count = report.searched_for
        click.echo(f"Searched every file in {config.data}: {count} names, none found.")
    else:
        click.echo("The files were not searched: such a name is found in much that is not of it.")


def _lift(config: Config, kind: str, value: str, site: str | None, as_json: bool) -> None:
    if is_running(config):
        raise CollectorError("--lift: stop the collector first")
    suppressed = Suppressed(Path(config.data))
    sites = [site] if site else _sites(config)
    lifted = suppressed.lift((name, kind, value) for name in sites)
    click.echo(f'{{"lifted":{lifted}}}' if as_json else f"{lifted} names may be recorded again")


@click.command(short_help="Print all that is stored of a person.")
@_of_person
@json_option
def access(
    file: Path | None,
    data: str | None,
    user: str | None,
    anonymous: str | None,
    email: str | None,
    site: str | None,
    as_json: bool,
) -> None:
    """Print all that is stored of a person, a JSON object a row (with and without --json)."""
    config = load_config(file, data=data)

    async def show(finder: Finder) -> None:
        kind, value = named(user, anonymous, email)
        target = await finder.find(kind, value, [site] if site else _sites(config))
        found = 0
        async for table, row in finder.access(target):
            click.echo(as_line(table, row))
            found += 1
        if not found:
            click.echo(f"Nothing is stored of {kind} {value!r}.", err=True)

    try:
        asyncio.run(_reading(config, show))
    except CollectorError as error:
        say_error(error)


@click.command()
@config_option
@data_option
@json_option
def rebuild(file: Path | None, data: str | None, as_json: bool) -> None:
    """Make people, purchases and leads anew from the log."""
    config = load_config(file, data=data)
    try:
        if is_running(config):
            answer = ask(config, "POST", "/api/rebuild", b"", timeout_s=600)
            said = msgspec.json.decode(answer)
            if as_json:
                click.echo(answer)
                return
            click.echo(f"The running collector makes them anew from {said['events']:,} events;")
            click.echo("collector_projector_lag_events on /metrics tells how far it is.")
            return
        count = asyncio.run(_alone(config, _rebuild))
    except CollectorError as error:
        say_error(error)
    click.echo(f'{{"events":{count}}}' if as_json else f"Made anew from {count:,} events.")


async def _rebuild(persons: Persons) -> int:
    await persons.rebuild()
    return await _catch_up(persons, show=True)


async def _catch_up(persons: Persons, show: bool = False) -> int:
    """Project what is left of the log; returns the number of the last event."""
    reader, projector = persons.reader, persons.projector
    position = await reader.run(cursors.position, people.CURSOR)
    last = await reader.run(erase.last_seq)
    with click.progressbar(length=last - position, label="Projecting", hidden=not show) as bar:
        while position < last:
            moved = await projector(position, last)
            bar.update(moved - position)
            position = moved
    seen = await reader.run(cursors.position, visits.CURSOR)
    while seen < last:
        seen = await persons.visits(seen, last)
    return last


async def _alone(config: Config, work: Callable[[Persons], Awaitable[T]]) -> T:
    """`work` on the files of a collector that does not run."""
    folder = Path(config.data)
    path = database_of(folder)
    mark = claim(folder)
    try:
        store = config.store
        database = await db.open_database(path, store.durability, store.checkpoint_pages)
        reader = await Reader.open(path)
        try:
            persons = Persons(config, _sites(config), database, reader, folder)
            try:
                return await work(persons)
            finally:
                await persons.close()
        finally:
            await reader.close()
            await database.close()
    finally:
        os.close(mark)


async def _reading(config: Config, work: Callable[[Finder], Awaitable[T]]) -> T:
    """`work` that only reads, beside a running collector or none."""
    async with reading(config) as reader:
        return await work(Finder(reader))


def is_running(config: Config) -> bool:
    try:
        os.close(claim(Path(config.data)))
    except CollectorError:
        return True
    except FileNotFoundError:
        raise CollectorError(NO_DATABASE.format(Path(config.data) / DATABASE)) from None
    except OSError as error:
        raise CollectorError(f"data: {config.data}: {error.strerror}") from None
    return False


def _sites(config: Config) -> list[str]:
    return [site.name for site in config.site] or [DEFAULT_SITE]
