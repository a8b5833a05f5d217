"""How far a long command is, on standard error: a line that is written over on a terminal, every
ten seconds a line of its own elsewhere."""

import sys
import time

import click

_TERMINAL_S, _FILE_S = 0.2, 10.0


class Progress:
    def __init__(self, what: str, quiet: bool = False) -> None:
        self._what = what
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._started = self._shown = time.monotonic()

    def __call__(self, count: int, share: float | None = None, more: str = "") -> None:
        now = time.monotonic()
        pause = _TERMINAL_S if self._terminal else _FILE_S
        if self._quiet or now - self._shown < pause:
            return
        self._shown = now
        part = "" if share is None else f", {share:.0%}"
        said = f"{count:,} {self._what}{part}, {self.rate(count):,.0f}/s{more}"
        click.echo(f"\r\x1b[K{said}" if self._terminal else said, err=True, nl=not self._terminal)

    def rate(self, count: int) -> float:
        return count / self.seconds

    @property
    def seconds(self) -> float:
        return max(1e-6, time.monotonic() - self._started)

    def end(self) -> None:
        """Make room for what is said next."""
        if self._terminal and not self._quiet:
            click.echo("\r\x1b[K", err=True, nl=False)
