"""What a person is shown: lines, and how far a command is.

Everything that the command line prints goes through here. Names come from outside, so every line is escaped.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import click

from skelstore.wording import escape

_REDRAW = 0.1
"""Seconds between two states of the line on a terminal, at least."""
_LINE_EVERY = 5.0
"""Seconds between two lines where there is no terminal, at first; later a twentieth of the time that has passed."""
_RATE_OVER = 20.0
"""Seconds over which the rate is taken."""
_RATE_AFTER = 3.0
"""Seconds before which there is no rate: it would say nothing."""
_COLUMNS = 80
"""Width of a terminal that does not say it."""


def show(*lines: str) -> None:
    """Print lines to standard output: what a command was asked for. Raises OSError where that cannot be written."""
    try:
        if sys.stdout is None:
            raise OSError(9, "it is closed")
        click.echo("\n".join(map(escape, lines)))
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = f"cannot be written ({error.strerror}); the command itself has done its work"
        raise OSError(error.errno, reason, "standard output") from error


def say(*lines: str) -> None:
    """Print lines to standard error, if that can be written."""
    with suppress(OSError, ValueError):
        click.echo("\n".join(map(escape, lines)), err=True)


class Reached(NamedTuple):
    """How far a conversion is: what is written, what is known of the source, and whether that is all of it."""

    videos: int
    bytes: int
    known_videos: int
    known_bytes: int
    complete: bool


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A line that is drawn again on a terminal, elsewhere a line now and then. ``unit``: `` videos``, or ``B``."""
    with _drawing() as drawing:
        rate = _Rate()
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            rate.add(done)
            if drawing.due():
                drawing.draw(f"{what}: {_of(done, total, unit)}{rate.text(unit, total - done)}")

        yield advance


@contextmanager
def conversion_progress(what: str) -> Iterator[Callable[[Reached], None]]:
    """The same for a conversion, which learns how many videos there are while it writes them."""
    with _drawing() as drawing:
        rate = _Rate()

        def report(reached: Reached) -> None:
            rate.add(reached.bytes)
            if drawing.due():
                drawing.draw(_conversion_line(what, reached, rate))

        yield report


def _conversion_line(what: str, reached: Reached, rate: _Rate) -> str:
    if not reached.complete:
        looking = f"looking through the source, {reached.known_videos:,} videos so far"
        if not reached.videos:
            return looking
        return f"{what}: {reached.videos:,} videos, {_amount(reached.bytes, 'B')}{rate.text('B')}; {looking}"
    videos = _of(reached.videos, reached.known_videos, " videos")
    written = _of(reached.bytes, reached.known_bytes, "B")
    return f"{what}: {videos}, {written}{rate.text('B', reached.known_bytes - reached.bytes)}"


def _of(done: int, total: int, unit: str) -> str:
    number, _, name = _amount(total, unit).partition(" ")
    return f"{_amount(done, unit).partition(' ')[0]} of {number} {name}"


def _amount(n: float, unit: str) -> str:
    return f"{n / 1e6:,.0f} MB" if unit == "B" else f"{n:,.0f}{unit}"


class _Rate:
    """How much is done in a second, over the last seconds."""

    def __init__(self) -> None:
        self._states = deque([(time.monotonic(), 0)])

    def add(self, done: int) -> None:
        now = time.monotonic()
        if not done:  # processes start, or the source is looked through
            self._states = deque([(now, 0)])
        if now - self._states[-1][0] >= _REDRAW:
            self._states.append((now, done))
        while len(self._states) > 2 and now - self._states[1][0] > _RATE_OVER:
            self._states.popleft()

    def text(self, unit: str, rest: int | None = None) -> str:
        """The rate, and the time left for the ``rest``; nothing in the first seconds."""
        (begun, before), (now, done) = self._states[0], self._states[-1]
        if done <= before or now - begun < _RATE_AFTER:
            return ""
        rate = (done - before) / (now - begun)
        left = "" if rest is None else f", {_duration(rest / rate)} left"
        return f", {_amount(rate, unit)}/s{left}"


def _duration(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:,} h {minute:02d} min" if hours else f"{minute} min {second:02d} s" if minute else f"{second} s"


class _Drawing:
    """One line of a terminal, drawn again and again; where there is no terminal, lines."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._begun = time.monotonic()
        self._next = self._begun + (0 if terminal else _LINE_EVERY)
        self._length = 0

    def due(self) -> bool:
        """Whether it is time to draw."""
        return time.monotonic() >= self._next

    def draw(self, text: str) -> None:
        now = time.monotonic()
        if self._terminal:
            self._next = now + _REDRAW
            text = text[: _columns() - 1]
            self._write(f"\r{text}{' ' * (self._length - len(text))}")
            self._length = len(text)
        else:
            self._next = now + max(_LINE_EVERY, (now - self._begun) / 20)
            say(text)

    def erase(self) -> None:
        if self._length:
            self._write(f"\r{' ' * self._length}\r")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


@contextmanager
def _drawing() -> Iterator[_Drawing]:
    drawing = _Drawing(sys.stderr is not None and sys.stderr.isatty())
    try:
        yield drawing
    finally:
        drawing.erase()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS
