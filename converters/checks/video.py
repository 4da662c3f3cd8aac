"""The checks of one annotation. Each check yields (kind, what was found); ``problems`` defines the kinds.

The requirements of the pipelines are from PYSKL: pyskl/datasets/pipelines/pose_related.py (PreNormalize2D and 3D,
GenSkeFeat, PoseDecode, FormatGCNInput), heatmap_related.py (GeneratePoseTarget), sampling.py (UniformSampleFrames) and
the published configs of PoseC3D and ST-GCN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.checks.poses import Poses, Problem, as_int, image_size, is_rows, poses
from converters.checks.swaps import MOST_PERSONS, find_swaps
from converters.choices import Model
from skelstore.wording import counted, kind_of, shown

__all__ = ["video_problems"]

FAR = 0.1
"""A joint this far outside the image, as a fraction of its side, is not explained by an estimator's error alone."""

FAR_PERCENT = 1
"""Percentage of joints that must be this far outside before height and width count as swapped."""

MOST_SCORE = 1.1
"""A third coordinate up to this value may be a score: estimators return up to 1.024."""

LEAST_PIXELS = 20
"""Coordinates above this value are pixels: skeletons in metres, or in fractions of the image, do not reach it."""

FRACTIONS = (-1, 2)
"""Range of coordinates in fractions of the image: joints that the image cuts off are a little outside 0 to 1."""

STGCN_JOINTS = (17, 18, 21, 25)
"""V of the graphs in pyskl/utils/graph.py: coco, openpose, handmp, nturgb+d."""


def video_problems(annotation: Mapping[Any, Any], model: Model | None = None) -> Iterator[Problem]:
    """Yield the problems of an annotation and, if a model is named, those for its pipeline."""
    yield from _label(annotation)
    yield from _boxes(annotation)
    yield from _image_shape(annotation)
    skeletons = poses(annotation)
    if not isinstance(skeletons, Poses):
        yield skeletons
        return
    yield from _frames(annotation, skeletons)
    yield from _score_shape(annotation, skeletons)
    yield from _finite(skeletons)
    yield from _empty(skeletons)
    yield from _swapped_persons(skeletons)
    if scored := _split_score(annotation, skeletons):
        yield "score-coordinate", _describe_coordinates(skeletons)
        yield from _image(annotation, scored)
        missing = ("posec3d-score", "stgcn-score")  # solved by the remedy for "score-coordinate"
        yield from (problem for problem in _model_problems(annotation, scored, model) if problem[0] not in missing)
        return
    yield from _image(annotation, skeletons)
    yield from _model_problems(annotation, skeletons, model)


def _model_problems(annotation: Mapping[Any, Any], skeletons: Poses, model: Model | None) -> Iterator[Problem]:
    if model == "posec3d":
        yield from _posec3d(annotation, skeletons)
    elif model == "stgcn":
        yield from _stgcn(annotation, skeletons)


def _label(annotation: Mapping[Any, Any]) -> Iterator[Problem]:
    label = annotation.get("label")
    if label is None or as_int(label) is not None:
        return
    if isinstance(label, (list, tuple)) and all(as_int(element) is not None for element in label):
        return
    if isinstance(label, np.ndarray) and label.dtype.kind in "fiub" and label.ndim <= 1:
        return
    yield "label-type", f"label is {shown(label)}" if isinstance(label, (str, float)) else f"label is {kind_of(label)}"


def _frames(annotation: Mapping[Any, Any], skeletons: Poses) -> Iterator[Problem]:
    stated = annotation.get("total_frames")
    total = as_int(stated)
    if total is None:
        yield "total-frames", "total_frames is missing" if stated is None else f"total_frames is {kind_of(stated)}"
    if not skeletons.compressed:
        frames = skeletons.points.shape[1]
        if total is not None and total != frames:
            turned = ", and M is as large: the axes M and T look swapped" if total == len(skeletons.points) else ""
            yield "total-frames", f"total_frames is {shown(total)}, but T is {frames}{turned}"
        return
    numbers = annotation["frame_inds"]
    if not is_rows(numbers, len(skeletons.points), "iu"):
        yield "frame-inds", f"frame_inds is {kind_of(numbers)}, for {counted(len(skeletons.points), 'skeleton')}"
        return
    if not len(numbers):
        return
    down = np.flatnonzero(numbers[1:] < numbers[:-1])
    if len(down):
        at = int(down[0]) + 1
        yield (
            "frame-inds-order",
            f"frame_inds go down {counted(len(down), 'time')}, first at {at}: {numbers[at - 1]}, {numbers[at]}",
        )
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or (total is not None and high > total):
        yield "frame-inds-range", f"frame_inds are {low} to {high}, but total_frames is {shown(total)}"


