"""The poses of an annotation, frame by frame, whatever its form.

- dense: ``keypoint`` [M, T, V, C], perhaps with ``keypoint_score`` [M, T, V]; row m is a person;
- compressed: ``keypoint`` [N, V, 3] with x, y and score, and ``frame_inds`` [N]; all detections of a frame;
- raw NTU RGB+D: ``position`` [N, 25, 3] with ``frame_inds`` [N] and ``body_id`` [N] (docs/sources_ntu.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import DrawingError
from skelstore.format.schema import video_name
from skelstore.wording import kind_of, shown

MOST_PERSONS = 20
"""Maximum number of persons that are drawn in a frame."""
MOST_JOINTS = 1_000
"""Maximum number of joints of a person that is drawn."""
MOST_SIDE = 1e7
"""An image with a longer side is taken for a mistake."""

_WITHOUT_SCORE = 1.0
_TRACKING = np.array([0.0, 0.45, 1.0])
"""Opacity for Kinect's ``tracking_state``: 0 not tracked, 1 inferred, 2 tracked."""
_FAINTEST = 0.25
"""Opacity of a joint whose score is just above 0."""

Floats = NDArray[np.float64]


class Pose(NamedTuple):
    """One person in one frame.

    ``points`` float64 [V, 2 or 3]; ``opacity`` float64 [V], 0 for joints that are not there, else 0.25 to 1.
    """

    person: int
    points: Floats
    opacity: Floats


@dataclass(frozen=True)
class Poses:
    """What can be drawn of an annotation.

    ``numbers`` int64 [F]: the number of each frame in the video. ``dimensions`` is 2 or 3. ``image`` is (height,
    width), or None if it is not known. ``persons`` is the largest number of persons in a frame, or M.
    """

    numbers: NDArray[np.int64]
    dimensions: int
    joints: int
    image: tuple[float, float] | None
    persons: int
    points: NDArray[Any]
    scores: NDArray[Any] | None
    starts: NDArray[np.int64] | None
    """None for a dense annotation, else the first row of each frame, and the number of rows at the end [F + 1]."""
    rows: NDArray[np.int64] | None
    """The rows in the order of frames [N]."""
    labels: NDArray[np.int64] | None
    """The person of each row [N], if rows have persons."""

    def __len__(self) -> int:
        return len(self.numbers)

    def frame(self, position: int, only: Sequence[int] | None = None) -> list[Pose]:
        """The persons in a frame, at most ``MOST_PERSONS``; ``only`` selects persons by their numbers."""
        persons, points, scores = self._of_frame(position)
        if only is not None:
            keep = np.flatnonzero(np.isin(persons, list(only)))
            persons, points, scores = persons[keep], points[keep], None if scores is None else scores[keep]
        opacity = _opacity(points, scores)
        there = np.flatnonzero((opacity > 0).any(-1))[:MOST_PERSONS]
        return [Pose(int(persons[i]), points[i].astype(np.float64), opacity[i]) for i in there]

    def _of_frame(self, position: int) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any] | None]:
        if self.starts is None or self.rows is None:
            scores = None if self.scores is None else self.scores[:, position]
            return np.arange(len(self.points)), self.points[:, position], scores
        rows = self.rows[self.starts[position] : self.starts[position + 1]]
        persons = np.arange(len(rows)) if self.labels is None else self.labels[rows]
        return persons, self.points[rows], None if self.scores is None else self.scores[rows]


def poses(annotation: Mapping[Any, Any]) -> Poses:
    """The poses of an annotation. Raises DrawingError, which names the video, if there are none that can be drawn."""
    keypoint = annotation.get("keypoint")
    if keypoint is None and annotation.get("position") is not None:
        return _raw(annotation)
    points = _numbers(annotation, "keypoint")
    if points.ndim == 3 and annotation.get("frame_inds") is not None:
        return _compressed(annotation, points)
    if points.ndim == 3:  # one person
        points = points[None]
    if points.ndim != 4 or points.shape[3] < 2 or not 0 < points.shape[2] <= MOST_JOINTS:
        _refuse(annotation, f"keypoint of shape {points.shape}", f"[M, T, V, 2 or 3] with V from 1 to {MOST_JOINTS:,}")
    scores = None
    if annotation.get("keypoint_score") is not None:
        scores = _numbers(annotation, "keypoint_score")
        scores = scores[None] if scores.ndim == 2 else scores
        scores = scores[..., 0] if scores.ndim == 4 and scores.shape[3] == 1 else scores
        if scores.shape != points.shape[:3]:
            _refuse(annotation, f"keypoint_score of shape {scores.shape}", f"{points.shape[:3]}, as keypoint has")
    persons, frames, joints, channels = points.shape
    return Poses(
        numbers=np.arange(frames),
        dimensions=min(channels, 3),
        joints=joints,
        image=image_size(annotation),
        persons=persons,
        points=points[..., :3],
        scores=scores,
        starts=None,
        rows=None,
        labels=None,
    )


