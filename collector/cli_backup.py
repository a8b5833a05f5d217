"""`collector backup` and `collector verify`."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import msgspec

from collector.app import DATABASE
from collector.clock import iso
from collector.errors import CollectorError
from collector.exporting import draft
from collector.options import (
    config_option,
    data_option,
    database_of,
    json_option,
    load_config,
    say_error,
)
from collector.progress import Progress
from collector.store import backup as store
from collector.store.suppressed import FILE as FORGOTTEN
from collector.workers.retention import SNAPSHOT


@click.command(short_help="Copy the database of a running collector.")
@config_option
@data_option
@click.argument("to", type=click.Path(path_type=Path, file_okay=False))
@json_option
@click.option("--quiet", "-q", is_flag=True, help="No progress, no summary.")
def backup(file: Path | None, data: str | None, to: Path, as_json: bool, quiet: bool) -> None:
    """Copy the database of a running or stopped collector into the folder TO.

    All that was acknowledged before the command began is in it. `collector verify` looks at it."""
    folder = Path(load_config(file, data=data).data)
    shown = Progress("bytes", quiet)
    try:
        last_seq = _copy_all(folder, to, shown)
    except OSError as error:
        shown.end()
        say_error(CollectorError(f"{to}: {error.strerror}"))
    except CollectorError as error:
        shown.end()
        say_error(error)
    shown.end()
    size = (to / DATABASE).stat().st_size
    said = {"file": str(to / DATABASE), "last_seq": last_seq, "bytes": size}
    if as_json:
        click.echo(msgspec.json.encode(said | {"seconds": shown.seconds}))
    elif not quiet:
        click.echo(
            f"{to / DATABASE}: {size:,} bytes up to event {last_seq:,} in {shown.seconds:,.1f} s",
            err=True,
        )


def _copy_all(folder: Path, to: Path, shown: Progress) -> int:
    """The database first: what retention moves meanwhile from it to the snapshot is in both."""
    path = database_of(folder)
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    if to.resolve() == folder.resolve():
        raise CollectorError(f"{to}: is the folder of the database itself")
    last_seq = _copy(path, to / DATABASE, shown)
    if (folder / SNAPSHOT).exists():
        _copy(folder / SNAPSHOT, to / SNAPSHOT, shown)
    if (folder / FORGOTTEN).exists():
        with draft(to / FORGOTTEN) as part:
            shutil.copyfile(folder / FORGOTTEN, part)
    return last_seq


def _copy(source: Path, target: Path, shown: Progress) -> int:
    size = source.stat().st_size
    with draft(target) as part, ThreadPoolExecutor(1, initializer=store.give_way) as thread:
        show = lambda share: shown(int(size * share), share)  # noqa: E731
        return thread.submit(store.copy, source, part, show).result()


@click.command(short_help="Look through a copy: sound or damaged, and what is in it.")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@json_option
def verify(file: Path, as_json: bool) -> None:
    """Look through the database FILE, or the one in that folder: is it sound, what is in it?

    Ends with 0 when it is sound, 1 when it is damaged, 2 when it is no database of a collector."""
    file = file / DATABASE if file.is_dir() else file
    try:
        found = store.verify(file)
    except CollectorError as error:
        say_error(error)
    if as_json:
        said = {"file": str(file), "sound": not found.wrong, **_fields(found)}
        click.echo(msgspec.json.encode(said))
    else:
        click.echo(_told(file, found))
    raise SystemExit(1 if found.wrong else 0)


def _fields(found: store.Found) -> dict[str, object]:
    contents = found.contents
    return {"wrong": found.wrong} | (msgspec.structs.asdict(contents) if contents else {})


def _told(file: Path, found: store.Found) -> str:
    lines = [f"{file}: DAMAGED" if found.wrong else f"{file}: sound"]
    lines += [f"  {line}" for line in found.wrong]
    contents = found.contents
    if contents is not None:
        lines.append(f"  node {contents.node_id}, schema {contents.schema}")
        lines.append(f"  high-water mark: event {contents.last_seq:,}")
        lines += [f"  {count:,} {name}" for name, count in contents.counts.items()]
        if contents.first_received_at is not None and contents.last_received_at is not None:
            times = iso(contents.first_received_at), iso(contents.last_received_at)
            lines.append(f"  received from {times[0]} to {times[1]}")
    return "\n".join(lines)
