"""From the compressed form of Kinetics-400 to [M, T, V, C]: a loop over skeletons, as training code has it, and ours.

Then the whole access, from the name to the decompressed dict, against memcached and that loop.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from benchmarks.data import Annotation, DataSet
from benchmarks.memcached import Memcached
from benchmarks.results import Result, Wanted
from benchmarks.timing import interleave, shuffles

MAX_PERSON = 10
BOX_THRESHOLD = 0.5
LOOP = Wanted(15)
WHOLE_ACCESS = Wanted(10)


def by_loop(annotation: Annotation, max_person: int = MAX_PERSON) -> Annotation:
    """The algorithm of DecompressPose (squeeze) with a Python loop over skeletons, written anew for this comparison.

    The most persons of a frame are counted by ``bincount``, which costs less than upstream's ``scipy.stats.mode``.
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


def ours() -> Callable[..., Annotation] | None:
    """skelstore's own, if it has it already."""
    try:
        from skelstore.decompression import decompress_pose
    except ImportError:
        return None
    return decompress_pose


def measure(data: DataSet, folder: Path, calls: int, rounds: int) -> Result:
    """Time the decompression of annotations that are in memory, then the whole access."""
    result = Result("decompression", f"compressed to [M, T, V, C], squeeze, max_person={MAX_PERSON}")
    result.conditions = {"videos": data.count, "videos a round": min(calls, data.count), "rounds": rounds}
    names = data.sample(calls)
    wanted = set(names)
    annotations = {a["frame_dir"]: a for a in data.loaded if a["frame_dir"] in wanted}
    sides: dict[str, Callable[[str], object]] = {"loop": lambda name: by_loop(annotations[name])}
    decompress = ours()
    if decompress is None:
        result.skipped["skelstore.decompress_pose"] = "this version of skelstore does not have it"
    else:
        sides["skelstore.decompress_pose"] = lambda name: decompress(annotations[name], max_person=MAX_PERSON)
    result.measurements = {name: times.values() for name, times in interleave(sides, shuffles(names, rounds)).items()}
    result.claim_speed("skelstore.decompress_pose", "loop", {("skelstore.decompress_pose", "loop"): LOOP})
    _measure_whole_access(result, data, folder, names, rounds)
    return result


def _measure_whole_access(result: Result, data: DataSet, folder: Path, names: list[str], rounds: int) -> None:
    """Get, box filter, decompress: by name from a store, and as PYSKL does with memcached."""
    memcached = Memcached(keys=("keypoint",))  # what a kpfile holds
    if reason := memcached.missing():
        result.skipped["memcached + loop"] = reason
        return
    if not hasattr(skelstore.Store, "decompressed"):
        result.skipped["store.decompressed"] = "this version of skelstore does not have it"
    place = folder / "decompression"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    memcached.build(data, place)
    # PYSKL has the table of contents in every process, box filter applied, and copies an entry at every access.
    infos = {annotation["frame_dir"]: _info(annotation) for annotation in data.loaded}
    data.forget()
    memcached.open()

    def by_memcached(name: str) -> Annotation:
        annotation = copy.deepcopy(infos[name])
        return by_loop(annotation | memcached.get(name))

    sides: dict[str, Callable[[str], object]] = {"memcached + loop": by_memcached}
    try:
        if hasattr(skelstore.Store, "decompressed"):
            for profile in ("fast", "default"):
                store: Any = skelstore.open(data.store(profile))
                view = store.decompressed(box_thr=BOX_THRESHOLD, squeeze=True, max_person=MAX_PERSON)
                sides[f"store.decompressed, {profile}"] = view.__getitem__
        result.measurements |= {
            name: times.values() for name, times in interleave(sides, shuffles(names, rounds)).items()
        }
    finally:
        memcached.close()
        shutil.rmtree(place, ignore_errors=True)
    for profile in ("fast", "default"):
        side = f"store.decompressed, {profile}"
        result.claim_speed(side, "memcached + loop", {(side, "memcached + loop"): WHOLE_ACCESS})


def _info(annotation: Annotation) -> dict[str, Any]:
    info = {key: value for key, value in annotation.items() if key != "keypoint"}
    return info | {"anno_inds": annotation["box_score"] >= BOX_THRESHOLD}
