"""The progress of a command: a line that is redrawn on a terminal, lines at intervals elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

from tqdm import tqdm
from tqdm.utils import disp_trim

from converters.cli.printing import say
from skelstore.wording import escape

if TYPE_CHECKING:
    from converters.conversion.source import Reached

_REDRAW = 0.1
"""Minimum seconds between two redraws on a terminal."""
_LINE_EVERY = 5.0
"""Seconds before the first line if there is no terminal; each following interval is 5 % longer."""
_RATE_AFTER = 3.0
"""Seconds after which a rate is shown; before, it would be meaningless."""
_COLUMNS = 80
"""Width of a terminal that does not report its width."""


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show progress; yields a function to call with the amount done since the last call.

    ``unit`` is `` videos``, or ``B`` for bytes.
    """
    with _open(what, total, unit) as bar:
        yield bar.update


@contextmanager
def conversion_progress(what: str) -> Iterator[Callable[[Reached], None]]:
    """Show the progress of a conversion, whose number of videos may be known only while it writes them."""
    with _open(what, None, "B") as bar:

        def report(reached: Reached) -> None:
            bar.reached = reached
            bar.total = reached.known_bytes if reached.complete else None
            bar.update(reached.bytes - bar.n)

        yield report


@contextmanager
def download_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of a download, if there is one; yields a ``skelstore.remote.downloads.Report``."""
    with ExitStack() as stack:
        bar: _Line | None = None

        def report(done: int, total: int) -> None:
            nonlocal bar
            bar = bar or stack.enter_context(_open(what, total, "B"))
            bar.total = max(total, done)
            bar.update(done - bar.n)

        yield report


class _Line(tqdm):
    """A line that is redrawn on a terminal. ``n`` and ``total`` count units, for a conversion bytes."""

    monitor_interval = 0  # its thread would outlive the line
    reached: Reached | None = None
    _begun = 0.0
    """Seconds before anything was counted, while processes start or the source is scanned."""

    def update(self, n: int = 1) -> None:
        if n or not self.n:  # tqdm would exclude the time of an update by 0 from the rate
            super().update(n)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        text = str(self) if msg is None else msg
        text = disp_trim(text, self._width())  # tqdm below 4.70 trims only bars
        self.nrows = None  # tqdm would draw nothing on a terminal that does not report its height
        return bool(super().display(text, pos))

    def _width(self) -> int:
        return self.ncols if (self.ncols or 0) > 0 else _COLUMNS - 1

    @property
    def format_dict(self) -> dict[str, Any]:
        reached = self.reached._asdict() if self.reached else {"videos": 0, "known_videos": 0}
        values: dict[str, Any] = super().format_dict | reached
        if self.dynamic_ncols:
            values["ncols"] = self._width()
        if self.total is not None:
            values["total"] = max(self.total, self.n)
        if not self.n:
            self._begun = values["elapsed"]
        values["bar_format"] = self._format(bool(values["rate"]) and values["elapsed"] - self._begun >= _RATE_AFTER)
        return values

    def _format(self, rated: bool) -> str:
        speed = ", {rate_noinv:,.0f}{unit}/s" if rated else ""
        if self.total is None:
            scanning = "scanning the source, {known_videos:,} videos so far"
            return f"{{desc}}: {{videos:,}} videos, {{n:,.0f}}{{unit}}{speed}; {scanning}" if self.n else scanning
        videos = "{videos:,} of {known_videos:,} videos, " if self.reached else ""
        left = ", {remaining} left" if rated else ""
        return f"{{desc}}: {videos}{{n:,.0f}} of {{total:,.0f}}{{unit}}{speed}{left}"


class _Lines(_Line):
    """Lines for output other than a terminal, at growing intervals."""

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        if msg is None:
            say(str(self))
            self.mininterval *= 1.05
        return False


_Line.set_lock(RLock())  # tqdm's own also holds a semaphore of the system


def _open(what: str, total: int | None, unit: str) -> _Line:
    terminal = sys.stderr is not None and sys.stderr.isatty()
    scale: dict[str, Any] = {"unit": " MB", "unit_scale": 1e-6} if unit == "B" else {"unit": unit}
    options = {**scale, "desc": escape(what), "total": total, "miniters": 0, "leave": False}
    if not terminal:
        return _Lines(file=io.StringIO(), mininterval=_LINE_EVERY, delay=_LINE_EVERY, **options)
    line = _Line(file=sys.stderr, dynamic_ncols=True, mininterval=_REDRAW, delay=1e-9, smoothing=0.05, **options)
    line.last_print_t = line.start_t - 2 * _REDRAW  # the first update, before which nothing is drawn, draws at once
    return line