def image_size(annotation: Mapping[Any, Any]) -> tuple[float, float] | None:
    """(height, width) of the image in pixels, from ``img_shape``, or else ``original_shape``; None if unknown."""
    for key in ("img_shape", "original_shape"):
        value = annotation.get(key)
        if isinstance(value, (tuple, list, np.ndarray)) and len(value) >= 2:
            try:
                height, width = float(value[0]), float(value[1])
            except (TypeError, ValueError, OverflowError):
                continue
            if 1 <= height <= MOST_SIDE and 1 <= width <= MOST_SIDE:
                return height, width
    return None


def _compressed(annotation: Mapping[Any, Any], points: NDArray[Any]) -> Poses:
    if points.shape[2] < 2 or not 0 < points.shape[1] <= MOST_JOINTS:
        _refuse(annotation, f"keypoint of shape {points.shape}", f"[N, V, 3] with V from 1 to {MOST_JOINTS:,}")
    scores = points[..., 2] if points.shape[2] > 2 else None
    return _of_rows(annotation, points[..., :2], scores, 2, image_size(annotation), None)


def _raw(annotation: Mapping[Any, Any]) -> Poses:
    points = _numbers(annotation, "position")
    if points.ndim != 3 or points.shape[2] != 3 or not 0 < points.shape[1] <= MOST_JOINTS:
        _refuse(annotation, f"position of shape {points.shape}", "[N, V, 3]")
    scores = None
    state = annotation.get("tracking_state")
    if isinstance(state, np.ndarray) and state.shape == points.shape[:2] and state.dtype.kind in "iu":
        scores = _TRACKING[np.clip(state, 0, 2)]
    ids = annotation.get("body_id")
    labels = None
    if isinstance(ids, np.ndarray) and ids.shape == points.shape[:1] and ids.dtype.kind in "iu":
        _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        labels = np.argsort(np.argsort(first))[inverse]  # in order of appearance
    return _of_rows(annotation, points, scores, 3, None, labels)


def _of_rows(
    annotation: Mapping[Any, Any],
    points: NDArray[Any],
    scores: NDArray[Any] | None,
    dimensions: int,
    image: tuple[float, float] | None,
    labels: NDArray[np.int64] | None,
) -> Poses:
    """Poses of an annotation with one row per person and frame."""
    frames = _numbers(annotation, "frame_inds")
    if frames.shape != points.shape[:1] or frames.dtype.kind not in "iu":
        _refuse(annotation, f"frame_inds {kind_of(frames)}", f"integers [{len(points)}]")
    rows = np.argsort(frames, kind="stable")
    numbers, starts = np.unique(frames[rows], return_index=True)
    starts = np.append(starts, len(frames))
    most = int(np.diff(starts).max(initial=0)) if labels is None else int(labels.max(initial=-1)) + 1
    return Poses(
        numbers.astype(np.int64), dimensions, points.shape[1], image, most, points, scores, starts, rows, labels
    )


def _numbers(annotation: Mapping[Any, Any], key: str) -> NDArray[Any]:
    value = annotation.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        _refuse(annotation, f"{key}: {kind_of(value)}" if value is not None else f"no {key}", "an array of numbers")
    return value


def _opacity(points: NDArray[Any], scores: NDArray[Any] | None) -> Floats:
    """The opacity of joints [..., V]: 0 if a joint is not finite, has a score of 0, or was not found.

    A joint in the image at exactly (0, 0) was not found. In 3D the origin is a place like any other, but a person all
    of whose joints are there was not found.
    """
    finite = np.isfinite(points).all(-1)
    away = (points != 0).any(-1)
    there = finite & (away if points.shape[-1] == 2 else away.any(-1, keepdims=True))
    if scores is None:
        return np.where(there, _WITHOUT_SCORE, 0.0)
    sure = np.nan_to_num(np.asarray(scores, np.float64), nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    return np.where(there & (sure > 0), _FAINTEST + (1 - _FAINTEST) * sure, 0.0)


def _refuse(annotation: Mapping[Any, Any], what: str, expected: str) -> NoReturn:
    name = video_name(dict(annotation))
    title = "the annotation" if name is None else f"the video {shown(name)}"
    raise DrawingError(f"{title} cannot be drawn: {what}; expected {expected}")
