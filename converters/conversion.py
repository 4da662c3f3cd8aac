"""Converting a source into a store: cut into parts, written by any number of processes, joined."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypedDict

from converters.source import Source, refusal
from skelstore import layout
from skelstore.codecs import PROFILES, Profile
from skelstore.errors import JointLayoutError, SkelstoreError, SourceError, StoreError, UnsupportedValueError
from skelstore.joining import join
from skelstore.joints import keypoint_shapes, stated
from skelstore.layouts import FieldIdentity
from skelstore.parts import PART_VIDEOS, Part, PartWriter, Plan, Planner
from skelstore.values import Json
from skelstore.workspace import Workspace

_SHOWN_PROBLEMS = 20


class ConvertOptions(TypedDict, total=False):
    """Options that every dialect's ``convert`` takes.

    ``profile``: how chunks are coded (``fast``, ``default``, ``small``). ``force``: replace a store that stands at
    the destination, once the new one is complete. ``workers``: processes; with more than one a script needs the usual
    ``if __name__ == "__main__"``. ``advance``: called with the number of videos that were written since the last call.
    ``joints``: the layout of the joints, by its name in ``skelstore.joints.LAYOUTS``. ``class_names``: by label. Both
    are kept with the data.
    """

    profile: Profile
    force: bool
    workers: int
    advance: Callable[[int], None] | None
    joints: str | None
    class_names: Sequence[str] | None


class _Job(NamedTuple):
    """The videos ``start`` to ``stop`` of the source, to be written as a part into ``folder``."""

    start: int
    stop: int
    folder: Path


class _Outcome(NamedTuple):
    part: Part | None
    problems: list[str]


def convert_source(
    source: Source,
    destination: str | os.PathLike[str],
    *,
    profile: Profile = "default",
    force: bool = False,
    workers: int = 1,
    advance: Callable[[int], None] | None = None,
    joints: str | None = None,
    class_names: Sequence[str] | None = None,
) -> None:
    """Write the videos of a source, in order, as a store at ``destination``; nothing stands there before the end.

    Raises UnsupportedValueError that lists the values no store can hold, SourceError for what the source gets
    wrong, StoreExistsError or StoreError as ``skelstore.Writer`` does, JointLayoutError if the keypoints do not have
    the stated joints.
    """
    if profile not in PROFILES:
        raise StoreError(f"profile {profile!r}; expected one of {', '.join(PROFILES)}")
    with Workspace(destination, force=force) as workspace:
        plan = _plan(source, profile)
        _stated(source, joints, plan.grids)  # told as soon as it can be seen
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
        kept = _stated(source, joints, (field for part in parts for field in part.fields))
        if class_names is not None:
            kept["class_names"] = list(class_names)
        try:
            about = {"dialect": source.dialect, **source.description(), **kept}
            join(parts, plan, source.splits(), about, workspace.store)
        except UnsupportedValueError as error:
            raise UnsupportedValueError(refusal(source, error), error.place, error.value) from None
        workspace.commit()


def _stated(source: Source, joints: str | None, fields: Iterable[FieldIdentity]) -> dict[str, Json]:
    """What the store keeps of the layout that was stated for the joints; nothing if none was."""
    if joints is None:
        return {}
    keypoints = [(field.ragged, field.trailing) for field in fields if field.path == '["keypoint"]']
    try:
        return {"joints": stated(joints, keypoint_shapes(keypoints))}
    except JointLayoutError as error:
        raise JointLayoutError(f"{source.path}: {error}") from None


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
    try:
        for i in range(job.start, job.stop):
            try:
                annotation, origin = source.video(i)
                writer.add(annotation, origin)
            except (SourceError, UnsupportedValueError) as error:
                problems.append(refusal(source, error, i))
                if len(problems) == _SHOWN_PROBLEMS:
                    break
            if advance:
                advance(1)
        if not problems:
            return _Outcome(writer.close(), [])
    finally:
        writer.abort()
        source.close()
    return _Outcome(None, problems)


def _raise_problems(problems: list[str]) -> None:
    if not problems:
        return
    more = f"\n… and more after these {_SHOWN_PROBLEMS}" if len(problems) > _SHOWN_PROBLEMS - 1 else ""
    raise UnsupportedValueError("\n".join(problems[:_SHOWN_PROBLEMS]) + more)
