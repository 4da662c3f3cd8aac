"""The parts of a conversion given to workers, and how far all of them are."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from converters.conversion.jobs import Job, Outcome, Sent, enough, write_sent
from converters.conversion.source import Reached, Source
from converters.conversion.workers import Workers, run_tasks
from skelstore.errors import WorkerError


class Course:
    """How far the jobs of a conversion are, told as ``advance`` and ``report`` want it told.

    ``advance`` is called with the number of videos written since the last call, ``report`` with all that is known.
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

    def know(self, sizes: Iterable[int], complete: bool) -> None:
        """Take the sizes of videos that the source is known to have, and whether there are no more of them.

        This may be called in another thread than the rest.
        """
        self._sizes.extend(sizes)
        self._known_bytes = sum(self._sizes) if complete else self._known_bytes
        self._complete = complete

    def reach(self, job: Job, videos: int) -> None:
        """Take that so many videos of a job are written: more than the last time, or no news."""
        before = self._done.get(job.number, 0)
        if videos <= before:
            return
        self._done[job.number] = videos
        self._videos += videos - before
        self._bytes += sum(self._sizes[job.start + before : job.start + videos])
        if self._advance:
            self._advance(videos - before)
        self.tell()

    def tell(self) -> None:
        """Report how far it is."""
        if self._report:
            known = len(self._sizes)
            self._report(Reached(self._videos, self._bytes, known, self._known_bytes, self._complete))


def write_parts(source: Source, tasks: Iterator[tuple[Sent, Job]], workers: Workers, course: Course) -> list[Outcome]:
    """Let the workers write the parts, until there are enough problems.

    Raises WorkerError, when what others were at is finished, if one died; and what taking a task raises.
    """
    outcomes: dict[int, Outcome] = {}

    jobs: dict[int, Job] = {}

    def noted() -> Iterator[tuple[Sent, Job]]:
        for sent, job in tasks:
            jobs[job.number] = job
            yield sent, job

    def look() -> None:
        for number, videos in workers.reports():
            course.reach(jobs[number], videos)
        course.tell()

    with closing(run_tasks(workers, write_sent, noted(), look)) as ended:
        for (_, job), future in ended:
            try:
                outcomes[job.number] = future.result()
            except workers.died as error:
                raise WorkerError(
                    f"{source.path}: the process that wrote part {job.number + 1} "
                    f"({source.place(job.start)} to {source.place(job.stop - 1)}) died: it was killed, or ran out of "
                    "memory (then use fewer workers), or this is a script without `if __name__ == '__main__'`"
                ) from error
            course.reach(job, job.stop - job.start)
            if enough(outcomes.values()):
                break
    return [outcomes[number] for number in sorted(outcomes)]
