"""`collector doctor`."""

import asyncio
from pathlib import Path

import click
import msgspec

from collector.app import DATABASE
from collector.doctor.examine import Finding, Options, examine
from collector.options import config_option, data_option, load_config
from collector.store.database import stored_address

_MARKS = {"wrong": ("✗", "red"), "weak": ("!", "yellow"), "fine": ("✓", "green")}


@click.command(short_help="Look at a site as a browser does; say what to change.")
@click.argument("url")
@config_option
@data_option
@click.option("--timeout", default=15.0, show_default=True, help="Seconds for each request.")
@click.option(
    "--resolve",
    "places",
    metavar="HOST=ADDRESS",
    multiple=True,
    help="Look for a host there, as before its name leads to the new server.",
)
@click.option("--ca-file", type=click.Path(exists=True), help="Certificates to trust as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding.")
def doctor(
    url: str,
    file: Path | None,
    data: str | None,
    timeout: float,
    places: tuple[str, ...],
    ca_file: str | None,
    as_json: bool,
) -> None:
    """Look at a site from outside, as a visitor's browser does, and say what to change.

    Looks for https, the snippet, its write key, the Content-Security-Policy, names that blockers
    know, a cookie that lasts, the proxy's headers and the clocks, and sends a test event, marked as
    a bot's. Run beside the collector's database it also looks whether the event came through, and
    with which address. Exit code 1 when something is wrong.
    """
    path = Path(load_config(file, data=data).data) / DATABASE

    async def stored(message_id: str) -> str | None:
        return await asyncio.to_thread(stored_address, path, message_id)

    for place in places:
        if "=" not in place:
            raise click.BadParameter("expected HOST=ADDRESS", param_hint="--resolve")
    options = Options(
        timeout,
        stored if path.exists() else None,
        dict(place.split("=", 1) for place in places),
        ca_file,
    )
    found = asyncio.run(_examine(url if "://" in url else f"https://{url}", options, as_json))
    wrong, weak = (sum(f.level == level for f in found) for level in ("wrong", "weak"))
    if not as_json:
        click.echo(f"\n{wrong} wrong, {weak} weak" if wrong or weak else "\nAll is well.")
    raise SystemExit(1 if wrong else 0)


async def _examine(url: str, options: Options, as_json: bool) -> list[Finding]:
    """Says each finding as it is made."""
    found = []
    async for finding in examine(url, options):
        found.append(finding)
        if as_json:
            click.echo(msgspec.json.encode(finding))
            continue
        mark, colour = _MARKS[finding.level]
        click.echo(f"{click.style(mark, fg=colour)} {finding.about}: {finding.said}")
        if finding.change:
            click.echo(f"    → {finding.change}")
    return found
