"""Telling a person how far a command is: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from tqdm import tqdm

_PATIENCE = 3.0
"""Seconds after which something that is not shown on a terminal says how far it is."""


@contextmanager
def progress(what: str, total: int | Callable[[], int], unit: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, elsewhere a line at every tenth of the way.

    ``total`` is how far that is, or gives what is known of it at the time.
    """
    known: Callable[[], int] = (lambda: total) if isinstance(total, int) else total
    if not sys.stderr.isatty():
        yield _Lines(what, known).advance
        return
    tqdm.monitor_interval = 0  # its thread would outlive the bar
    with tqdm(desc=what, total=known(), unit=unit, unit_scale=True, leave=False) as bar:

        def advance(n: int) -> None:
            bar.total = known()
            bar.update(n)

        yield advance


class _Lines:
    """Says how far something is, at every tenth of the way, if it takes longer than a few seconds."""

    def __init__(self, what: str, total: Callable[[], int]) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._said = 0
        self._begun = time.monotonic()

    def advance(self, n: int) -> None:
        self._done += n
        tenths = 10 * self._done // max(self._total(), 1)
        if tenths > self._said and time.monotonic() - self._begun > _PATIENCE:
            self._said = tenths
            say(f"{self._what}: {10 * tenths} %")


def say(text: str) -> None:
    """Print a line to standard error."""
    click.echo(text, err=True)
