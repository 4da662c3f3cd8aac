"""Distributing the parts of a conversion to workers, and tracking their progress."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from converters.conversion.jobs import Job, Outcome, enough_problems, write_sent
from converters.conversion.sending import Sent
from converters.conversion.source import Reached, Source
from converters.conversion.workers import Workers, run_tasks
from skelstore.errors import WorkerError


class Progress:
    """Tracks the progress of the jobs of a conversion and reports it.

    ``advance`` is called with the number of videos written since the last call, ``report`` with the whole progress.
    """

    def __init__(self, advance: Callable[[int], None] | None, report: Callable[[Reached], None] | None) -> None:
        self._advance = advance
        self._report = report
        self._done: dict[int, int] = {}
        self._sizes = array("q")
        self._known_bytes = 0
        self._complete = False
        self._videos = 0
        self._bytes = 0

    def add_known(self, sizes: Iterable[int], complete: bool) -> None:
        """Add the sizes of videos that were indexed; ``complete`` if the source has no more.

        Unlike the other methods, this may be called in another thread.
        """
        self._sizes.extend(sizes)
        self._known_bytes = sum(self._sizes) if complete else self._known_bytes
        self._complete = complete

    def update(self, job: Job, videos: int) -> None:
        """Set the number of videos of a job that are written. A number not above the last one is ignored."""
        before = self._done.get(job.number, 0)
        if videos <= before:
            return
        self._done[job.number] = videos
        self._videos += videos - before
        self._bytes += sum(self._sizes[job.start + before : job.start + videos])
        if self._advance:
            self._advance(videos - before)
        self.report()

    def report(self) -> None:
        """Call ``report`` with the progress."""
        if self._report:
            known = len(self._sizes)
            self._report(Reached(self._videos, self._bytes, known, self._known_bytes, self._complete))


def write_parts(
    source: Source, tasks: Iterator[tuple[Sent, Job]], workers: Workers, progress: Progress
) -> list[Outcome]:
    """Let the workers write the parts, until there are enough problems. Return the outcomes in the order of the parts.

    Raises WorkerError if a worker died, once the others have finished their tasks; and what getting a task raises.
    """
    outcomes: dict[int, Outcome] = {}

    jobs: dict[int, Job] = {}

    def recorded() -> Iterator[tuple[Sent, Job]]:
        for sent, job in tasks:
            jobs[job.number] = job
            yield sent, job

    def update_progress() -> None:
        for number, videos in workers.reports():
            progress.update(jobs[number], videos)
        progress.report()

    with closing(run_tasks(workers, write_sent, recorded(), update_progress)) as ended:
        for (_, job), future in ended:
            try:
                outcomes[job.number] = future.result()
            except workers.died as error:
                first, last = source.place(job.positions[0]), source.place(job.positions[-1])
                raise WorkerError(
                    f"{source.path}: the process that wrote part {job.number + 1} ({first} to {last}) died: it was "
                    "killed, it ran out of memory (then use fewer workers), or the script lacks "
                    "`if __name__ == '__main__'`"
                ) from error
            progress.update(job, job.stop - job.start)
            if enough_problems(outcomes.values()):
                break
    return [outcomes[number] for number in sorted(outcomes)]
