"""Converting a source into a store: cut into parts, written by any number of processes, joined."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple, TypedDict

from converters.conversion.jobs import (
    SHOWN_PROBLEMS,
    Course,
    Job,
    Outcome,
    Sent,
    enough,
    identity_of,
    sent_along,
    write_part,
    write_parts,
)
from converters.conversion.repetition import merge_repeats
from converters.conversion.source import Reached, Source, refusal, splits_without
from converters.conversion.workers import cluster_workers, local_workers
from skelstore.errors import JointLayoutError, SkelstoreError, SourceError, StoreError, UnsupportedValueError
from skelstore.format import chunking
from skelstore.format.codecs import PROFILES, Profile
from skelstore.format.layouts import FieldIdentity, of_keypoint
from skelstore.format.values import Json
from skelstore.joints import keypoint_shapes, stated
from skelstore.wording import join_lines
from skelstore.write.joining import join
from skelstore.write.owners import as_shared_as
from skelstore.write.part_records import PART_RECORD_KEY, part_name
from skelstore.write.parts import PART_VIDEOS
from skelstore.write.planning import Plan, Planner
from skelstore.write.workspace import Workspace


class ConvertOptions(TypedDict, total=False):
    """Options that every dialect's ``convert`` takes.

    ``profile``: how chunks are coded (``fast``, ``default``, ``small``). ``force``: replace a store that stands at
    the destination, once the new one is complete. ``shared``: let the group of the destination's folder go on with a
    conversion that was stopped, and go on with one of theirs. ``workers``: processes; with more than one a script needs
    the usual ``if __name__ == "__main__"``. ``dask``: address of the scheduler of a Dask cluster, whose workers write
    the parts instead. ``advance``: called with the number of videos that were written since the last call. ``joints``:
    the layout of the joints, by its name in ``skelstore.joints.LAYOUTS``. ``class_names``: by label. Both are kept with
    the data.
    """

    profile: Profile
    force: bool
    shared: bool
    workers: int
    dask: str | None
    advance: Callable[[int], None] | None
    joints: str | None
    class_names: Sequence[str] | None


class _Top(NamedTuple):
    """What a source holds beside its videos."""

    splits: dict[Any, Any]
    description: dict[str, Json]


def convert_source(
    source: Source,
    destination: str | os.PathLike[str],
    *,
    profile: Profile = "default",
    force: bool = False,
    shared: bool = False,
    workers: int = 1,
    dask: str | None = None,
    advance: Callable[[int], None] | None = None,
    joints: str | None = None,
    class_names: Sequence[str] | None = None,
    report: Callable[[Reached], None] | None = None,
) -> int:
    """Write the videos of a source, in order, as a store at ``destination``; nothing stands there before the end.

    ``report``: called with how far it is, at least twice a second while parts are written.

    Gives how many parts were taken from a run that was interrupted. When this one is (by whatever is no fault of the
    data), its finished parts stay beside the destination, and the exception has a note that says so.

    Raises UnsupportedValueError that lists the values no store can hold, SourceError for what the source gets
    wrong, JointLayoutError if the keypoints do not have the stated joints, WorkerError if a process that wrote a part
    died, StoreExistsError or StoreError as ``skelstore.Writer`` does.
    """
    if profile not in PROFILES:
        raise StoreError(f"profile {profile!r}; expected one of {', '.join(PROFILES)}")
    workspace = Workspace(destination, force=force, resume=True, shared=shared)
    resumed = bool(_finished_parts(workspace))
    try:
        with as_shared_as(workspace.folder):
            course = Course(advance, report)
            plan, outcomes, read_top = _write(source, workspace, profile, joints, workers, dask, course)
        _raise_problems([problem for outcome in outcomes for problem in outcome.problems])
        parts = [outcome.part for outcome in outcomes if outcome.part is not None]
        left_out = [entry for outcome in outcomes for entry in outcome.left_out]
        kept = _stated(source, joints, [field for part in parts for field in part.fields])
        if class_names is not None:
            kept["class_names"] = list(class_names)
        try:
            top = read_top()
            _refuse_other_classes(source, top, class_names)
            about = _description(source, top, left_out) | kept
            with as_shared_as(workspace.folder):
                join(parts, plan, splits_without(top.splits, left_out), about, workspace.store)
        except UnsupportedValueError as error:
            raise UnsupportedValueError(refusal(source, error), error.place, error.value) from None
        workspace.commit()
    except BaseException as error:
        _give_up(workspace, error, resumed)
        raise
    finally:
        source.close()
    return sum(outcome.taken for outcome in outcomes)


def _write(
    source: Source,
    workspace: Workspace,
    profile: Profile,
    joints: str | None,
    workers: int,
    dask: str | None,
    course: Course,
) -> tuple[Plan, list[Outcome], Callable[[], _Top]]:
    """Write all parts, here, in processes of this machine, or on a cluster; fewer if there are enough problems.

    Gives the plan, what became of the parts, and what gives the top of the source, or raises what is wrong with it.
    """
    plan = _plan(source, profile)
    _stated(source, joints, plan.grids)  # told as soon as it can be seen
    jobs = _jobs(source, plan, workspace, course)
    if dask is None and not source.explore():  # no more processes than there are parts; a large source has many
        first = list(islice(jobs, workers))
        workers = len(first)
        jobs = chain(first, jobs)
    if dask is None and workers <= 1:
        outcomes: list[Outcome] = []
        listed = []
        for job in jobs:
            listed.append(job)
            course.tell()
        for job in listed:
            outcomes.append(write_part(source, plan, job, partial(course.reach, job)))
            course.reach(job, job.stop - job.start)
            if enough(outcomes):
                break
        return plan, outcomes, partial(_top, source)
    top: Future[_Top] = Future()

    def tasks() -> Iterator[tuple[Sent, Job]]:
        yield from sent_along(source, plan, jobs, workspace.parts)
        # While the workers write, and this process has nothing else to do.
        try:
            top.set_result(_top(source))
        except Exception as error:
            top.set_exception(error)

    with cluster_workers(dask) if dask is not None else local_workers(workers) as crew:
        return plan, write_parts(source, tasks(), crew, course), top.result


def _finished_parts(workspace: Workspace) -> set[str]:
    """Names of the parts with a part record; the folder of a part that is being written has a dot in its name."""
    return {path.parent.name for path in workspace.parts.glob(f"*/{PART_RECORD_KEY}") if "." not in path.parent.name}


def _give_up(workspace: Workspace, error: BaseException, resumed: bool) -> None:
    """Keep the finished parts if the same command could go on from them; else remove the workspace.

    What is wrong with a source does not remove the parts of a run that was ``resumed``: it was not wrong then, and may
    be a folder that is not mounted now.
    """
    at_fault = isinstance(error, UnsupportedValueError) or (isinstance(error, SourceError) and not resumed)
    again = "command again with the right layout" if isinstance(error, JointLayoutError) else "same command again"
    workspace.add_place(error)
    if workspace.committed:
        workspace.leave()
        error.add_note(f"{workspace.destination} is complete; {workspace.folder}, beside it, can be deleted")
    elif not at_fault and _finished_parts(workspace):
        workspace.leave()
        error.add_note(f"{workspace.folder} keeps the finished parts: run the {again} to go on from them")
    else:
        with contextlib.suppress(OSError):  # the next run clears what cannot be removed; the error is to be told
            workspace.discard()


def _stated(source: Source, joints: str | None, fields: Iterable[FieldIdentity]) -> dict[str, Json]:
    """What the store keeps of the layout that was stated for the joints; nothing if none was."""
    if joints is None:
        return {}
    try:
        return {"joints": stated(joints, keypoint_shapes(of_keypoint(fields)))}
    except JointLayoutError as error:
        raise JointLayoutError(f"{source.path}: {error}") from None


def _refuse_other_classes(source: Source, top: _Top, class_names: Sequence[str] | None) -> None:
    """Raise SourceError if the names that were given have a class in another place than the source has numbered it."""
    numbered = top.description.get("class_names")
    if not isinstance(numbered, list) or class_names is None:
        return
    places = {name: label for label, name in enumerate(class_names)}
    for label, name in enumerate(numbered):
        if places.get(name, label) != label:
            raise SourceError(
                f"{source.path}: the class {name!r} is label {label}, as the source has its name, and label "
                f"{places[name]} by --labels (class_names): leave out --labels, or give its names in the source's order"
            )


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plan(source: Source, profile: Profile) -> Plan:
    planner = Planner(profile)
    position = 0
    while not planner.full:
        if position == source.known:
            if source.explore():
                continue
            break
        with contextlib.suppress(SkelstoreError):  # told, with all others like it, when its part is written
            planner.add(source.video(position)[0])
        position += 1
    return planner.plan()


def _jobs(source: Source, plan: Plan, workspace: Workspace, course: Course) -> Iterator[Job]:
    """The parts to write, each as soon as it can be; whatever else an earlier run has left in the workspace is removed.

    In the end the source is closed: it opens again, and is then held against what was found in it.
    """
    finished = _finished_parts(workspace)
    workspace.keep_parts(finished)
    for number, (start, stop) in enumerate(
        chunking.plan_parts(_sizes(source, course), chunking.PART_BYTES, PART_VIDEOS)
    ):
        identity = identity_of(source, plan, start, stop)
        folder = workspace.parts / part_name(number, identity)
        finished.discard(folder.name)
        yield Job(number, start, stop, folder, identity)
    workspace.remove_parts(finished)
    source.close()


def _sizes(source: Source, course: Course) -> Iterator[int]:
    """The size of every video of a source, which is explored meanwhile."""
    given = 0
    while given < source.known or source.explore():
        more = source.sizes()[given:].tolist()
        course.know(more, complete=False)
        yield from more
        given += len(more)
    course.know([], complete=True)


def _top(source: Source) -> _Top:
    try:
        return _Top(source.splits(), source.description())
    finally:
        source.close()


def _description(source: Source, top: _Top, left_out: list[Json]) -> dict[str, Json]:
    described = {"dialect": source.dialect, **top.description}
    return described | {"left_out": [*described.get("left_out", []), *left_out]} if left_out else described


def _raise_problems(problems: list[str]) -> None:
    if not problems:
        return
    more = [f"… and perhaps more after these {SHOWN_PROBLEMS}"] if len(problems) >= SHOWN_PROBLEMS else []
    raise UnsupportedValueError(join_lines([*merge_repeats(problems[:SHOWN_PROBLEMS]), *more]))
