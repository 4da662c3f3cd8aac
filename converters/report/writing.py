"""Writing a report on a store or a source: ``skelstore report``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from converters.conversion.source import Source
from converters.outputs.output import new_file
from converters.report.gathering import gather
from converters.report.origin import origin_of
from converters.report.page import page
from skelstore import Store

__all__ = ["write_report"]


def write_report(
    opened: Store | Source,
    out: str | os.PathLike[str],
    *,
    workers: int = 1,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write a report on a store or a source to an HTML file, which appears only once it is complete.

    Every video is read once, by ``workers`` processes; with more than one, a script needs the usual
    ``if __name__ == "__main__"``. ``force`` replaces a file. ``advance`` is called with the number of videos that were
    read since the last call. The report is the same for any number of processes.

    Raises StoreExistsError if the file exists, and what reading raises if it is no fault of a single video.
    """
    with new_file(Path(out), force=force) as file:
        gathered = gather(opened, workers, advance)
        file.write(page(gathered, origin_of(opened, gathered.statistics)).encode())
