"""The commands."""

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import uvloop

from collector import __version__, cli_demo, logs, manager, onefile, snippet
from collector.admin.auth import token_file
from collector.app import DATABASE, App
from collector.cli_audience import audience
from collector.cli_backup import backup, verify
from collector.cli_completion import completion
from collector.cli_data import export, import_
from collector.cli_doctor import doctor
from collector.cli_forward import audit, forward, schema
from collector.cli_people import access, forget, rebuild
from collector.cli_watch import rejected, stats, tail
from collector.config import Config
from collector.errors import CollectorError, Damaged
from collector.ingest.sites import DEFAULT_SITE, Sites
from collector.options import config_option, data_option, load_config, read_config, say_error
from collector.store import database as db
from collector.store.log import claim

log = logging.getLogger(__name__)

_M_ARENA_MAX = -8  # of malloc.h


def _version() -> str:
    parts = f"SQLite {db.SQLITE_VERSION}, Python {platform.python_version()}"
    return f"collector {__version__}{onefile.built()} ({parts})"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=_version())
def main() -> None:
    """An event collector in one process and one SQLite file: a 2xx means on disk."""


@main.command()
@config_option
@data_option
@click.option("--listen", metavar="HOST:PORT", help="Public listener [default: 127.0.0.1:8080].")
@click.option("--admin", metavar="HOST:PORT", help="Admin listener [default: 127.0.0.1:8081].")
def serve(file: Path | None, data: str | None, listen: str | None, admin: str | None) -> None:
    """Run the collector. With no settings at all it makes what it needs."""
    flags = {"data": data, "http__listen": listen, "admin__listen": admin}
    config = load_config(file, **flags)
    logs.set_up(config.log.level, config.log.format)
    try:
        uvloop.run(_serve(config, again=lambda: read_config(file, **flags)))
    except CollectorError as error:
        say_error(error)


@main.command(short_help="Serve a scratch database with a month of shop traffic.")
@click.option("--data", type=click.Path(), help="A folder to keep [default: none is kept].")
@click.option("--listen", metavar="HOST:PORT", help="Public listener [default: 127.0.0.1:8080].")
@click.option("--admin", metavar="HOST:PORT", help="Admin listener [default: 127.0.0.1:8081].")
@click.option(
    "--visits",
    type=click.IntRange(1, 1_000_000),
    default=6000,
    show_default=True,
    help="How many visits to make up.",
)
def demo(data: str | None, listen: str | None, admin: str | None, visits: int) -> None:
    """Fill a scratch database with a month of shop traffic and serve it."""
    with tempfile.TemporaryDirectory(prefix="collector-demo-") as scratch:
        try:
            config = cli_demo.settings(data or scratch, listen, admin)
            logs.set_up(config.log.level, config.log.format)
            uvloop.run(_serve(config, lambda app: cli_demo.fill(app, visits)))
        except CollectorError as error:
            say_error(error)


async def _serve(
    config: Config,
    begin: Callable[[App], Awaitable[None]] | None = None,
    again: Callable[[], Config] | None = None,
) -> None:
    """`again` reads the settings when SIGHUP asks for it."""
    stopping, reloading = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)  # asked twice: nothing that was acknowledged is in memory only
        stopping.set()
        reloading.set()

    _share_memory()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if again:
        loop.add_signal_handler(signal.SIGHUP, reloading.set)
    app = App(config)
    try:
        await app.start()
    except Damaged as error:  # in pages that only a worker's first look came upon
        app = App(config, error)
        await app.start()
    if begin:
        await begin(app)
    # What start-up made lives as long as the process: the collector need not look at it again.
    # Events hold no cycles; looking for some at every 700 allocations took 10 % of the hot path.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    _greet(app)
    manager.tell("READY=1")
    while not stopping.is_set():
        await reloading.wait()
        reloading.clear()
        if again and not stopping.is_set():
            await _reload(app, again)
    manager.tell("STOPPING=1")
    log.info("stopping: finishing requests in hand")
    await app.stop()
    log.info("stopped: %d events stored since start", app.metrics.stored_events)


