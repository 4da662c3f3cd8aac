"""The annotation that each recipe makes of the bodies in an NTU RGB+D file.

``raw`` keeps every value. ``pyskl`` equals PYSKL's tools/data/ntu_preproc.py and ``mmaction2`` equals MMAction2's
tools/data/skeleton/gen_ntu_rgbd_raw.py, array for array, also where what they do is a defect. Sums and variances are
taken over arrays of their shapes and dtypes: another order of summation could turn a decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from converters.conversion.source import SkippedVideoError
from converters.dialects.ntu.skeleton_file import JOINTS, Skeleton
from converters.inputs.ntu_names import Recipe
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation

RECIPES: tuple[Recipe, ...] = get_args(Recipe)

BODY_FIELDS = ("frame_inds", "body_id", "position")
"""Of a raw annotation, what the other recipes are made of, beside ``total_frames``."""

_EPSILON = 1e-3
_SHORT = 11
_SPREAD = 0.8
_SPREAD_SHARE = 0.69754
_LIMIT_DTYPE = (np.float32(1) * _SPREAD).dtype
"""Upstream multiplies single numbers: NumPy 1 makes a float64 of them, NumPy 2 a float32."""
_SLOTS = 4
_TRACKS = 2
_HALF_MAX = float(np.finfo(np.float16).max)


def raw(name: str, label: int, skeleton: Skeleton) -> Annotation:
    """All values of a file, as ``Skeleton`` describes them, in arrays of their own."""
    return {"frame_dir": name, "label": label, **skeleton._asdict()}


def apply_recipe(recipe: Recipe, annotation: Annotation) -> Annotation:
    """The annotation of another recipe from one of ``raw``: ``keypoint`` float16 [M, T, 25, 3].

    Raises SkippedVideoError for a video in which no frame has a body (``pyskl``), SourceError where upstream fails as
    well.
    """
    name, total_frames = annotation["frame_dir"], annotation["total_frames"]
    frames, ids, position = (annotation[key] for key in BODY_FIELDS)
    if recipe == "raw":
        return annotation
    if position.size and np.abs(position).max() > _HALF_MAX:
        raise SourceError(f"a coordinate of {np.abs(position).max():g} m is beyond float16: the file is damaged")
    if recipe == "mmaction2":
        keypoint = _strongest_slots(total_frames, frames, position).astype(np.float16)
    elif not len(ids):
        raise SkippedVideoError(name, "no frame has a body")
    else:
        keypoint = _tracks(_bodies(frames, ids, position.astype(np.float32))).astype(np.float16)
    return {
        "frame_dir": name,
        "label": annotation["label"],
        "keypoint": np.ascontiguousarray(keypoint),
        "total_frames": keypoint.shape[1],
    }


# ------------------------------------------------------------------------------------------ mmaction2


def _strongest_slots(total_frames: int, frames: NDArray[Any], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """The m-th body of a frame in slot m, whoever it is; the two slots that move most, without empty ones."""
    slots = np.arange(len(frames)) - np.searchsorted(frames, frames)
    kept = slots < _SLOTS
    data = np.zeros((_SLOTS, total_frames, JOINTS, 3))
    data[slots[kept], frames[kept]] = position[kept]
    energy = np.array([_energy(slot) for slot in data])
    # The order among equals is that of NumPy's default sort, as it is upstream.
    data = data[energy.argsort()[::-1][:_TRACKS]]
    seen: NDArray[np.float64] = data[data.sum((1, 2, 3)) != 0]
    return seen


def _energy(slot: NDArray[np.float64]) -> float:
    """Standard deviation over frames and joints, summed over x, y, z; of the frames whose sum is not zero."""
    slot = slot[slot.sum(-1).sum(-1) != 0]
    return float(slot[:, :, 0].std() + slot[:, :, 1].std() + slot[:, :, 2].std()) if len(slot) else 0.0


# ---------------------------------------------------------------------------------------------- pyskl


@dataclass
class _Body:
    """All that one id stands for: ``keypoint`` float32 [F, 25, 3], laid down without gaps from ``start``."""

    start: int
    keypoint: NDArray[np.float32]
    motion: Any

    @property
    def end(self) -> int:
        return self.start + len(self.keypoint)


def _bodies(frames: NDArray[Any], ids: NDArray[Any], position: NDArray[np.float32]) -> list[_Body]:
    """The bodies in order of appearance. Frames are counted without those that have no body."""
    _, counter = np.unique(frames, return_inverse=True)
    _, first = np.unique(ids, return_index=True)
    bodies = []
    for index in np.sort(first):
        keypoint = position[ids == ids[index]]
        bodies.append(_Body(int(counter[index]), keypoint, _motion(keypoint)))
    return bodies


def _motion(keypoint: NDArray[np.float32]) -> Any:
    """Variance over frames and joints, summed over x, y, z: a float32 scalar."""
    return np.sum(np.var(keypoint.reshape(-1, 3), axis=0))


def _tracks(bodies: list[_Body]) -> NDArray[np.float32]:
    """One body alone [1, F, 25, 3], or two tracks into which several are laid [2, T, 25, 3]."""
    bodies = _by_motion(bodies)
    for keep in (lambda found: found, _without_short, _without_spread):
        bodies = keep(bodies)
        if len(bodies) == 1:
            return bodies[0].keypoint[None]
    tracks = _trimmed(_laid_down(bodies))
    first, second = (np.sum(np.abs(track[0, 1])) for track in tracks)
    return tracks[::-1] if first < _EPSILON and second > _EPSILON else tracks


def _by_motion(bodies: list[_Body]) -> list[_Body]:
    return sorted(bodies, key=lambda body: -body.motion)


def _without_short(bodies: list[_Body]) -> list[_Body]:
    return [body for body in bodies if len(body.keypoint) > _SHORT]


def _without_spread(bodies: list[_Body]) -> list[_Body]:
    """Without bodies that are mostly wider than people are; the valid frames of the others bound their motion."""
    kept = []
    for body in bodies:
        valid = _upright(body.keypoint)
        if valid.all():
            kept.append(body)
        elif 1 - np.count_nonzero(valid) / len(valid) < _SPREAD_SHARE:
            body.motion = min(body.motion, _motion(body.keypoint[valid]))
            kept.append(body)
    if not kept:
        raise SourceError(
            f"of several bodies none has more than {_SHORT} frames and the shape of a person; PYSKL fails on it too"
        )
    return _by_motion(kept)


def _upright(keypoint: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Frames [F] that are at most 0.8 times as wide as they are high."""
    width, height = (np.ptp(keypoint[:, :, axis], axis=1) for axis in (0, 1))
    limit: NDArray[Any] = height.astype(_LIMIT_DTYPE) * _LIMIT_DTYPE.type(_SPREAD)
    upright: NDArray[np.bool_] = width <= limit
    return upright


def _laid_down(bodies: list[_Body]) -> NDArray[np.float32]:
    """Each body in the first of two tracks that is free where it is; who finds none is dropped."""
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


def _trimmed(tracks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the frames at both ends in which nothing is seen."""
    frames = range(tracks.shape[1])
    first = next((frame for frame in frames if _is_seen(tracks[:, frame])), None)
    if first is None:
        raise SourceError("every joint of every body is at zero; PYSKL fails on it too")
    last = next(frame for frame in reversed(frames) if _is_seen(tracks[:, frame]))
    return tracks[:, first : last + 1]


def _is_seen(frame: NDArray[np.float32]) -> bool:
    return not np.sum(np.abs(frame)) < _EPSILON
