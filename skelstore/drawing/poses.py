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
from skelstore.joints import LAYOUTS, JointLayout
from skelstore.wording import kind_of, shown

MOST_PERSONS = 20
"""Maximum number of persons that are drawn in a frame."""
MOST_JOINTS = 1_000
"""Maximum number of joints of a person that is drawn."""
MOST_FRAME = 1 << 62
"""A higher number of a frame is refused."""
MOST_SIDE = 1e7
"""An image with a longer side is taken for a mistake."""

KEYS = (
    *("frame_dir", "filename", "label", "img_shape", "original_shape", "total_frames", "fps", "frame_rate"),
    *("keypoint", "keypoint_score", "frame_inds", "track", "position", "body_id", "tracking_state", "color"),
)
"""The keys of an annotation that a drawing uses."""

_TRACKING = np.array([0.0, 0.3, 1.0])
"""Scores for Kinect's ``tracking_state``: 0 not tracked, 1 inferred, 2 tracked."""
_FAINTEST = 0.25
"""Opacity of a joint whose score is just above 0."""

Floats = NDArray[np.float64]


class Frames(NamedTuple):
    """Which frames of a video an annotation has.

    ``numbers`` int64 [F]: the number of each frame in the video, which has ``total`` frames; ``first`` is the number of
    its first frame, 0 or 1.
    """

    numbers: NDArray[np.int64]
    total: int
    first: int = 0


class Pose(NamedTuple):
    """One person in one frame.

    ``points`` float64 [V, 2 or 3]; ``score`` float64 [V], 0 for joints that are not there; the others have 1 if there
    are no scores.
    """

    person: int
    points: Floats
    score: Floats

    @property
    def opacity(self) -> Floats:
        """0 for joints that are not there, else 0.25 to 1, by the score; float64 [V]."""
        opacity: Floats = np.where(self.score > 0, _FAINTEST + (1 - _FAINTEST) * self.score, 0.0)
        return opacity


@dataclass(frozen=True)
class Poses:
    """What can be drawn of an annotation.

    ``numbers`` int64 [F]: the number of each frame in the video. ``layout`` has bones and sides, or is None if no
    layout fits. ``dimensions`` is 2 or 3. ``image`` is (height, width), or None if it is not known. ``persons`` is M,
    or the number of persons that have ids, or else the largest number of detections in a frame.
    """

    numbers: NDArray[np.int64]
    layout: JointLayout | None
    dimensions: int
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

    @property
    def joints(self) -> int:
        """V."""
        return int(self.points.shape[-2])

    def frame(self, position: int, only: Sequence[int] | None = None) -> list[Pose]:
        """The persons in a frame, at most ``MOST_PERSONS``; ``only`` selects persons by their numbers."""
        persons, points, scores = self._of_frame(position)
        if only is not None:
            keep = np.flatnonzero(np.isin(persons, list(only)))
            persons, points, scores = persons[keep], points[keep], None if scores is None else scores[keep]
        found = found_joints(points, scores)
        there = np.flatnonzero(found.any(-1))[:MOST_PERSONS]
        sure = found[there].astype(np.float64)
        if scores is not None:
            np.copyto(sure, np.asarray(scores[there], np.float64).clip(None, 1), where=found[there])
        return [Pose(int(persons[i]), points[i].astype(np.float64), sure[row]) for row, i in enumerate(there.tolist())]

    def _of_frame(self, position: int) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any] | None]:
        if self.starts is None or self.rows is None:
            scores = None if self.scores is None else self.scores[:, position]
            return np.arange(len(self.points)), self.points[:, position], scores
        rows = self.rows[self.starts[position] : self.starts[position + 1]]
        persons = np.arange(len(rows)) if self.labels is None else self.labels[rows]
        return persons, self.points[rows], None if self.scores is None else self.scores[rows]


def poses(annotation: Mapping[Any, Any], joints: JointLayout | None) -> Poses:
    """The poses of an annotation whose joints have a layout, or none that is known.

    Raises DrawingError, which names the video, if there are none that can be drawn.
    """
    keypoint = annotation.get("keypoint")
    if keypoint is None and annotation.get("position") is not None:
        return _raw(annotation)
    points = _numbers(annotation, "keypoint")
    if points.ndim == 3 and annotation.get("frame_inds") is not None:
        return _compressed(annotation, points, joints)
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
    persons, frames, count, channels = points.shape
    return Poses(
        numbers=np.arange(frames),
        layout=_fitting(joints, count),
        dimensions=min(channels, 3),
        image=image_size(annotation),
        persons=persons,
        points=points[..., :3],
        scores=scores,
        starts=None,
        rows=None,
        labels=None,
    )


def check_frame_numbers(numbers: NDArray[Any]) -> None:
    """Raise DrawingError if numbers of frames, which are integers, are too large to be any."""
    if numbers.size and int(numbers.max()) > MOST_FRAME:
        raise DrawingError(f"frame_inds has the number {int(numbers.max())}; expected numbers of frames")


