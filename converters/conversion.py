"""Converting a source into a store: cut into parts, written by any number of processes, joined.

A part that is finished is never written again. Its folder is named after its identity (what it was made from, and
how), and its receipt says so too: a run that was interrupted goes on from the parts that it left.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import lru_cache
from importlib.metadata import version
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import NamedTuple, TypedDict

from converters.source import LeftOut, Source, refusal, shown_name, splits_without
from converters.workers import Workers, cluster_workers, finished, local_workers
from skelstore import layout
from skelstore.codecs import PROFILES, Profile
from skelstore.errors import (
    JointLayoutError,
    SkelstoreError,
    SourceError,
    StoreError,
    UnsupportedValueError,
    WorkerError,
)
from skelstore.joining import join
from skelstore.joints import keypoint_shapes, stated
from skelstore.layouts import FieldIdentity, of_keypoint
from skelstore.metadata import FORMAT_VERSION
from skelstore.parts import PART_VIDEOS, Part, PartWriter, Plan, Planner
from skelstore.receipts import RECEIPT_KEY, find_part, keep_part, part_name
from skelstore.values import Json
from skelstore.workspace import Workspace

_SHOWN_PROBLEMS = 20


class ConvertOptions(TypedDict, total=False):
    """Options that every dialect's ``convert`` takes.

    ``profile``: how chunks are coded (``fast``, ``default``, ``small``). ``force``: replace a store that stands at
    the destination, once the new one is complete. ``workers``: processes; with more than one a script needs the usual
    ``if __name__ == "__main__"``. ``dask``: address of the scheduler of a Dask cluster, whose workers write the parts
    instead. ``advance``: called with the number of videos that were written since the last call. ``joints``: the layout
    of the joints, by its name in ``skelstore.joints.LAYOUTS``. ``class_names``: by label. Both are kept with the data.
    """

    profile: Profile
    force: bool
    workers: int
    dask: str | None
    advance: Callable[[int], None] | None
    joints: str | None
    class_names: Sequence[str] | None


class _Job(NamedTuple):
    """The videos ``start`` to ``stop`` of the source, to be written as a part into ``folder``."""

    start: int
    stop: int
    folder: Path
    identity: Json


class _Outcome(NamedTuple):
    part: Part | None
    problems: list[str]
    left_out: list[Json]
    taken: bool = False
    """Whether an earlier run had finished the part."""


def convert_source(
    source: Source,
    destination: str | os.PathLike[str],
    *,
    profile: Profile = "default",
    force: bool = False,
    workers: int = 1,
    dask: str | None = None,
    advance: Callable[[int], None] | None = None,
    joints: str | None = None,
    class_names: Sequence[str] | None = None,
) -> int:
    """Write the videos of a source, in order, as a store at ``destination``; nothing stands there before the end.

    Gives how many parts were taken from a run that was interrupted. When this one is (by whatever is no fault of the
    data), its finished parts stay beside the destination, and the exception has a note that says so.

    Raises UnsupportedValueError that lists the values no store can hold, SourceError for what the source gets
    wrong, JointLayoutError if the keypoints do not have the stated joints, WorkerError if a process that wrote a part
    died, StoreExistsError or StoreError as ``skelstore.Writer`` does.
    """
    if profile not in PROFILES:
        raise StoreError(f"profile {profile!r}; expected one of {', '.join(PROFILES)}")
    workspace = Workspace(destination, force=force, resume=True)
    try:
        plan, outcomes = _write(source, workspace, profile, joints, workers, dask, advance)
        _raise_problems([problem for outcome in outcomes for problem in outcome.problems])
        parts = [outcome.part for outcome in outcomes if outcome.part is not None]
        left_out = [entry for outcome in outcomes for entry in outcome.left_out]
        kept = _stated(source, joints, [field for part in parts for field in part.fields])
        if class_names is not None:
            kept["class_names"] = list(class_names)
        try:
            about = _description(source, left_out) | kept
            join(parts, plan, splits_without(source, left_out), about, workspace.store)
        except UnsupportedValueError as error:
            raise UnsupportedValueError(refusal(source, error), error.place, error.value) from None
        workspace.commit()
    except BaseException as error:
        _give_up(workspace, error)
        raise
    return sum(outcome.taken for outcome in outcomes)


def _write(
    source: Source,
    workspace: Workspace,
    profile: Profile,
    joints: str | None,
    workers: int,
    dask: str | None,
    advance: Callable[[int], None] | None,
) -> tuple[Plan, list[_Outcome]]:
    """Write all parts, here, in processes of this machine, or on a cluster; fewer if there are enough problems."""
    cuts = layout.cut(source.sizes().tolist(), layout.PART_BYTES, PART_VIDEOS)
    count = min(len(cuts), workers)
    if dask is None and count <= 1:
        plan, jobs = _prepare(source, profile, cuts, workspace)
        _stated(source, joints, plan.grids)  # told as soon as it can be seen
        outcomes: list[_Outcome] = []
        for job in jobs:
            outcomes.append(write_part(source, plan, job, advance))
            if _enough(outcomes):
                break
        return plan, outcomes
    # The processes begin to start before the plan is made.
    with cluster_workers(dask) if dask is not None else local_workers(count) as crew:
        plan, jobs = _prepare(source, profile, cuts, workspace)
        _stated(source, joints, plan.grids)
        sent = _send(source, plan, workspace.parts)
        return plan, _write_parts(source, sent, jobs, crew, advance)


def _give_up(workspace: Workspace, error: BaseException) -> None:
    """Keep the finished parts if the same command could go on from them; else remove the workspace."""
    at_fault = isinstance(error, SourceError | UnsupportedValueError)
    again = "command again with the right layout" if isinstance(error, JointLayoutError) else "same command again"
    workspace.tell_place(error)
    if workspace.committed:
        workspace.leave()
        error.add_note(f"{workspace.destination} is complete; {workspace.folder}, beside it, can be deleted")
    elif not at_fault and any(workspace.parts.glob(f"*/{RECEIPT_KEY}")):
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


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepare(
    source: Source, profile: Profile, cuts: list[tuple[int, int]], workspace: Workspace
) -> tuple[Plan, list[_Job]]:
    """The plan, and the parts to write; whatever else an earlier run has left in the workspace is removed."""
    plan = _plan(source, profile)
    jobs = []
    for number, (start, stop) in enumerate(cuts):
        identity = _identity(source, plan, start, stop)
        jobs.append(_Job(start, stop, workspace.parts / part_name(number, identity), identity))
    workspace.keep_parts([job.folder.name for job in jobs])
    source.close()  # it opens again, and is then held against what was indexed
    return plan, jobs


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


def _identity(source: Source, plan: Plan, start: int, stop: int) -> Json:
    """What a part is made from, and how: with the same identity it is the same part."""
    named = [os.path.abspath(file) for file in source.files(start, stop)], [source.place(i) for i in range(start, stop)]
    return {
        "version": [version("skelstore"), FORMAT_VERSION],
        "dialect": source.dialect,
        "source": shown_name(source.path),
        "settings": source.settings(),
        "videos": [start, stop],
        "named": hashlib.blake2b(repr(named).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest(),
        "state": _state(source, start, stop),
        "plan": plan.to_json(),
    }


def _state(source: Source, start: int, stop: int) -> str:
    """Fingerprint of the files that the videos are read from: of the size and the times of change of each.

    No content is read. A file that was written to, or that another took the place of, has another ctime, which no
    program can set.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in source.files(start, stop):
        status = file.stat()
        digest.update(b"%d %d %d\n" % (status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return digest.hexdigest()


class _Sent(NamedTuple):
    """A file that holds a source and its plan, pickled, and the digest by which it is known to be ours."""

    path: Path
    digest: bytes


def _send(source: Source, plan: Plan, folder: Path) -> _Sent:
    """Write the source, with its index, where all workers find it: it is too large to go with every part."""
    data = bytes(ForkingPickler.dumps((source, plan)))
    path = folder / f"source.{secrets.token_hex(4)}"
    path.write_bytes(data)
    return _Sent(path, hashlib.blake2b(data).digest())


@lru_cache(maxsize=1)
def _received(sent: _Sent) -> tuple[Source, Plan]:
    data = sent.path.read_bytes()
    if hashlib.blake2b(data).digest() != sent.digest:
        raise StoreError(f"{sent.path} is not what was written for the workers: run the same command again")
    found: tuple[Source, Plan] = ForkingPickler.loads(data)
    return found


def _write_parts(
    source: Source, sent: _Sent, jobs: list[_Job], workers: Workers, advance: Callable[[int], None] | None
) -> list[_Outcome]:
    """Let the workers write the parts, until there are enough problems.

    Raises WorkerError, when what others were at is finished, if one died.
    """
    outcomes: dict[int, _Outcome] = {}
    with closing(finished(workers, _write_sent, [(sent, job) for job in jobs])) as ended:
        for number, future in ended:
            job = jobs[number]
            try:
                outcomes[number] = future.result()
            except workers.died as error:
                raise WorkerError(
                    f"{source.path}: the process that wrote part {number + 1} of {len(jobs)} "
                    f"({source.place(job.start)} to {source.place(job.stop - 1)}) died: it was killed, or ran out of "
                    "memory (then use fewer workers), or this is a script without `if __name__ == '__main__'`"
                ) from error
            if advance:
                advance(job.stop - job.start)
            if _enough(outcomes.values()):
                break
    return [outcomes[number] for number in sorted(outcomes)]


def _enough(outcomes: Iterable[_Outcome]) -> bool:
    """Whether no more parts need to be written, since there are as many problems as are told."""
    return sum(len(outcome.problems) for outcome in outcomes) >= _SHOWN_PROBLEMS


_one_at_a_time = threading.Lock()


def _write_sent(sent: _Sent, job: _Job) -> _Outcome:
    """``write_part`` in a worker. A Dask worker may have several threads, but a source is for one at a time."""
    with _one_at_a_time:
        return write_part(*_received(sent), job)


def write_part(source: Source, plan: Plan, job: _Job, advance: Callable[[int], None] | None = None) -> _Outcome:
    """Write one part, in whichever process, unless it is there. Gives the part, or the problems in its videos."""
    kept = find_part(job.folder, job.identity)
    if kept is not None:
        if advance:
            advance(job.stop - job.start)
        return _Outcome(kept.part, [], kept.left_out, taken=True)
    if job.folder.exists():
        shutil.rmtree(job.folder)
    # Of an own name, since two processes may be at the same part: one that a scheduler believes dead may not be.
    attempt = job.folder.with_name(f"{job.folder.name}.{secrets.token_hex(4)}")
    writer = PartWriter(attempt, plan)
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
        if problems or not writer.videos:
            return _Outcome(None, problems, left_out)
        part = writer.close()
        if _state(source, job.start, job.stop) != job.identity["state"]:
            raise SourceError(f"{source.path}: the source has changed while it was converted: convert it again")
        return _Outcome(keep_part(part, job.folder, job.identity, left_out), [], left_out)
    finally:
        writer.abort()
        source.close()
        shutil.rmtree(attempt, ignore_errors=True)


def _description(source: Source, left_out: list[Json]) -> dict[str, Json]:
    described = {"dialect": source.dialect, **source.description()}
    return described | {"left_out": [*described.get("left_out", []), *left_out]} if left_out else described


def _raise_problems(problems: list[str]) -> None:
    if not problems:
        return
    more = f"\n… and perhaps more after these {_SHOWN_PROBLEMS}" if len(problems) >= _SHOWN_PROBLEMS else ""
    raise UnsupportedValueError("\n".join(problems[:_SHOWN_PROBLEMS]) + more)