def _share_memory() -> None:
    """The C library (glibc) gives up to sixteen threads an arena each to allocate from. Two do for
    all, and take 13 MB less under overload, at the same rate."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


async def _reload(app: App, again: Callable[[], Config]) -> None:
    """SIGHUP: the settings anew. Unsound ones change nothing."""
    manager.tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        left = await app.reload(again())
    except CollectorError as error:
        log.error("the new settings are not taken, the old ones stay: %s", error)
    else:
        log.info("the settings were read again")
        if left:
            log.warning("these settings take effect at the next start: %s", ", ".join(left))
    manager.tell("READY=1")


def _greet(app: App) -> None:
    """What a first-time user needs to go on, on standard output."""
    config = app.config
    lines = ["Paste this into the <head> of every page:", ""]
    for site in app.sites.all:
        lines += [f"  <!-- {site.name} -->"] if len(app.sites.all) > 1 else []
        lines += [f"  {_snippet(config, 'pixel', site.keys[0])}", ""]
    lines.append(f"Listening for events on http://{_shown(config.http.listen, app.public_port)}")
    admin = f"http://{_shown(config.admin.listen, app.admin_port)}/"
    if config.admin.token:
        lines.append(f"Dashboard on {admin} (token: setting admin.token)")
    elif sys.stdout.isatty():
        lines.append(f"Dashboard on {admin}#token={app.token}")
    else:
        lines.append(f"Dashboard on {admin} (token in {token_file(app.data)})")
    lines.append(
        f"Events go to {app.data / DATABASE}, synced before each answer; "
        f"one sync takes {app.sync_s * 1000:.1f} ms here"
    )
    click.echo("\n".join(lines))


def _shown(listen: str, port: int) -> str:
    return f"{listen.rpartition(':')[0]}:{port}"


@main.command(name="snippet")
@config_option
@data_option
@click.option(
    "--global", "name", default="pixel", show_default=True, help="Name of the global in the page."
)
@click.option("--site", help="The site [default: the only one].")
@click.option(
    "--url", help="Address under which browsers reach the collector [default: http.public_url]."
)
@click.option("--external", is_flag=True, help="Without inline script, for strict policies.")
def print_snippet(
    file: Path | None,
    data: str | None,
    name: str,
    site: str | None,
    url: str | None,
    external: bool,
) -> None:
    """Print the HTML to paste."""
    config = load_config(file, data=data, http__public_url=url)
    if not name.isidentifier() or not name.isascii():
        say_error(CollectorError(f"--global: expected a JavaScript name, got {name!r}"))
    try:
        html = snippet.external if external else snippet.render
        click.echo(_snippet(config, name, _key_of(config, site), html))
    except CollectorError as error:
        say_error(error)


def _snippet(config: Config, name: str, key: str, html: Callable[..., str] = snippet.render) -> str:
    http = config.http
    data = {}
    if http.beacon_path != http.script_path.rpartition("/")[0] + "/c":
        data["endpoint"] = config.public_url + http.beacon_path  # not where the script looks
    return html(name, config.public_url + http.script_path, key, **data)


def _key_of(config: Config, name: str | None) -> str:
    path = Path(config.data) / DATABASE
    made = db.read_site_keys(path)
    missing = [s for s in Sites.without_key(config.site) if s not in made]
    if missing:
        made = asyncio.run(_make_keys(path, config, missing))
    sites = {site.name: site for site in Sites(config.site, made).all}
    if name is None and len(sites) == 1:
        name = next(iter(sites))
    if name not in sites:
        raise CollectorError(f"--site: expected one of {', '.join(sites)}")
    return sites[name].keys[0]


async def _make_keys(path: Path, config: Config, names: list[str]) -> dict[str, str]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = claim(path.parent)  # a running collector makes the key when it is started again
    try:
        store = config.store
        database = await db.open_database(path, store.durability, store.checkpoint_pages)
        try:
            return await database.run(db.site_keys, names)
        finally:
            await database.close()
    finally:
        os.close(mark)


@main.command(name="check-config")
@config_option
@data_option
def check_config(file: Path | None, data: str | None) -> None:
    """Validate the settings; names the first bad one with its path."""
    config = load_config(file, data=data)
    sites = ", ".join(site.name for site in config.site) or f"{DEFAULT_SITE} (made at first start)"
    click.echo(f"Settings are sound. Sites: {sites}. Data: {config.data}")


for command in (
    audience,
    audit,
    backup,
    completion,
    doctor,
    export,
    forward,
    schema,
    forget,
    access,
    import_,
    rebuild,
    rejected,
    stats,
    tail,
    verify,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
