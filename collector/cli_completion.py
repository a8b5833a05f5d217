"""`collector completion`: what a shell reads to complete commands, options and their values."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell; docs/TOOLS.md says where it goes."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    name = root.info_name or "collector"
    variable = f"_{name}_COMPLETE".replace("-", "_").replace(".", "_").upper()
    click.echo(kind(root.command, {}, name, variable).source())