def _boxes(annotation: Mapping[Any, Any]) -> Iterator[Problem]:
    """Check ``box_score`` against ``frame_inds``, and ``valid`` against both; they may exist without a keypoint."""
    numbers, score, valid = (annotation.get(key) for key in ("frame_inds", "box_score", "valid"))
    if score is None or not isinstance(numbers, np.ndarray) or numbers.ndim != 1:
        return
    if not is_rows(score, len(numbers), "fiu"):
        yield "box-score", f"box_score is {kind_of(score)}, for {len(numbers)} frame_inds"
        return
    if not isinstance(valid, dict):
        return
    # The published tables were counted before the scores were rounded to float16: a score may be half a step off.
    step = np.spacing(np.abs(score)).astype(np.float64) / 2 if score.dtype.kind == "f" else 0.0
    exact = score.astype(np.float64)
    unlike = []
    for threshold, stated in valid.items():
        if isinstance(threshold, (int, float)) and abs(threshold) < 1 << 63:  # NumPy may fail to compare larger ones
            low, high = (len(np.unique(numbers[bound >= threshold])) for bound in (exact - step, exact + step))
            count = as_int(stated)
            if count is None or not low <= count <= high:
                unlike.append(f"valid[{threshold}] is {shown(stated)}, but box_score gives {low}")
    if unlike:
        yield "valid", "; ".join(unlike[:2])


def _score_shape(annotation: Mapping[Any, Any], skeletons: Poses) -> Iterator[Problem]:
    score = annotation.get("keypoint_score")
    if score is not None and not skeletons.compressed and skeletons.scores is None:
        yield "score-shape", f"keypoint_score is {kind_of(score)}, but keypoint has shape {skeletons.points.shape}"


def _finite(skeletons: Poses) -> Iterator[Problem]:
    for name, array in (("keypoint", skeletons.points), ("keypoint_score", skeletons.scores)):
        if array is None or array.dtype.kind != "f":
            continue
        good = np.isfinite(array)
        if not good.all():
            first = tuple(np.argwhere(~good)[0].tolist())
            where = "keypoint" if skeletons.compressed else name
            yield (
                "not-finite",
                f"{where} has {counted(good.size - int(good.sum()), 'such value')}, the first at {list(first)}",
            )


def _empty(skeletons: Poses) -> Iterator[Problem]:
    """Check for a video without persons or frames, and for all-zero videos, frames and persons."""
    points = skeletons.points
    if not len(points):
        yield "no-person", f"keypoint has shape {points.shape}"
        return
    if not skeletons.compressed and not points.shape[1]:
        yield "no-frame", f"keypoint has shape {points.shape}"
        return
    zero: NDArray[np.bool_] = np.asarray(~points.any(axis=(-2, -1)))  # [M, T], or [N]
    if zero.all():
        yield "empty-video", f"{counted(zero.size, 'skeleton is', 'skeletons are all')} zero"
        return
    if skeletons.compressed:
        if zero.any():
            yield (
                "empty-person",
                f"{int(zero.sum())} of {counted(len(zero), 'skeleton')} zero, first {int(zero.argmax())}",
            )
        return
    frames: NDArray[np.bool_] = zero.all(axis=0)  # type: ignore[assignment]  # an array, because zero has two axes
    persons: NDArray[np.bool_] = zero.all(axis=1)  # type: ignore[assignment]
    if frames.any():
        yield (
            "empty-frame",
            f"{int(frames.sum())} of {counted(len(frames), 'frame')} zero, first {int(frames.argmax())}",
        )
    if persons.any():
        yield (
            "empty-person",
            f"{int(persons.sum())} of {counted(len(persons), 'person')} zero, first {int(persons.argmax())}",
        )


def _split_score(annotation: Mapping[Any, Any], skeletons: Poses) -> Poses | None:
    """The skeletons as 2D with scores, if the first two coordinates are pixels and the third is a score; else None."""
    if skeletons.points.shape[-1] != 3 or not skeletons.points.size or "keypoint_score" in annotation:
        return None
    pixels, third = skeletons.points[..., :2], skeletons.points[..., 2]
    if any(((part < 0) | (part > MOST_SCORE)).any() for part in (third[:, :1], third)):  # often decided by one frame
        return None
    return Poses(pixels, third, False) if third.any() and (np.abs(pixels) > LEAST_PIXELS).any() else None


def _describe_coordinates(skeletons: Poses) -> str:
    spans = (
        f"{name} is {axis.min():g} to {axis.max():g}" for name, axis in zip("xyz", skeletons.points.T, strict=True)
    )
    return f"keypoint has shape {skeletons.points.shape}; {', '.join(spans)}"


def _swapped_persons(skeletons: Poses) -> Iterator[Problem]:
    if skeletons.compressed or len(skeletons.points) < 2 or skeletons.points.shape[1] < 2:
        return
    swaps = find_swaps(skeletons.points[:MOST_PERSONS])
    if swaps.any():
        first = int(swaps.argmax()) + 1
        yield (
            "persons-swapped",
            f"{counted(int(swaps.sum()), 'time')} in {counted(len(swaps) + 1, 'frame')}, first at frame {first}",
        )


