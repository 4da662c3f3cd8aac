"""The annotation that each recipe makes from the bodies in an NTU RGB+D file.

``raw`` keeps every value. ``pyskl`` equals PYSKL's tools/data/ntu_preproc.py, ``mmaction2`` equals MMAction2's
tools/data/skeleton/gen_ntu_rgbd_raw.py, and ``ctrgcn`` equals the scripts in CTR-GCN's data/ntu and data/ntu120, array
for array, including their defects. Sums and variances are computed over arrays of the same shapes and dtypes as
upstream: another order of summation could change a decision.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from converters.conversion.source import SkippedVideoError
from converters.dialects.ntu.bodies import SHORT, SPREAD_SHARE, Body, find_bodies, motion_of, upright
from converters.dialects.ntu.ctrgcn_recipe import choose_persons
from converters.dialects.ntu.skeleton_file import JOINTS, Skeleton
from converters.inputs.ntu_names import Recipe, Task
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation

RECIPES: tuple[Recipe, ...] = get_args(Recipe)
"""The words that ``--recipe`` accepts; ``raw`` is the first."""

BODY_FIELDS = ("frame_inds", "body_id", "position")
"""The fields of a raw annotation that the other recipes use, in addition to ``total_frames``."""

MOTION = "motion"
"""A further field, which only the annotations of raw_skes_data.pkl have."""

_EPSILON = 1e-3
"""Sums of absolute coordinates, in metres, below which a frame or joint counts as empty (PYSKL)."""
_SLOTS = 4
"""Bodies per frame that MMAction2 reads."""
_TRACKS = 2
"""Persons M of an annotation, at most."""


def raw(name: str, label: int, skeleton: Skeleton) -> Annotation:
    """The annotation of the recipe ``raw``: all values of a file, in the arrays that ``Skeleton`` describes."""
    return {"frame_dir": name, "label": label, **skeleton._asdict()}


def apply_recipe(recipe: Recipe, annotation: Annotation, task: Task = "ntu60") -> Annotation:
    """The annotation that a recipe makes from one of ``raw``: ``keypoint`` [M, T, 25, 3] in metres.

    It is float16, of ``ctrgcn`` float32. ``raw`` returns the annotation itself. ``task`` is the data set: for
    ``ntu120``, ``ctrgcn`` doubles single persons. ``motion``, which only the annotations of
    raw_skes_data.pkl have, is that of ``find_bodies``. Raises SkippedVideoError if no frame has a body (``pyskl``),
    SourceError if a coordinate is beyond the dtype or upstream fails, too.
    """
    name, total_frames = annotation["frame_dir"], annotation["total_frames"]
    frames, ids, position = (annotation[key] for key in BODY_FIELDS)
    motions = annotation.get(MOTION)
    if recipe == "raw":
        return annotation
    largest = np.abs(position).max(initial=0)
    dtype = np.float32 if recipe == "ctrgcn" else np.float16
    if largest > np.finfo(dtype).max:
        raise SourceError(f"a coordinate of {largest:g} m is beyond {np.dtype(dtype)}: the file is damaged")
    keypoint: NDArray[np.floating[Any]]
    if recipe == "mmaction2":
        keypoint = _strongest_slots(total_frames, frames, position).astype(np.float16)
    else:
        single = position.astype(np.float32)
        bodies = find_bodies(frames, ids, single, motions)
        if recipe == "ctrgcn":
            count = len(np.unique(frames)) if motions is None else min(total_frames, len(frames))
            keypoint = choose_persons(bodies, count, doubled=task == "ntu120")
        elif bodies:
            keypoint = _tracks(bodies).astype(np.float16)
        else:
            raise SkippedVideoError(name, "no frame has a body")
    return {
        "frame_dir": name,
        "label": annotation["label"],
        "keypoint": np.ascontiguousarray(keypoint),
        "total_frames": keypoint.shape[1],
    }


# ------------------------------------------------------------------------------------------ mmaction2


def _strongest_slots(total_frames: int, frames: NDArray[Any], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """The two slots that move most, without empty ones [M, T, 25, 3]. Slot m has the m-th body of every frame."""
    slots = np.arange(len(frames)) - np.searchsorted(frames, frames)
    kept = slots < _SLOTS
    data = np.zeros((_SLOTS, total_frames, JOINTS, 3))
    data[slots[kept], frames[kept]] = position[kept]
    energy = np.array([_energy(slot) for slot in data])
    # Equal slots are ordered by NumPy's default sort, as upstream.
    data = data[energy.argsort()[::-1][:_TRACKS]]
    filled: NDArray[np.float64] = data[data.sum((1, 2, 3)) != 0]
    return filled


def _energy(slot: NDArray[np.float64]) -> float:
    """Standard deviation over frames and joints, summed over x, y, z, of the frames whose sum is not zero."""
    slot = slot[slot.sum(-1).sum(-1) != 0]
    return float(slot[:, :, 0].std() + slot[:, :, 1].std() + slot[:, :, 2].std()) if len(slot) else 0.0


# ---------------------------------------------------------------------------------------------- pyskl


def _tracks(bodies: list[Body]) -> NDArray[np.float32]:
    """A single body [1, F, 25, 3], or two tracks with several bodies [2, T, 25, 3]."""
    bodies = _sort_by_motion(bodies)
    for keep in (lambda same: same, _drop_short, _drop_spread):
        bodies = keep(bodies)
        if len(bodies) == 1:
            return bodies[0].keypoint[None]
    tracks = _trim(_assign_tracks(bodies))
    first, second = (np.sum(np.abs(track[0, 1])) for track in tracks)
    return tracks[::-1] if first < _EPSILON and second > _EPSILON else tracks


def _sort_by_motion(bodies: list[Body]) -> list[Body]:
    return sorted(bodies, key=lambda body: -body.motion)


def _drop_short(bodies: list[Body]) -> list[Body]:
    return [body for body in bodies if len(body.keypoint) > SHORT]


def _drop_spread(bodies: list[Body]) -> list[Body]:
    """Drop bodies that are too wide for a person in most frames.

    The motion of the others is at most that of their valid frames. Raises SourceError if none is left.
    """
    kept = []
    for body in bodies:
        valid = upright(body.keypoint)
        if valid.all():
            kept.append(body)
        elif 1 - np.count_nonzero(valid) / len(valid) < SPREAD_SHARE:
            body.motion = min(body.motion, motion_of(body.keypoint[valid]))
            kept.append(body)
    if not kept:
        raise SourceError(
            f"none of several bodies has more than {SHORT} frames and the shape of a person; PYSKL fails on it too"
        )
    return _sort_by_motion(kept)


def _assign_tracks(bodies: list[Body]) -> NDArray[np.float32]:
    """Put each body into the first of two tracks that is free in its frames; drop it if there is none."""
    tracks = np.zeros((_TRACKS, max(body.end for body in bodies), JOINTS, 3), np.float32)
    taken = [(bodies[0].start, bodies[0].end), (0, 0)]
    tracks[0, bodies[0].start : bodies[0].end] = bodies[0].keypoint
    for body in bodies[1:]:
        for track, (start, end) in enumerate(taken):
            if max(start, body.start) >= min(end, body.end):
                tracks[track, body.start : body.end] = body.keypoint
                taken[track] = min(start, body.start), max(end, body.end)
                break
    return tracks


def _trim(tracks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove the empty frames at both ends. Raises SourceError if all frames are empty."""
    frames = range(tracks.shape[1])
    first = next((frame for frame in frames if _is_filled(tracks[:, frame])), None)
    if first is None:
        raise SourceError("every joint of every body is at zero; PYSKL fails on it too")
    last = next(frame for frame in reversed(frames) if _is_filled(tracks[:, frame]))
    return tracks[:, first : last + 1]


def _is_filled(frame: NDArray[np.float32]) -> bool:
    return not np.sum(np.abs(frame)) < _EPSILON
