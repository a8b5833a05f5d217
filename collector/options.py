"""What the commands share: options, settings, how an error is said.

Every command ends with 0 when all is well, 1 when it has found what it looks for to be amiss
(lines refused, a damaged file, events lost), 2 when it could not do its work.
"""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from collector.app import DATABASE
from collector.audience.define import define
from collector.config import Config
from collector.errors import CollectorError
from collector.event import TYPES
from collector.settings import load
from collector.store.reader import Reader

config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    envvar="COLLECTOR_CONFIG",
    help="Settings file (TOML); docs/CONFIG.md lists the settings.",
)
data_option = click.option(
    "--data", type=click.Path(), help="Folder that holds collector.db [default: data]."
)


NO_DATABASE = "{}: there is no database: has `collector serve` been run?"


def say_error(error: Exception) -> NoReturn:
    click.echo(f"Error: {error}", err=True)
    raise SystemExit(2)


def read_config(file: Path | None, **flags: Any) -> Config:
    """Raises ConfigError."""
    config = load(file, flags={name.replace("__", "."): value for name, value in flags.items()})
    define(config.audience)  # the rules, whose errors have their paths
    return config


def database_of(folder: Path) -> Path:
    """The database in a data folder. Raises CollectorError where there is none."""
    path = folder / DATABASE
    if not path.exists():
        raise CollectorError(NO_DATABASE.format(path))
    return path


@asynccontextmanager
async def reading(config: Config) -> AsyncIterator[Reader]:
    """Looks at the database, beside a running collector too. Raises CollectorError."""
    reader = await Reader.open(database_of(Path(config.data)))
    try:
        yield reader
    finally:
        await reader.close()


def load_config(file: Path | None, **flags: Any) -> Config:
    try:
        return read_config(file, **flags)
    except CollectorError as error:
        say_error(error)


_AGO = re.compile(r"(\d{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions
    """A time in milliseconds since 1970: a date or time (without zone: UTC), or how long ago."""

    name = "time"

    def convert(self, value: Any, param: Any, context: Any) -> int:
        ago = _AGO.fullmatch(value)
        if ago:
            return int((time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1000)
        try:
            at = datetime.fromisoformat(value)
            return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, OverflowError):
            self.fail(f"expected a time as 2026-01-31, 2026-01-31T12:00:00Z or 7d, got {value!r}")


json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
since_option = click.option(
    "--since", type=Moment(), help="From then on: 2026-01-31, 2026-01-31T12:00:00Z, or 7d ago."
)
until_option = click.option("--until", type=Moment(), help="Up to then, that moment left out.")
sites_option = click.option("--site", "sites", multiple=True, help="Of this site; repeatable.")
types_option = click.option(
    "--type",
    "types",
    multiple=True,
    type=click.Choice(sorted(TYPES)),
    help="Of this type; repeatable.",
)
