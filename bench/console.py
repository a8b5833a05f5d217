"""What a bench says while it runs, on standard error; results go to standard output."""

import sys
import time

import click


def say(text: str) -> None:
    click.echo(text, err=True)


class Progress:
    """A line that counts the seconds of a measurement; lines of their own where there is no
    terminal, one each ten seconds."""

    def __init__(self, text: str, seconds: float) -> None:
        self._text = text
        self._seconds = seconds
        self._started = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._said = 0.0

    def tick(self, more: str = "") -> None:
        passed = time.monotonic() - self._started
        if passed - self._said < (0.5 if self._terminal else 10):
            return
        self._said = passed
        line = f"  {self._text}: {passed:.0f}/{self._seconds:.0f} s {more}"
        click.echo(f"\r{line:<79}" if self._terminal else line, err=True, nl=not self._terminal)

    def end(self, found: str) -> None:
        line = f"  {self._text}: {found}"
        click.echo(f"\r{line:<79}" if self._terminal else line, err=True)
