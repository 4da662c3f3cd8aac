"""Reading all videos of a store or a source once, in one or several processes, for a report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from converters.checks.dataset import Findings, Videos, check_share, conclude, first_name_key, videos_of
from converters.checks.problems import Report
from converters.conversion.reporting import report_to_parent
from converters.conversion.sending import Sent, received, send
from converters.conversion.source import Source
from converters.conversion.workers import Workers, local_workers, run_tasks
from converters.report.statistics import Statistics
from skelstore import Store
from skelstore.errors import WorkerError

__all__ = ["SHARE", "Gathered", "gather"]

SHARE = 1000
"""Number of videos that are read, and sent back by a worker, as one share. It does not depend on the number of
processes, so the report does not either."""


@dataclass
class Gathered:
    """What all videos of a data set have told: their statistics, and the problems that a check finds."""

    videos: Videos
    statistics: Statistics
    problems: Report
    findings: Findings


def gather(
    opened: Store | Source, workers: int = 1, advance: Callable[[int], None] | None = None, share: int = SHARE
) -> Gathered:
    """Read all videos once, ``share`` at a time, in ``workers`` processes; the result is the same for any number.

    ``advance`` is called with the number of videos that were read since the last call. Raises what reading raises if it
    is no fault of a single video, and WorkerError if a process died.
    """
    videos = videos_of(opened)
    key = first_name_key(videos)
    starts = range(0, len(videos), share)
    shares = [range(start, min(start + share, len(videos))) for start in starts]
    told = _in_workers if min(workers, len(shares)) > 1 else _in_this_process
    statistics = Statistics()
    findings = check_share(videos, range(0), key)
    for more_statistics, more_findings in told(opened, videos, key, shares, min(workers, len(shares)), advance):
        statistics.merge(more_statistics)
        findings.merge(more_findings)
    return Gathered(videos, statistics, conclude(videos, findings), findings)


def _read(videos: Videos, key: str, share: range, advance: Callable[[int], None] | None) -> tuple[Statistics, Findings]:
    statistics = Statistics()
    findings = check_share(videos, share, key, advance=advance, see=statistics.add)
    return statistics, findings


def _in_this_process(
    opened: Store | Source,
    videos: Videos,
    key: str,
    shares: list[range],
    workers: int,
    advance: Callable[[int], None] | None,
) -> Iterator[tuple[Statistics, Findings]]:
    for share in shares:
        yield _read(videos, key, share, advance)


def _in_workers(
    opened: Store | Source,
    videos: Videos,
    key: str,
    shares: list[range],
    workers: int,
    advance: Callable[[int], None] | None,
) -> Iterator[tuple[Statistics, Findings]]:
    """Yield what workers have read of each share, in the order of the shares."""
    waiting: dict[int, tuple[Statistics, Findings]] = {}
    following = 0
    with tempfile.TemporaryDirectory(prefix="skelstore-report-") as folder, local_workers(workers) as pool:
        sent = send(opened, Path(folder))
        counter = _Counter(pool, advance)
        tasks = ((sent, key, number, share) for number, share in enumerate(shares))
        with closing(run_tasks(pool, read_sent, iter(tasks), counter.poll)) as ended:
            for (_, _, number, share), future in ended:
                try:
                    waiting[number] = future.result()
                except pool.died as error:
                    raise WorkerError(
                        f"{videos.path}: the process that read videos {share.start} to {share.stop - 1} died: it was "
                        "killed, it ran out of memory (then use fewer workers), or the script lacks `if __name__ == "
                        "'__main__'`"
                    ) from error
                counter.finish(number, len(share))
                while following in waiting:
                    yield waiting.pop(following)
                    following += 1


class _Counter:
    """Counts the videos that workers have read, and reports them."""

    def __init__(self, pool: Workers, advance: Callable[[int], None] | None) -> None:
        self._pool = pool
        self._advance = advance
        self._reached: dict[int, int] = {}

    def poll(self) -> None:
        for number, reached in self._pool.reports():
            self.finish(number, reached)

    def finish(self, number: int, reached: int) -> None:
        """Set the number of videos of a share that were read. A number not above the last one is ignored."""
        before = self._reached.get(number, 0)
        if self._advance and reached > before:
            self._advance(reached - before)
        self._reached[number] = max(reached, before)


def read_sent(sent: Sent, key: str, number: int, share: range) -> tuple[Statistics, Findings]:
    """Read one share of the videos of the store or source that was sent, in a worker."""
    reached = 0

    def advance(videos: int) -> None:
        nonlocal reached
        reached += videos
        report_to_parent(number, reached)

    return _read(_sent_videos(sent), key, share, advance)


@lru_cache(maxsize=1)
def _sent_videos(sent: Sent) -> Videos:
    return videos_of(received(sent))
