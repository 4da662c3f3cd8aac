"""Converting a source to a store: planning parts, writing them with any number of processes, and joining them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple, TypedDict

from converters.conversion.distribution import Progress, write_parts
from converters.conversion.jobs import (
    SHOWN_PROBLEMS,
    Job,
    Outcome,
    common_identity,
    enough_problems,
    identity_of,
    with_sent_source,
    write_part,
)
from converters.conversion.places import Place, place_of
from converters.conversion.repetition import merge_repeats
from converters.conversion.sending import Sent
from converters.conversion.shuffling import Order, require_seed, shuffled_order
from converters.conversion.source import Reached, Source, refusal, splits_without
from converters.conversion.workers import cluster_workers, local_workers
from skelstore.errors import JointLayoutError, SkelstoreError, SourceError, StoreError, UnsupportedValueError
from skelstore.format import chunking
from skelstore.format.codecs import PROFILES, Profile
from skelstore.format.layouts import FieldIdentity, of_keypoint
from skelstore.format.values import Json
from skelstore.joints import keypoint_shapes, stated
from skelstore.remote.url import Url
from skelstore.wording import closest, join_lines
from skelstore.write.parts import PART_VIDEOS
from skelstore.write.planning import SAMPLE_VIDEOS, Plan, Planner


class ConvertOptions(TypedDict, total=False):
    """Options that every dialect's ``convert`` accepts.

    ``profile``: how chunks are compressed (``fast``, ``default``, ``small``). ``force``: replace a store at the
    destination once the new one is complete. ``shared``: let the group of the destination's folder continue an
    interrupted conversion, and continue one of theirs. ``workers``: number of processes; with more than one, a script
    needs the usual ``if __name__ == "__main__"``. ``dask``: address of the scheduler of a Dask cluster, whose workers
    write the parts instead. ``advance``: called with the number of videos written since the last call. ``joints``: the
    joint layout, by its name in ``skelstore.joints.LAYOUTS``. ``class_names``: the name of the class of each label.
    Both are stored with the data. ``shuffle``: a seed, 0 or more; videos are written in a random order that it
    determines, and an export restores theirs.
    """

    profile: Profile
    force: bool
    shared: bool
    workers: int
    dask: str | None
    advance: Callable[[int], None] | None
    joints: str | None
    class_names: Sequence[str] | None
    shuffle: int | None


class _Top(NamedTuple):
    """What a source has in addition to its videos."""

    splits: dict[Any, Any]
    description: dict[str, Json]


def convert_source(
    source: Source,
    destination: str | os.PathLike[str] | Url,
    *,
    profile: Profile = "default",
    force: bool = False,
    shared: bool = False,
    workers: int = 1,
    dask: str | None = None,
    advance: Callable[[int], None] | None = None,
    joints: str | None = None,
    class_names: Sequence[str] | None = None,
    shuffle: int | None = None,
    report: Callable[[Reached], None] | None = None,
) -> int:
    """Write the videos of a source to a store at ``destination``, which appears only when it is complete.

    They are written in order, or with ``shuffle`` in the random order of that seed.

    ``destination`` is a path, or a URL of an object store (``s3://``, ``gs://``, ``az://``), to which each worker sends
    its parts.

    ``report`` is called with the progress at least twice per second while parts are written.

    Returns the number of parts that were reused from an interrupted run. If this run is interrupted by an error that is
    not caused by the data, its finished parts are kept beside the destination, or below its URL, and a note on the
    exception says so.

    Raises UnsupportedValueError, which lists the values that no store can hold; SourceError for errors in the source;
    JointLayoutError if the keypoints do not have the stated joint layout; WorkerError if a process that was writing a
    part died; StoreExistsError and StoreError as ``skelstore.Writer`` does, and StoreError for parts of an interrupted
    run with another seed; for a URL, what requests raise.
    """
    if profile not in PROFILES:
        raise StoreError(f"profile {profile!r}; expected one of {', '.join(PROFILES)}{closest(profile, PROFILES)}")
    if workers < 0:
        raise StoreError(f"workers is {workers}; expected 1 or more")
    if shuffle is not None:
        require_seed(shuffle)
    place = place_of(destination, force=force, shared=shared, seed=shuffle)
    if workers > 1 or dask is not None:
        _refuse_secrets(source, place)
    try:
        with place.shared():
            progress = Progress(advance, report)
            plan, outcomes, read_top = _write(source, place, profile, joints, workers, dask, shuffle, progress)
        _raise_problems([problem for outcome in outcomes for problem in outcome.problems])
        left_out = [entry for outcome in outcomes for entry in outcome.left_out]
        left_out.sort(key=lambda entry: entry["index"])
        kept = _stated_joints(source, joints, [field for one in outcomes if one.part for field in one.part.fields])
        if class_names is not None:
            kept["class_names"] = list(class_names)
        if shuffle is not None:
            kept["shuffled"] = {"seed": shuffle}
        try:
            top = read_top()
            _refuse_other_classes(source, top, class_names)
            about = _describe(source, top, left_out) | kept
            with place.shared():
                place.join(outcomes, plan, splits_without(top.splits, left_out), about)
        except UnsupportedValueError as error:
            raise UnsupportedValueError(refusal(source, error), error.place, error.value) from None
        place.commit()
    except BaseException as error:
        place.give_up(error)
        raise
    finally:
        source.close()
    return sum(outcome.taken for outcome in outcomes)


def _write(
    source: Source,
    place: Place,
    profile: Profile,
    joints: str | None,
    workers: int,
    dask: str | None,
    seed: int | None,
    progress: Progress,
) -> tuple[Plan, list[Outcome], Callable[[], _Top]]:
    """Write all parts in this process, in local processes, or on a cluster; stop early if there are enough problems.

    Returns the plan, the outcomes of the parts, and a function that returns the top of the source or raises its error.
    """
    order = None if seed is None else shuffled_order(source, seed)
    plan = _plan(source, profile, order)
    _stated_joints(source, joints, plan.grids)  # reports a wrong layout early
    place.begin(common_identity(source, plan, seed))
    jobs = _jobs(source, plan, place, progress, order, seed)
    if dask is None and not source.index_more():
        # At most one process per part; a source that is not fully indexed has many parts.
        first = list(islice(jobs, workers))
        workers = len(first)
        jobs = chain(first, jobs)
    if dask is None and workers <= 1:
        outcomes: list[Outcome] = []
        planned = []
        for job in jobs:
            planned.append(job)
            progress.report()
        for job in planned:
            outcomes.append(write_part(source, plan, job, partial(progress.update, job)))
            progress.update(job, job.stop - job.start)
            if enough_problems(outcomes):
                break
        return plan, outcomes, partial(_read_top, source)
    top: Future[_Top] = Future()

    def tasks() -> Iterator[tuple[Sent, Job]]:
        yield from with_sent_source(source, plan, jobs, place.parts)
        # This process is idle while the workers write.
        try:
            top.set_result(_read_top(source))
        except Exception as error:
            top.set_exception(error)

    with cluster_workers(dask) if dask is not None else local_workers(workers) as pool:
        return plan, write_parts(source, tasks(), pool, progress), top.result


def _refuse_secrets(source: Source, place: Place) -> None:
    """Raise SourceError if a password or token in the URL of a source would be written to a bucket, for workers."""
    url = source.path
    if isinstance(url, Url) and url.secret != str(url) and isinstance(place.parts, Url):
        raise SourceError(
            f"{url} was given with a password or a token, which would be written to {place.parts} for the workers: "
            "convert it with one worker, or copy the store with skelstore pull"
        )


def _stated_joints(source: Source, joints: str | None, fields: Iterable[FieldIdentity]) -> dict[str, Json]:
    """What the store keeps of the stated joint layout; empty if none was stated."""
    if joints is None:
        return {}
    try:
        return {"joints": stated(joints, keypoint_shapes(of_keypoint(fields)))}
    except JointLayoutError as error:
        raise JointLayoutError(f"{source.path}: {error}") from None


def _refuse_other_classes(source: Source, top: _Top, class_names: Sequence[str] | None) -> None:
    """Raise SourceError if a class has another label in the given names than in the source."""
    numbered = top.description.get("class_names")
    if not isinstance(numbered, list) or class_names is None:
        return
    places = {name: label for label, name in enumerate(class_names)}
    for label, name in enumerate(numbered):
        if places.get(name, label) != label:
            raise SourceError(
                f"{source.path}: the class {name!r} has label {label} in the source, but label {places[name]} in "
                "--labels (class_names): leave out --labels, or give the names in the order of the source"
            )


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plan(source: Source, profile: Profile, order: Order | None) -> Plan:
    planner = Planner(profile)
    for position in _positions(source) if order is None else sorted(order[:SAMPLE_VIDEOS].tolist()):
        with contextlib.suppress(SkelstoreError):  # reported with all similar errors when its part is written
            planner.add(source.video(position)[0])
        if planner.full:
            break
    return planner.plan()


def _positions(source: Source) -> Iterator[int]:
    """Yield the positions of a source in its order, while indexing it."""
    position = 0
    while position < source.indexed or source.index_more():
        if position < source.indexed:
            yield position
            position += 1


def _jobs(
    source: Source, plan: Plan, place: Place, progress: Progress, order: Order | None, seed: int | None
) -> Iterator[Job]:
    """Yield the parts to write, each as soon as its videos are known; remove other leftovers of an earlier run.

    Then the source is closed. When it is opened again, it checks that its files have not changed.
    """
    for number, (start, stop) in enumerate(
        chunking.plan_parts(_sizes(source, progress, order), chunking.PART_BYTES, PART_VIDEOS)
    ):
        own = None if order is None else order[start:stop]
        identity = identity_of(source, plan, start, stop, own, seed, on_one_disk=place.on_one_disk)
        yield place.job(number, start, stop, identity, own)
    place.drop_others()
    source.close()


def _sizes(source: Source, progress: Progress, order: Order | None) -> Iterator[int]:
    """Yield the size of every video of a source, in the order in which they are written, while indexing it."""
    for more in _new_sizes(source) if order is None else _shuffled_sizes(source, order):
        progress.add_known(more, complete=False)
        yield from more
    progress.add_known([], complete=True)


def _new_sizes(source: Source) -> Iterator[list[int]]:
    """Yield the sizes of videos as they are indexed."""
    done = 0
    while done < source.indexed or source.index_more():
        more = source.sizes()[done:].tolist()
        yield more
        done += len(more)


def _shuffled_sizes(source: Source, order: Order) -> Iterator[list[int]]:
    """Yield the sizes of all videos in a random order, some at a time."""
    sizes = source.sizes()
    for start in range(0, len(order), PART_VIDEOS):
        yield sizes[order[start : start + PART_VIDEOS]].tolist()


def _read_top(source: Source) -> _Top:
    try:
        return _Top(source.splits(), source.description())
    finally:
        source.close()


def _describe(source: Source, top: _Top, left_out: list[Json]) -> dict[str, Json]:
    described = {"dialect": source.dialect, **top.description}
    return described | {"left_out": [*described.get("left_out", []), *left_out]} if left_out else described


def _raise_problems(problems: list[str]) -> None:
    if not problems:
        return
    more = [f"… and perhaps more after these {SHOWN_PROBLEMS}"] if len(problems) >= SHOWN_PROBLEMS else []
    raise UnsupportedValueError(join_lines([*merge_repeats(problems[:SHOWN_PROBLEMS]), *more]))
