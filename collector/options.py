"""What the commands share: options, settings, how an error is said."""

from pathlib import Path
from typing import Any, NoReturn

import click

from collector.audience.define import define
from collector.config import Config
from collector.errors import CollectorError
from collector.settings import load

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


def say_error(error: Exception) -> NoReturn:
    click.echo(f"Error: {error}", err=True)
    raise SystemExit(2)


def read_config(file: Path | None, **flags: Any) -> Config:
    """Raises ConfigError."""
    config = load(file, flags={name.replace("__", "."): value for name, value in flags.items()})
    define(config.audience)  # the rules, whose errors have their paths
    return config


def load_config(file: Path | None, **flags: Any) -> Config:
    try:
        return read_config(file, **flags)
    except CollectorError as error:
        say_error(error)