def _image_shape(annotation: Mapping[Any, Any]) -> Iterator[Problem]:
    if annotation.get("img_shape") is not None and image_size(annotation) is None:
        shape = annotation["img_shape"]
        yield "img-shape", f"img_shape is {shown(shape)}"


def _image(annotation: Mapping[Any, Any], skeletons: Poses) -> Iterator[Problem]:
    """Check the found joints, which are neither at (0, 0) nor have score 0, against the image."""
    size = image_size(annotation)
    if size is None or skeletons.points.shape[-1] != 2:
        return
    height, width = size
    x, y = skeletons.points[..., 0].astype(np.float64), skeletons.points[..., 1].astype(np.float64)
    seen = np.isfinite(x) & np.isfinite(y) & ((x != 0) | (y != 0))
    if skeletons.scores is not None:
        seen &= skeletons.scores > 0
    x, y = x[seen], y[seen]
    if len(x) and min(size) > LEAST_PIXELS and _are_fractions(x) and _are_fractions(y):
        yield "fractions", _describe_image(size, x, y)
        return
    outside = int(_beyond(x, y, width, height, 0).sum())
    if not outside:
        return
    far = int(_beyond(x, y, width, height, FAR).sum())
    sides = _describe_image(size, x, y)
    swappable = height != width and not _beyond(x, y, height, width, FAR).any()
    if swappable and far and 100 * far >= FAR_PERCENT * len(x):
        yield "img-shape-swapped", sides
        return
    yield "outside", f"{outside:,} of {counted(len(x), 'joint')} ({100 * outside / len(x):.2g} %); {sides}"


def _are_fractions(axis: NDArray[Any]) -> bool:
    return bool(axis.min() >= FRACTIONS[0] and axis.max() <= FRACTIONS[1])


def _describe_image(size: tuple[int, int], x: NDArray[Any], y: NDArray[Any]) -> str:
    return f"img_shape is {size}; x is {x.min():g} to {x.max():g}, y is {y.min():g} to {y.max():g}"


def _beyond(x: NDArray[Any], y: NDArray[Any], width: float, height: float, margin: float) -> NDArray[np.bool_]:
    """Whether each joint is outside the image by more than ``margin``, a fraction of its sides."""
    beside = (x < -margin * width) | (x > (1 + margin) * width)
    result: NDArray[np.bool_] = beside | (y < -margin * height) | (y > (1 + margin) * height)
    return result


def _posec3d(annotation: Mapping[Any, Any], skeletons: Poses) -> Iterator[Problem]:
    if skeletons.points.shape[-1] == 3:
        yield "posec3d-3d", f"keypoint has shape {skeletons.points.shape}"
    if annotation.get("img_shape") is None:
        yield "posec3d-img-shape", "img_shape is missing"
    if not skeletons.compressed and annotation.get("keypoint_score") is None:
        yield "posec3d-score", "keypoint_score is missing"
    if skeletons.points.shape[-2] != 17:
        yield "posec3d-joints", f"V is {skeletons.points.shape[-2]}"


def _stgcn(annotation: Mapping[Any, Any], skeletons: Poses) -> Iterator[Problem]:
    if skeletons.points.shape[-2] not in STGCN_JOINTS:
        yield (
            "stgcn-joints",
            f"V is {skeletons.points.shape[-2]}; there are graphs for {', '.join(map(str, STGCN_JOINTS))}",
        )
    if skeletons.points.shape[-2:] == (25, 2):
        yield "stgcn-graph", "V is 25, and the joints are in 2D"
    scored = skeletons.compressed or annotation.get("keypoint_score") is not None
    persons = _persons(annotation, skeletons)
    if skeletons.points.shape[-1] == 3:
        if scored:
            yield "stgcn-score", "3D with keypoint_score"
        if persons > 2:
            yield "stgcn-persons", f"M is {persons}"
        return
    if not scored:
        yield "stgcn-score", "2D without keypoint_score"
    if skeletons.compressed and persons > 1:
        yield "stgcn-untracked", f"there are {counted(persons, 'person')} in a frame"
    elif persons > 2:
        yield "stgcn-cut", f"there are {counted(persons, 'person')}"
    if annotation.get("img_shape") is None:
        yield "stgcn-img-shape", "img_shape is missing"


def _persons(annotation: Mapping[Any, Any], skeletons: Poses) -> int:
    """M, or for compressed skeletons M after decompression."""
    if not skeletons.compressed:
        return len(skeletons.points)
    numbers = annotation["frame_inds"]
    if not is_rows(numbers, len(skeletons.points), "iu") or not len(numbers):
        return 0
    return int(np.unique(numbers, return_counts=True)[1].max())
