"""Converting arrays of joints from one layout to another, where that is defined."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import JointLayoutError
from skelstore.joints.definition import JointLayout
from skelstore.wording import shown_names

_MEANS = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
"""Joints that are derived as the mean of two others if a layout lacks them. MMPose derives the neck in this way to draw
in OpenPose's style (mmpose/visualization/local_visualizer.py), and shows it only if both shoulders are visible."""

_MEANS_OF_TARGET = {"h36m-17": {"spine": ("mid_hip", "neck"), "head": ("left_eye", "right_eye")}}
"""Further means for a target, of joints that may be derived themselves. MotionBERT's ``coco2h36m`` has all four means
(lib/data/dataset_action.py), its ``halpe2h36m`` that of the spine (lib/data/dataset_wild.py)."""


class Converted(NamedTuple):
    """The result of ``convert``.

    ``derived`` names the joints of the target that were computed, not observed: the source lacks them, and each is the
    mean of two joints. ``stated`` takes these names, and a store keeps them.
    """

    keypoint: NDArray[Any]
    keypoint_score: NDArray[Any] | None
    derived: tuple[str, ...]


def convert(
    keypoint: NDArray[Any], keypoint_score: NDArray[Any] | None, source: JointLayout, target: JointLayout
) -> Converted:
    """Convert keypoints from one joint layout to another. Joints are matched by name; a neck or a middle of the hips
    that the source lacks is derived. ``h36m-17`` also gets a spine between these two, and a head between the eyes.

    ``keypoint`` [..., V, C] and ``keypoint_score`` [..., V] (or None) may have any float dtype, which the result keeps.
    Each coordinate of a derived joint is the mean of its two joints, and its score is the lower of their scores, so
    that it is visible only if both are. In a compressed ``keypoint`` [N, V, 3] the third channel is a score: pass it
    separately as ``keypoint_score``.

    From ``coco-17`` and ``halpe-26`` to ``h36m-17`` the coordinates are those of MotionBERT's ``coco2h36m`` and
    ``halpe2h36m``.

    Raises JointLayoutError if the target has a joint that neither is in the source nor can be derived, or the arrays
    do not have the source's V.
    """
    _require_axis(keypoint, -2, source, "keypoint")
    if keypoint_score is not None:
        _require_axis(keypoint_score, -1, source, "keypoint_score")
    place = {name: i for i, name in enumerate(source.joints)}
    means = _MEANS | _MEANS_OF_TARGET.get(target.name, {})
    parents = {name: _observed_parents(name, place, means) for name in target.joints}
    if missing := [joint for joints in parents.values() for joint in joints if joint not in place]:
        raise JointLayoutError(
            f"{source.name} cannot be converted to {target.name}: it has no {shown_names(dict.fromkeys(missing))}, "
            "and no rule to derive them"
        )
    observed = [place.get(name, 0) for name in target.joints]
    points = keypoint[..., observed, :]
    scores = None if keypoint_score is None else keypoint_score[..., observed]
    derived = [name for name in target.joints if name not in place]
    for name in derived:
        at = target.joints.index(name)
        points[..., at, :] = _mean(name, keypoint, place, means)
        if scores is not None and keypoint_score is not None:
            scores[..., at] = keypoint_score[..., [place[joint] for joint in parents[name]]].min(-1)
    return Converted(points, scores, tuple(derived))


def _observed_parents(name: str, place: dict[str, int], means: dict[str, tuple[str, str]]) -> list[str]:
    """The joints of the source that a joint is computed from: itself if it is there, or if there is no rule for it."""
    if name in place or name not in means:
        return [name]
    return [joint for parent in means[name] for joint in _observed_parents(parent, place, means)]


def _mean(name: str, keypoint: NDArray[Any], place: dict[str, int], means: dict[str, tuple[str, str]]) -> NDArray[Any]:
    """The coordinates of a joint [..., C], observed or derived, in the dtype of ``keypoint``."""
    if name in place:
        joint: NDArray[Any] = keypoint[..., place[name], :]
        return joint
    first, second = (_mean(parent, keypoint, place, means) for parent in means[name])
    # In float64: the sum of two float16 is exact, and sums of float32 do not overflow.
    mean: NDArray[Any] = (first.astype(np.float64) + second) / 2
    return mean.astype(keypoint.dtype)


def _require_axis(array: NDArray[Any], axis: int, source: JointLayout, what: str) -> None:
    if array.dtype.kind != "f" or array.ndim < -axis or array.shape[axis] != len(source):
        raise JointLayoutError(
            f"{what} has dtype {array.dtype} and shape {array.shape}; {source.name} needs floats with {len(source)} "
            f"joints on axis {axis}"
        )
