"""Decompressing the form of Kinetics-400 to [M, T, V, C]: our code against the loop over skeletons of training code.

Then the whole access, from the name to the decompressed dict, against memcached with that loop.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from converters.bench.data import Annotation, DataSet
from converters.bench.memcached import Memcached, one_core
from converters.bench.results import Result, Wanted
from converters.bench.timing import Spent, alternate, interleave, shuffles, timed
from skelstore.format.codecs import Profile
from skelstore.read.decompression import decompress_pose

MAX_PERSON = 10
BOX_THRESHOLD = 0.5
VALID_RATIO = 1e-6
"""Above 0, else upstream filters no boxes; so small that only videos without a box above the threshold are dropped."""

PROFILES: tuple[Profile, ...] = ("fast", "default")
OURS = "skelstore.decompress_pose"
UPSTREAM = "MMAction2's DecompressPose"
LOOP = Wanted(15)
WHOLE_ACCESS = Wanted(10)


def by_loop(annotation: Annotation, max_person: int = MAX_PERSON) -> Annotation:
    """The algorithm of DecompressPose (squeeze) as a Python loop over skeletons, written for this comparison.

    The maximum number of persons per frame is computed with ``bincount``, which is faster than upstream's
    ``scipy.stats.mode``.
    """
    result = dict(annotation)
    frames, skeletons = result.pop("frame_inds"), result["keypoint"]
    if "anno_inds" in result:
        frames, skeletons = frames[result["anno_inds"]], skeletons[result["anno_inds"]]
    numbers = {frame: i for i, frame in enumerate(np.unique(frames))}
    frames = np.array([numbers[frame] for frame in frames], np.int16)
    total, joints = len(numbers), skeletons.shape[1]
    persons = int(np.bincount(frames).max())
    keypoint = np.zeros((persons, total, joints, 2), np.float16)
    score = np.zeros((persons, total, joints), np.float16)
    seen = np.zeros(total, np.int16)
    for frame, skeleton in zip(frames, skeletons, strict=True):
        person = seen[frame]
        keypoint[person, frame] = skeleton[:, :2]
        score[person, frame] = skeleton[:, 2]
        seen[frame] += 1
    if persons > max_person:
        for frame in range(total):
            there = seen[frame]
            sums = score[:there, frame].sum(-1)
            order = sorted(range(there), key=lambda person: -sums[person])
            keypoint[:there, frame] = keypoint[order, frame]
            score[:there, frame] = score[order, frame]
        result["num_person"] = persons = max_person
    result["total_frames"] = total
    result["keypoint"], result["keypoint_score"] = keypoint[:persons], score[:persons]
    return result


def upstream() -> Callable[[Annotation], Annotation] | None:
    """MMAction2's DecompressPose; None if MMAction2 is not installed."""
    try:
        from mmaction.datasets.transforms import DecompressPose
    except ImportError:
        return None
    transform: Callable[[Annotation], Annotation] = DecompressPose(squeeze=True, max_person=MAX_PERSON).transform
    return lambda annotation: transform(dict(annotation))


def measure(data: DataSet, folder: Path, calls: int, rounds: int) -> Result:
    """Time the decompression of annotations in memory, then the whole access."""
    result = Result("decompression", f"compressed to [M, T, V, C], squeeze, max_person={MAX_PERSON}")
    result.conditions = {"videos": len(data.names), "videos per round": min(calls, len(data.names)), "rounds": rounds}
    names = data.sample(calls)
    wanted = set(names)
    annotations = {name: a for name, a in zip(data.names, data.loaded, strict=True) if name in wanted}
    loops: dict[str, Callable[[Annotation], Annotation]] = {"plain loop": by_loop}
    if (theirs := upstream()) is None:
        result.skipped[UPSTREAM] = "mmaction2 is not installed: `make mmaction-test` creates an environment with it"
    else:
        loops[UPSTREAM] = theirs
    sides: dict[str, Callable[[str], object]] = {
        name: lambda key, loop=loop: loop(annotations[key])  # type: ignore[misc]
        for name, loop in loops.items()
    }
    sides[OURS] = lambda name: decompress_pose(annotations[name], max_person=MAX_PERSON)
    result.measurements = {name: times.values() for name, times in interleave(sides, shuffles(names, rounds)).items()}
    for name in loops:
        result.claim_speed(OURS, name, {(OURS, UPSTREAM): LOOP})
    for name, loop in loops.items():
        _measure_whole_access(result, data, folder, name, loop, rounds, calls)
    return result


def _measure_whole_access(
    result: Result,
    data: DataSet,
    folder: Path,
    loop_name: str,
    loop: Callable[[Annotation], Annotation],
    rounds: int,
    calls: int,
) -> None:
    """Time reading by name, box filter and decompression: from a store, and as PYSKL does it with memcached."""
    memcached = Memcached(keys=("keypoint",))  # the content of a kpfile
    theirs = f"memcached + {loop_name}"
    if reason := memcached.missing():
        result.skipped[theirs] = reason
        return
    place = folder / "decompression"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    memcached.build(data, place)
    # PYSKL has the table of contents in every process, with the box filter applied, and copies an entry per access.
    infos = {name: _info(annotation) for name, annotation in zip(data.names, data.loaded, strict=True)}
    stores = {profile: data.store(profile) for profile in PROFILES}
    data.forget()
    memcached.open()

    def by_memcached(name: str) -> Annotation:
        annotation = copy.deepcopy(infos[name])
        return loop(annotation | memcached.get(name))

    def on_one_core(names: Sequence[str]) -> Spent:
        with one_core():
            return timed(by_memcached, names)

    sides: dict[str, Callable[[Sequence[str]], Spent]] = {theirs: on_one_core}
    try:
        for profile in PROFILES:
            view = skelstore.open(stores[profile]).decompressed(
                box_thr=BOX_THRESHOLD, valid_ratio=VALID_RATIO, squeeze=True, max_person=MAX_PERSON
            )
            sides[f"store.decompressed, {profile}"] = partial(timed, view.__getitem__)
        names = [name for name in data.sample(calls) if name in view]  # some have no box above the threshold
        result.measurements |= {
            name: times.values() for name, times in alternate(sides, shuffles(names, rounds)).items()
        }
    finally:
        memcached.close()
        shutil.rmtree(place, ignore_errors=True)
    for profile in PROFILES:
        side = f"store.decompressed, {profile}"
        result.claim_speed(side, theirs, {(side, f"memcached + {UPSTREAM}"): WHOLE_ACCESS})


def _info(annotation: Annotation) -> dict[str, Any]:
    info = {key: value for key, value in annotation.items() if key != "keypoint"}
    return info | {"anno_inds": annotation["box_score"] >= BOX_THRESHOLD}
