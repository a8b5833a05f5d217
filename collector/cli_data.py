"""`collector export` and `collector import`."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO

import click
import msgspec

from collector import import_doors
from collector.app import DATABASE
from collector.cli_people import is_running
from collector.config import Config
from collector.errors import CollectorError
from collector.exporting import Csv, Parquet, draft, ndjson, output, portions
from collector.importing import Import, Lines, Parser, Summary, form_of, open_file
from collector.ingest.sites import Sites
from collector.options import (
    config_option,
    data_option,
    json_option,
    load_config,
    reading,
    say_error,
    since_option,
    sites_option,
    types_option,
    until_option,
)
from collector.progress import Progress
from collector.store import database as db
from collector.store.exports import Filter
from collector.store.reader import Reader
from collector.wire.access_log import FORMATS
from collector.wire.access_log import Reader as AccessLog

_SHOWN = 20
_FORMS = {"ndjson": "ndjson", "csv": "csv", "parquet": "record"}
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress, no summary.")


@click.command(short_help="Write events as NDJSON, CSV or Parquet.")
@config_option
@data_option
@click.argument("to", default="-")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMS)),
    help="ndjson: whole, `import` reads it back; csv: for spreadsheets; parquet: needs duckdb "
    "[default: by the file's name, else ndjson].",
)
@since_option
@until_option
@sites_option
@types_option
@quiet_option
def export(
    file: Path | None,
    data: str | None,
    to: str,
    form: str | None,
    since: int | None,
    until: int | None,
    sites: tuple[str, ...],
    types: tuple[str, ...],
    quiet: bool,
) -> None:
    """Write events to the file TO [default: -, standard output], beside a running collector too.

    A name that ends in .gz is packed. Progress goes to standard error."""
    config = load_config(file, data=data)
    wanted = Filter(since, until, sites, types)
    shown = Progress("events", quiet)
    try:
        count = asyncio.run(_export(config, to, form or _form_by(to), wanted, shown))
    except CollectorError as error:
        shown.end()
        say_error(error)
    except BrokenPipeError:  # who reads has enough
        raise SystemExit(1) from None
    shown.end()
    if not quiet:
        click.echo(
            f"{count:,} events written in {shown.seconds:,.1f} s ({shown.rate(count):,.0f}/s)",
            err=True,
        )


def _form_by(path: str) -> str:
    suffix = Path(path.removesuffix(".gz")).suffix[1:]
    return suffix if suffix in _FORMS else "ndjson"


async def _export(config: Config, to: str, form: str, wanted: Filter, shown: Progress) -> int:
    async with reading(config) as reader:
        if form != "parquet":
            with output(to) as file:
                return await _write(reader, form, file, wanted, shown)
        if to == "-":
            raise CollectorError("Parquet goes to a file: its end is written first of all it has")
        with draft(Path(to)) as part, Parquet(part) as file:
            return await _write(reader, form, file, wanted, shown)


async def _write(reader: Reader, form: str, file: BinaryIO, wanted: Filter, shown: Progress) -> int:
    encode: Callable[[Any], bytes] = Csv() if form == "csv" else ndjson
    count = 0
    if form == "csv":
        file.write(encode([]))
    async for rows in portions(reader, _FORMS[form], wanted, shown):
        file.write(encode(rows))
        count += len(rows)
    return count


@click.command(name="import", short_help="Bring in an export, calls of Segment, or access logs.")
@config_option
@data_option
@click.argument("source", default="-")
@click.option(
    "--format",
    "form",
    type=click.Choice(["export", "segment", *FORMATS]),
    help="export: what `export` wrote; segment: a call or a batch a line; nginx, apache "
    "(`combined`), caddy: access logs [default: by the first line].",
)
@click.option("--site", help="Whose the events are [default: the only site]; an export tells.")
@click.option("--url", help="Where the pages of an access log are [default: the site's origin].")
@click.option("--skip", multiple=True, help="Paths that are no page, as /api/*; repeatable.")
@click.option("--again", is_flag=True, help="From the beginning, whatever was imported of it.")
@click.option(
    "--refused", "refused_file", type=click.File("w"), help="A file for all refused lines, and why."
)
@click.option("--admin", metavar="HOST:PORT", help="The admin listener [default: admin.listen].")
@json_option
@quiet_option
def import_(
    file: Path | None,
    data: str | None,
    source: str,
    form: str | None,
    site: str | None,
    url: str | None,
    skip: tuple[str, ...],
    again: bool,
    refused_file: IO[str] | None,
    admin: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Bring in events from the file SOURCE [default: -, standard input]; .gz is unpacked.

    Through the running collector, or into the files of a stopped one. The same command goes on
    where it was broken off. Ends with 1 when lines were refused."""
    config = load_config(file, data=data, admin__listen=admin)
    shown = Progress("lines", quiet)
    job = _Job(source, form, site, url, skip, again, refused_file, shown)
    try:
        make_folder(config)
        summary, stored = asyncio.run(job.run(config))
    except CollectorError as error:
        shown.end()
        say_error(error)
    except KeyboardInterrupt:
        shown.end()
        click.echo("Broken off: the same command goes on from here.", err=True)
        raise SystemExit(2) from None
    shown.end()
    if as_json:
        fields = msgspec.structs.asdict(summary) | {"stored": stored, "seconds": shown.seconds}
        click.echo(msgspec.json.encode(fields))
    elif not quiet:
        click.echo(_told(summary, stored, shown), err=True)
    raise SystemExit(1 if summary.refused else 0)


