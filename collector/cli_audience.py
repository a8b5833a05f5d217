"""`collector audience …`: reads the database beside the running collector."""

import asyncio
import sys
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from collector.audience.define import one
from collector.audience.layouts import LAYOUTS, Person, write
from collector.clock import iso, now_ms
from collector.config import Config
from collector.errors import CollectorError
from collector.membership import exported
from collector.options import (
    config_option,
    data_option,
    json_option,
    load_config,
    reading,
    say_error,
)
from collector.store import histories, members, saved
from collector.store.reader import Reader
from collector.workers.preview import preview as previewed

Work = Callable[[Reader], Coroutine[Any, Any, None]]


@click.group(short_help="Who belongs to which audience; a rule tried on a past day.")
def audience() -> None:
    """Who belongs to which audience; files of members; a rule tried on any past day."""


@audience.command(name="list")
@config_option
@data_option
@json_option
def list_(file: Path | None, data: str | None, as_json: bool) -> None:
    """Show the audiences and how many belong to each."""

    async def work(reader: Reader) -> None:
        found = await reader.run(members.summaries)
        if as_json:
            click.echo(msgspec.json.encode(found))
            return
        if not found:
            click.echo("No audience: none in the settings ([[audience]]), none saved.")
        for shown in found:
            state = "" if shown.evaluated_at else " (not yet evaluated over all of history)"
            click.echo(f"{shown.name}: {shown.members:,}{state}")

    _run(load_config(file, data=data), work)


@audience.command(name="members")
@config_option
@data_option
@click.argument("name")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@json_option
def show_members(file: Path | None, data: str | None, name: str, limit: int, as_json: bool) -> None:
    """Show members of NAME: person, user id, e-mail, since when."""

    async def work(reader: Reader) -> None:
        left = limit
        async for portion in _members(reader, name, None):
            for person in portion[:left]:
                if as_json:
                    click.echo(msgspec.json.encode(msgspec.structs.asdict(person)))
                    continue
                known = person.user_id or "-", person.email or "-"
                click.echo(f"{person.person_id}  {known[0]}  {known[1]}  {iso(person.entered_at)}")
            left -= len(portion)
            if left <= 0:
                return

    _run(load_config(file, data=data), work)


@audience.command()
@config_option
@data_option
@click.argument("name")
@click.option(
    "--layout",
    type=click.Choice(list(LAYOUTS)),
    default="plain",
    show_default=True,
    help="google, meta: hashed addresses for Customer Match and custom audiences, of those only "
    "who agreed and send no privacy signal.",
)
@click.option("--output", type=click.Path(path_type=Path), help="A file [default: the terminal].")
def export(
    file: Path | None, data: str | None, name: str, layout: str, output: Path | None
) -> None:
    """Write the members of NAME as CSV, without those who refused."""

    async def work(reader: Reader) -> None:
        chosen = LAYOUTS[layout]
        people = [p async for part in _members(reader, name, chosen.policy) for p in part]
        if output is None:
            _write(sys.stdout, layout, people)
            return
        with output.open("w", encoding="utf-8", newline="") as to:
            _write(to, layout, people)
        click.echo(f"{output}: {len(people):,} of those who may be in it", err=True)

    _run(load_config(file, data=data), work)


@audience.command()
@config_option
@data_option
@click.argument("name", required=False)
@click.option("--rule", "rule_file", type=click.Path(path_type=Path), help="A rule, TOML or JSON.")
@click.option("--at", help="The moment, as 2026-01-31 or with a time; UTC [default: now].")
@click.option("--site", default="", help="People of this site only.")
@json_option
def preview(
    file: Path | None,
    data: str | None,
    name: str | None,
    rule_file: Path | None,
    at: str | None,
    site: str,
    as_json: bool,
) -> None:
    """Try audience NAME, or a rule from a file, as of any past moment."""
    config = load_config(file, data=data)
    if (name is None) == (rule_file is None):
        say_error(CollectorError("one of NAME and --rule is needed"))

    async def work(reader: Reader) -> None:
        rule = {"audience": name} if rule_file is None else _read(rule_file)
        kept = {a.name: a for a in await reader.run(saved.saved)}
        node = one(rule, {**kept, **{a.name: a for a in config.audience}}.values())
        moment = now_ms() if at is None else _milliseconds(at)
        most = config.evaluation.history_events
        looked = belonged = 0
        examples: list[int] = []
        async for people, found in previewed(reader, node, moment, site, most):
            looked, belonged = looked + people, belonged + len(found)
            examples += found[: 10 - len(examples)]
            if sys.stderr.isatty():
                click.echo(f"\r{looked:,} people", nl=False, err=True)
        if as_json:
            said = {"at": moment, "people": looked, "members": belonged, "examples": examples}
            click.echo(msgspec.json.encode(said))
            return
        click.echo(f"At {iso(moment)} {belonged:,} of {looked:,} people belonged.")
        profiles = await reader.run(histories.profiles, examples) if examples else []
        for profile in profiles:
            click.echo(f"  {profile.person:016x}  {profile.email or '-'}")

    _run(config, work)


def _read(path: Path) -> Any:
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            return msgspec.json.decode(text)
        found = tomllib.loads(text)
        return found.get("rule", found)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise CollectorError(f"--rule: {path}: {error}") from None


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CollectorError(f"--at: expected a date as 2026-01-31, got {text!r}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


async def _members(reader: Reader, name: str, policy: Any) -> AsyncIterator[list[Person]]:
    known = [summary.name for summary in await reader.run(members.summaries)]
    if name not in known:
        raise CollectorError(f"there is no audience {name!r}; known: {', '.join(known) or 'none'}")
    async for portion in exported(reader, name, policy):
        yield portion


def _write(to: IO[str], layout: str, people: list[Person]) -> None:
    for line in write(LAYOUTS[layout], people):
        to.write(line)


def _run(config: Config, work: Work) -> None:
    async def run() -> None:
        async with reading(config) as reader:
            await work(reader)

    try:
        asyncio.run(run())
    except CollectorError as error:
        say_error(error)
