"""Reporting from a worker process to its parent process.

Only the standard library is imported with this module, since a worker imports it before it can report an error.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from multiprocessing.connection import Connection

_REPORT_EVERY = 0.25
"""Minimum number of seconds between two reports of a worker."""

_to_parent: Connection | None = None
"""In a worker, the connection for its reports."""
_next_report = 0.0
"""Time before which no further report is sent."""


def report_through(writer: Connection) -> None:
    """Make this process a worker that reports through ``writer``."""
    global _to_parent
    os.set_blocking(writer.fileno(), False)  # a parent that does not read must not delay the work
    _to_parent = writer


def report_to_parent(number: int, reached: int) -> None:
    """Report the progress of a task to the parent of this worker, at most every ``_REPORT_EVERY`` seconds.

    In a process that is not a worker, nothing is reported.
    """
    global _next_report
    if _to_parent is None or time.monotonic() < _next_report:
        return
    _next_report = time.monotonic() + _REPORT_EVERY
    with suppress(OSError):  # the parent has gone, or does not read
        _to_parent.send((number, reached))
