"""The heatmap volume of an annotation, as MMAction2's and PYSKL's GeneratePoseTarget draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import FieldNotFoundError, HeatmapError
from skelstore.heatmaps.gaussians import draw_gaussians, value_dtype
from skelstore.heatmaps.limbs import Limbs, draw_limbs
from skelstore.heatmaps.options import (
    COCO,
    LEAST_SCORE,
    LEFT_KP,
    LEFT_LIMB,
    RIGHT_KP,
    RIGHT_LIMB,
    Options,
    Pairs,
)
from skelstore.heatmaps.windows import Canvas, Floats, Indices, scalar_dtype
from skelstore.wording import kind_of, shown

FURTHEST = 1e15
"""A coordinate further away from 0 is refused, since its square is no float32."""

JOINTS_AT_ONCE = 1 << 20
"""Persons are drawn together as long as they have at most this number of joints in all frames."""


def pose_target(
    annotation: Mapping[str, Any],
    *,
    sigma: float = 0.6,
    use_score: bool = True,
    with_kp: bool = True,
    with_limb: bool = False,
    skeletons: Pairs = COCO,
    double: bool = False,
    left_kp: Sequence[int] = LEFT_KP,
    right_kp: Sequence[int] = RIGHT_KP,
    left_limb: Sequence[int] = LEFT_LIMB,
    right_limb: Sequence[int] = RIGHT_LIMB,
    scaling: float = 1.0,
    least_score: float = LEAST_SCORE,
) -> Floats:
    """The heatmap volume of an annotation: float32 [T, C, H, W], or [2 T, C, H, W] with ``double``.

    The annotation has ``keypoint`` [M, T, V, 2] in pixels, ``keypoint_score`` [M, T, V] (1 if it has none) and
    ``img_shape`` (height, width). H and W are those of ``img_shape`` times ``scaling``, rounded; joints are scaled,
    too. C is V with ``with_kp``, the number of limbs with ``with_limb``, and the sum with both. Where persons
    overlap, the volume has the maximum.

    - A joint is a Gaussian of ``sigma`` pixels, as high as its score, in the pixels up to 3 sigma away along each axis.
      Without ``use_score`` all are 1 high. A joint with a score below ``least_score`` is not drawn; this is PYSKL's
      rule with 1e-3.
    - A limb is a Gaussian of the distance to the line between its joints, two of ``skeletons``, as high as the lower
      of their scores. One shorter than a pixel is drawn as its first joint.
    - ``double`` appends the same frames flipped left to right. Channels of the left and the right are swapped by
      ``left_kp`` and ``right_kp``, or by ``left_limb`` and ``right_limb`` if there are only limbs.

    The reference is GeneratePoseTarget in mmaction/datasets/transforms/pose_transforms.py of MMAction2 1.2.0. Results
    are equal in bits, so with both keypoints and limbs, limb i is drawn into channel i over keypoint i, the last
    channels stay empty, and ``double`` swaps by ``left_kp`` alone.

    Raises FieldNotFoundError if the annotation has no ``keypoint`` or no ``img_shape``; HeatmapError if its skeletons
    are compressed, arrays do not fit together, a joint that is drawn is NaN or infinite, or the volume would have more
    than 4 GiB; and ValueError if an option is out of range.
    """
    options = Options(
        sigma=sigma,
        use_score=use_score,
        with_kp=with_kp,
        with_limb=with_limb,
        skeletons=skeletons,
        double=double,
        left_kp=left_kp,
        right_kp=right_kp,
        left_limb=left_limb,
        right_limb=right_limb,
        scaling=scaling,
        least_score=least_score,
    )
    return draw_volume(annotation, options)


def draw_volume(annotation: Mapping[str, Any], options: Options) -> Floats:
    """`pose_target` with options that are checked already."""
    keypoint, score = _skeletons(annotation, options)
    persons, frames, joints = keypoint.shape[:3]
    if "img_shape" not in annotation:
        raise FieldNotFoundError(f"{_name(annotation)} has no img_shape; expected (height, width) in pixels")
    height, width = options.size(annotation["img_shape"])
    options.check_bytes(frames, joints, height, width)
    limbs = options.limbs(joints)
    mirrored = options.mirrored(joints) if options.double else None
    canvas = Canvas(frames, options.channels(joints), height, width, mirrored)
    step = max(1, JOINTS_AT_ONCE // max(frames * joints, 1))
    for first in range(0, persons, step):
        points = _scaled(keypoint[first : first + step], options.scaling)
        scores = score[first : first + step]
        drawn = ~(scores.astype(scalar_dtype(score.dtype), copy=False) < options.least_score)
        _check_joints(annotation, points, scores, drawn, first)
        if options.with_kp:
            _draw_keypoints(canvas, points, scores, drawn, options)
        if len(limbs):
            _draw_limbs(canvas, limbs, points, scores, drawn, options)
    return canvas.finish()


def _draw_keypoints(
    canvas: Canvas, points: Floats, scores: NDArray[Any], drawn: NDArray[np.bool_], options: Options
) -> None:
    places, frames, channels = _places(drawn)
    values = scores.reshape(-1)[places].astype(value_dtype(scores.dtype))
    draw_gaussians(canvas, frames, channels, points.reshape(-1, 2)[places], values, options.sigma)


def _draw_limbs(
    canvas: Canvas, pairs: Indices, points: Floats, scores: NDArray[Any], drawn: NDArray[np.bool_], options: Options
) -> None:
    first, second = pairs.T
    places, frames, channels = _places(drawn[..., first] & drawn[..., second])
    places = places // len(pairs) * points.shape[2]  # of the first joint of that person in that frame
    starts, ends = places + first[channels], places + second[channels]
    flat_points, flat_scores = points.reshape(-1, 2), scores.reshape(-1)
    start_values = flat_scores[starts].astype(value_dtype(scores.dtype))
    values = np.minimum(flat_scores[starts], flat_scores[ends]).astype(np.float64)
    limbs = Limbs(frames, channels, flat_points[starts], flat_points[ends], start_values, values)
    draw_limbs(canvas, limbs, options.sigma)


def _places(drawn: NDArray[np.bool_]) -> tuple[Indices, Indices, Indices]:
    """Places in [M, T, C] that are drawn [n], counted through, and their frames and channels [n]."""
    _, frames, channels = drawn.shape
    places = np.flatnonzero(drawn)
    rows = places // max(channels, 1)
    return places, rows % max(frames, 1), places - rows * channels


def _scaled(keypoint: NDArray[Any], scaling: float) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite as float32 is refused if it is drawn
        points = keypoint.astype(np.float32)
        if scaling != 1:
            points *= scaling
    return points


def _check_joints(
    annotation: Mapping[str, Any], points: Floats, scores: NDArray[Any], drawn: NDArray[np.bool_], first: int
) -> None:
    """Raises HeatmapError if a joint that is drawn is not a finite point with a finite score."""
    usable = (np.abs(points) <= FURTHEST).all(-1) & np.isfinite(scores)
    if (usable | ~drawn).all():
        return
    person, frame, joint = np.argwhere(drawn & ~usable)[0].tolist()
    x, y = points[person, frame, joint].tolist()
    raise HeatmapError(
        f"{_name(annotation)}: joint {joint} of person {person + first} in frame {frame} is ({x:g}, {y:g}) with a "
        f"score of {float(scores[person, frame, joint]):g}; expected finite numbers, or a score of 0 for a joint that "
        "is missing"
    )


def _skeletons(annotation: Mapping[str, Any], options: Options) -> tuple[NDArray[Any], NDArray[Any]]:
    """``keypoint`` [M, T, V, 2] and ``keypoint_score`` [M, T, V]."""
    keypoint = annotation.get("keypoint")
    if keypoint is None:
        raise FieldNotFoundError(f"{_name(annotation)} has no keypoint; expected skeletons [M, T, V, 2]")
    if isinstance(keypoint, np.ndarray) and keypoint.ndim == 3:
        raise HeatmapError(
            f"{_name(annotation)} has {kind_of(keypoint)} as keypoint, which is compressed; expected [M, T, V, 2], so "
            "read the video from store.decompressed(), or pass it to skelstore.decompress_pose first"
        )
    if not _is_numeric(keypoint) or keypoint.ndim != 4 or keypoint.shape[3] != 2:
        raise HeatmapError(
            f"{_name(annotation)} has {kind_of(keypoint)} as keypoint; expected numbers [M, T, V, 2], x and y in pixels"
        )
    score = annotation.get("keypoint_score", np.ones((), np.float32))
    if not _is_numeric(score) or (score.shape != keypoint.shape[:3] and "keypoint_score" in annotation):
        raise HeatmapError(
            f"{_name(annotation)} has {kind_of(score)} as keypoint_score; expected numbers "
            f"{list(keypoint.shape[:3])}, a score per joint"
        )
    if not options.use_score or score.ndim == 0:
        score = np.broadcast_to(np.ones((), score.dtype), keypoint.shape[:3])
    return keypoint, score


def _is_numeric(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.dtype.itemsize <= 8


def _name(annotation: Mapping[str, Any]) -> str:
    name = annotation.get("frame_dir", annotation.get("filename"))
    return "the annotation" if name is None else f"the video {shown(name)}"