class _Job(msgspec.Struct):
    """What the command was told."""

    source: str
    form: str | None
    site: str | None
    url: str | None
    skip: tuple[str, ...]
    again: bool
    refused_file: IO[str] | None
    shown: Progress
    refusals: int = 0

    async def run(self, config: Config) -> tuple[Summary, int | None]:
        """The summary, and how many events are new, where that is known."""
        with contextlib.closing(open_file(self.source)) as file:
            if is_running(config):
                sites = _sites(config)
                with contextlib.closing(import_doors.Running(config)) as door:
                    return await self._into(door, sites, config, file), None
            async with import_doors.files(config) as (door, metrics, sites):
                summary = await self._into(door, sites, config, file)
                return summary, metrics.stored_events

    async def _into(self, door: Any, sites: Sites, config: Config, file: BinaryIO) -> Summary:
        lines = Lines(file)
        form = self.form or form_of(lines.first())
        site = _site_of(sites, self.site) if form != "export" else None
        job = Import(lines, door, self._refuse, self._show)
        salt = await job.begin(form, site.name if site else "", self.again)
        log = None
        if form in FORMATS and site is not None:
            gifs = frozenset({config.http.gif_path, "/c.gif", "/pixel.gif"})
            origin = self.url or next(iter(sorted(site.origins)), None)
            log = AccessLog(
                form,
                frozenset(site.keys),
                gifs,
                origin.rstrip("/") if origin else None,
                bytes.fromhex(salt),
                config.limits,
                self.skip,
            )
        return await job.run(Parser(form, config.limits, log), growing=log is not None)

    def _refuse(self, number: int, why: str) -> None:
        said = f"line {number}: {why}"
        if self.refused_file is not None:
            self.refused_file.write(said + "\n")
            return
        self.refusals += 1
        if self.refusals <= _SHOWN:
            self.shown.end()
            click.echo(said, err=True)
        elif self.refusals == _SHOWN + 1:
            click.echo("further refused lines are counted; --refused FILE has all", err=True)

    def _show(self, summary: Summary, place: int) -> None:
        share = None
        if self.source != "-" and not self.source.endswith(".gz"):
            share = place / max(1, Path(self.source).stat().st_size)
        self.shown(summary.lines - summary.before, share)


def _sites(config: Config) -> Sites:
    """As the running collector has them."""
    made = db.read_site_keys(Path(config.data) / DATABASE)
    unknown = [name for name in Sites.without_key(config.site) if name not in made]
    if unknown:
        raise CollectorError(f"site {unknown[0]} is not known to the running collector")
    return Sites(config.site, made)


def make_folder(config: Config) -> None:
    try:
        Path(config.data).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CollectorError(f"data: {config.data}: {error.strerror}") from None


def _site_of(sites: Sites, name: str | None) -> Any:
    if name is None and len(sites.all) == 1:
        return sites.all[0]
    found = {site.name: site for site in sites.all}
    if name not in found:
        raise CollectorError(f"--site: expected one of {', '.join(found)}")
    return found[name]


def _told(summary: Summary, stored: int | None, shown: Progress) -> str:
    read = summary.lines - summary.before
    said = f"{read:,} lines read in {shown.seconds:,.1f} s ({shown.rate(read):,.0f}/s)"
    if summary.before:
        said += f", after {summary.before:,} that were imported before"
    said += f"\n  {summary.accepted:,} events are in the log"
    if stored is not None:
        said += f": {stored:,} new, {summary.accepted - stored:,} were there"
    for count, what in (
        (summary.skipped, "lines of no page and no pixel"),
        (summary.declined, "events of people who were forgotten or said no: left out"),
        (summary.refused, "refused"),
    ):
        said += f"\n  {count:,} {what}" if count else ""
    for why, count in summary.reasons.most_common(10):
        said += f"\n    {count:,} × {why}"
    return said