def counted_frames(numbers: NDArray[np.int64], stated: object) -> Frames:
    """The frames of a video whose frames with detections have these numbers, ascending; ``stated`` may be its length.

    The published skeletons of Kinetics count from 1, and have every second frame. Others count from 0.
    """
    total = int(stated) if isinstance(stated, (int, np.integer)) and 0 < stated < 1 << 40 else 0
    highest = int(numbers[-1]) if len(numbers) else -1
    from_one = len(numbers) > 1 and numbers[0] == 1 and bool((numbers % 2 == 1).all())
    if highest == total or (from_one and highest < total):
        return Frames(numbers, total, 1)
    return Frames(numbers, max(total, highest + 1), 0)


def found_joints(points: NDArray[Any], scores: NDArray[Any] | None = None) -> NDArray[np.bool_]:
    """Which joints of ``points`` [..., V, 2 or 3] were found, bool [..., V]; ``scores`` are [..., V].

    A joint in the image at exactly (0, 0) was not found. In 3D the origin is a place like any other, but a person all
    of whose joints are there was not found. Nor was a joint that is not finite, or whose score is not above 0.
    """
    there: NDArray[np.bool_] = np.asarray((points != 0).any(-1))
    if points.shape[-1] != 2:
        there = np.repeat(there.any(-1, keepdims=True), points.shape[-2], axis=-1)
    if points.dtype.kind == "f":
        there = there & np.isfinite(points).all(-1)
    return there if scores is None else there & (scores > 0)


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


def _compressed(annotation: Mapping[Any, Any], points: NDArray[Any], joints: JointLayout | None) -> Poses:
    if points.shape[2] < 2 or not 0 < points.shape[1] <= MOST_JOINTS:
        _refuse(annotation, f"keypoint of shape {points.shape}", f"[N, V, 3] with V from 1 to {MOST_JOINTS:,}")
    scores = points[..., 2] if points.shape[2] > 2 else None
    labels = _in_order(annotation, "track", len(points))
    return _of_rows(annotation, points[..., :2], scores, joints, image_size(annotation), labels)


def _raw(annotation: Mapping[Any, Any]) -> Poses:
    points = _numbers(annotation, "position")
    if points.ndim != 3 or points.shape[2] != 3 or not 0 < points.shape[1] <= MOST_JOINTS:
        _refuse(annotation, f"position of shape {points.shape}", "[N, V, 3]")
    scores = None
    state = annotation.get("tracking_state")
    if isinstance(state, np.ndarray) and state.shape == points.shape[:2] and state.dtype.kind in "iu":
        scores = _TRACKING[np.clip(state, 0, 2)]
    labels = _in_order(annotation, "body_id", len(points))
    return _of_rows(annotation, points, scores, LAYOUTS["ntu-25"], None, labels)


def _in_order(annotation: Mapping[Any, Any], key: str, rows: int) -> NDArray[np.int64] | None:
    """The person of each row [N], from 0 in order of appearance, if the annotation has ids of all persons."""
    ids = annotation.get(key)
    if not isinstance(ids, np.ndarray) or ids.shape != (rows,) or ids.dtype.kind not in "iu" or (ids < 0).any():
        return None
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _fitting(joints: JointLayout | None, count: int) -> JointLayout | None:
    return joints if joints is not None and len(joints) == count else None


def _of_rows(
    annotation: Mapping[Any, Any],
    points: NDArray[Any],
    scores: NDArray[Any] | None,
    joints: JointLayout | None,
    image: tuple[float, float] | None,
    labels: NDArray[np.int64] | None,
) -> Poses:
    """Poses of an annotation with one row per person and frame."""
    frames = _numbers(annotation, "frame_inds")
    if frames.shape != points.shape[:1] or frames.dtype.kind not in "iu":
        _refuse(annotation, f"frame_inds {kind_of(frames)}", f"integers [{len(points)}]")
    check_frame_numbers(frames)
    rows = np.argsort(frames, kind="stable")
    numbers, starts = np.unique(frames[rows], return_index=True)
    starts = np.append(starts, len(frames))
    most = int(np.diff(starts).max(initial=0)) if labels is None else int(labels.max(initial=-1)) + 1
    layout = _fitting(joints, points.shape[1])
    return Poses(numbers.astype(np.int64), layout, points.shape[2], image, most, points, scores, starts, rows, labels)


def _numbers(annotation: Mapping[Any, Any], key: str) -> NDArray[Any]:
    value = annotation.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        _refuse(annotation, f"{key}: {kind_of(value)}" if value is not None else f"no {key}", "an array of numbers")
    return value


def _refuse(annotation: Mapping[Any, Any], what: str, expected: str) -> NoReturn:
    name = video_name(dict(annotation))
    title = "the annotation" if name is None else f"the video {shown(name)}"
    raise DrawingError(f"{title} cannot be drawn: {what}; expected {expected}")
