"""Tables and plots of the results in bench/results, and of these in the README."""

from pathlib import Path

import click

from bench import plots, tables
from bench.cli import main
from bench.console import say
from bench.result import RESULTS, Result, load

README = RESULTS.parent.parent / "README.md"


@main.command()
@click.option(
    "--results",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=RESULTS,
    help="Where the JSON files are, and the report goes.",
)
def report(folder: Path) -> None:
    """REPORT.md with tables, and plots as SVG and PNG, from the results' JSON files; the README's
    figures."""
    results = read(folder)
    if not results:
        raise click.ClickException(f"no results in {folder}: run a bench first")
    made = plots.draw(results, folder)
    path = folder / "REPORT.md"
    path.write_text(tables.render(results, made), "utf-8")
    say(f"{path}, {len(made)} plots")
    if folder.resolve() == RESULTS.resolve():
        README.write_text(tables.documented(README.read_text("utf-8"), results), "utf-8")


def read(folder: Path) -> dict[str, Result]:
    """The results by name of the file; raises for one of another form."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.json"))}
