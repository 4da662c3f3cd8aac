"""Converting a source into a store: cut into parts, written by any number of processes, joined."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypedDict

from converters.source import LeftOut, Source, refusal, splits_without
from skelstore import layout
from skelstore.codecs import PROFILES, Profile
from skelstore.errors import SkelstoreError, SourceError, StoreError, UnsupportedValueError
from skelstore.joining import join
from skelstore.parts import PART_VIDEOS, Part, PartWriter, Plan, Planner
from skelstore.values import Json
from skelstore.workspace import Workspace

_SHOWN_PROBLEMS = 20


class ConvertOptions(TypedDict, total=False):
    """Options that every dialect's ``convert`` takes.

    ``profile``: how chunks are coded (``fast``, ``default``, ``small``). ``force``: replace a store that stands at
    the destination, once the new one is complete. ``workers``: processes; with more than one a script needs the usual
    ``if __name__ == "__main__"``. ``advance``: called with the number of videos that were written since the last call.
    """

    profile: Profile
    force: bool
    workers: int
    advance: Callable[[int], None] | None


class _Job(NamedTuple):
    """The videos ``start`` to ``stop`` of the source, to be written as a part into ``folder``."""

    start: int
    stop: int
    folder: Path


class _Outcome(NamedTuple):
    part: Part | None
    problems: list[str]
    left_out: list[Json]


def convert_source(
    source: Source,
    destination: str | os.PathLike[str],
    *,
    profile: Profile = "default",
    force: bool = False,
    workers: int = 1,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the videos of a source, in order, as a store at ``destination``; nothing stands there before the end.

    Raises UnsupportedValueError that lists the values no store can hold, SourceError for what the source gets
    wrong, StoreExistsError or StoreError as ``skelstore.Writer`` does.
    """
    if profile not in PROFILES:
        raise StoreError(f"profile {profile!r}; expected one of {', '.join(PROFILES)}")
    with Workspace(destination, force=force) as workspace:
        plan = _plan(source, profile)
        cuts = layout.cut(source.sizes().tolist(), layout.PART_BYTES, PART_VIDEOS)
        jobs = [_Job(*cut, workspace.parts / f"{i:06}") for i, cut in enumerate(cuts)]
        count = min(len(jobs), workers)
        if count <= 1:
            run: Iterator[tuple[int, _Outcome]] = (
                (i, write_part(source, plan, job, advance)) for i, job in enumerate(jobs)
            )
        else:
            run = _run_in_processes(source, plan, jobs, count, advance)
        outcomes = dict(run)
        _raise_problems([problem for i in range(len(jobs)) for problem in outcomes[i].problems])
        parts = [part for i in range(len(jobs)) if (part := outcomes[i].part)]
        left_out = [entry for i in range(len(jobs)) for entry in outcomes[i].left_out]
        try:
            join(parts, plan, splits_without(source, left_out), _description(source, left_out), workspace.store)
        except UnsupportedValueError as error:
            raise UnsupportedValueError(refusal(source, error), error.place, error.value) from None
        workspace.commit()


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plan(source: Source, profile: Profile) -> Plan:
    planner = Planner(profile)
    for i in range(len(source)):
        if planner.full:
            break
        try:
            planner.add(source.video(i)[0])
        except SkelstoreError:
            continue  # told, with all others like it, when its part is written
    return planner.plan()


def _run_in_processes(
    source: Source, plan: Plan, jobs: list[_Job], workers: int, advance: Callable[[int], None] | None
) -> Iterator[tuple[int, _Outcome]]:
    # Spawned, not forked: the parent may have threads, and a fork would copy its locks. The source goes with every
    # job: as an argument of the workers' start it would block for ever if one died before it had read it.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        with _interrupts_ignored():  # by the workers, which start here; Ctrl-C is for this process to handle
            futures = {pool.submit(write_part, source, plan, job): i for i, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                i = futures[future]
                yield i, future.result()
                if advance:
                    advance(jobs[i].stop - jobs[i].start)
        except BrokenProcessPool as error:
            raise SourceError(
                f"{source.path}: a worker process died while it converted (out of memory, or a script without "
                "`if __name__ == '__main__'`): convert again with one worker"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # where signals cannot be set
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def write_part(source: Source, plan: Plan, job: _Job, advance: Callable[[int], None] | None = None) -> _Outcome:
    """Write one part, in whichever process. Gives the part, or the problems in its videos."""
    writer = PartWriter(job.folder, plan)
    problems: list[str] = []
    left_out: list[Json] = []
    try:
        for i in range(job.start, job.stop):
            try:
                annotation, origin = source.video(i)
                writer.add(annotation, origin)
            except LeftOut as error:
                left_out.append({"index": i, "name": error.name, "reason": error.reason})
            except (SourceError, UnsupportedValueError) as error:
                problems.append(refusal(source, error, i))
                if len(problems) == _SHOWN_PROBLEMS:
                    break
            if advance:
                advance(1)
        if not problems:
            return _Outcome(writer.close() if writer.videos else None, [], left_out)
    finally:
        writer.abort()
        source.close()
    return _Outcome(None, problems, left_out)


def _description(source: Source, left_out: list[Json]) -> dict[str, Json]:
    described = {"dialect": source.dialect, **source.description()}
    return described | {"left_out": [*described.get("left_out", []), *left_out]} if left_out else described


def _raise_problems(problems: list[str]) -> None:
    if not problems:
        return
    more = f"\n… and more after these {_SHOWN_PROBLEMS}" if len(problems) > _SHOWN_PROBLEMS - 1 else ""
    raise UnsupportedValueError("\n".join(problems[:_SHOWN_PROBLEMS]) + more)
