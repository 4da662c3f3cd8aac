"""Some frames of one video as arrays of persons, read with bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.view.columns import RAW
from converters.view.requests import RequestError
from skelstore import Store
from skelstore.drawing.poses import found_joints
from skelstore.errors import FieldNotFoundError
from skelstore.wording import counted, kind_of

MOST_FRAMES = 2_000
"""Maximum number of frames in an answer."""

MOST_NUMBERS = 4_000_000
"""Maximum number of coordinates in an answer."""

MOST_READ = 40_000_000
"""Maximum number of coordinates that are read of a video at once."""

WHOLE_BYTES = 1 << 20
"""A video of at most this size is read as a whole, which is faster than finding its frames."""

LONGEST = 1 << 31
"""A number of frames beyond this one is not believed."""

_KEYS = ("keypoint", "keypoint_score", RAW, "frame_inds", "total_frames")


class Skeletons(NamedTuple):
    """Persons in the frames ``first`` to ``first`` + T of a video that has ``total`` frames.

    ``points`` float32 [P, T, V, C] with C 2 or 3, ``scores`` float32 [P, T, V] or None, ``present`` bool [P, T].
    ``most`` is the number of persons that the video has in these frames; P is smaller if they are cut.
    """

    points: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    present: NDArray[np.bool_]
    first: int
    total: int
    most: int


def window(first: int, last: int, total: int, numbers: int) -> range:
    """The frames from ``first`` up to ``last`` that an answer may hold if one frame has this many coordinates."""
    fitting = max(1, min(MOST_FRAMES, MOST_NUMBERS // max(numbers, 1)))
    start = min(first, total)
    return range(start, max(start, min(last, total, start + fitting)))


def read_annotation(store: Store, row: int, size: int) -> Mapping[Any, Any]:
    """The annotation of a video: the whole dict if its arrays have at most ``WHOLE_BYTES``, else read on access."""
    return store[row] if size <= WHOLE_BYTES else store.lazy(row)


def read_stored(
    store: Store, row: int, annotation: Mapping[Any, Any], shape: tuple[int, ...] | None, first: int, last: int
) -> Skeletons:
    """The skeletons of a video as they are stored.

    ``shape`` is that of ``keypoint``, as the table states it. A compressed keypoint becomes rows of detections: in each
    frame, row p is the p-th detection of the frame, so a row is not a person. So do the bodies of raw NTU RGB+D. Raises
    RequestError if the video has no skeletons that can be drawn, or too many to read.
    """
    if shape is None or isinstance(annotation, dict):
        keypoint = annotation.get(points_key(annotation))
        if not isinstance(keypoint, np.ndarray) or keypoint.dtype.kind not in "fiu":
            what = "no keypoint" if keypoint is None else f"a keypoint that is {kind_of(keypoint)}"
            raise RequestError(f"the video has {what}, so there is nothing to draw", status=422)
        annotation = {key: annotation[key] for key in _KEYS if key in annotation}
        shape = keypoint.shape
    _require_form(annotation, shape)
    if len(shape) == 4:
        return _read_dense(store, row, annotation, shape, first, last)
    return _read_detections(store, row, annotation, shape, first, last)


def points_key(annotation: Mapping[Any, Any]) -> str:
    """The key of the skeletons: ``keypoint``, or ``RAW`` if there is only that."""
    return RAW if RAW in annotation and "keypoint" not in annotation else "keypoint"


def _require_form(annotation: Mapping[Any, Any], shape: tuple[int, ...]) -> None:
    usable = len(shape) == 4 and shape[3] in (2, 3) and shape[2] > 0
    if len(shape) == 3 and shape[2] in (2, 3) and shape[1] > 0 and "frame_inds" in annotation:
        usable = True
    if not usable:
        raise RequestError(
            f"keypoint has shape {list(shape)}; expected [M, T, V, C], or [N, V, 3] with frame_inds, so there is "
            "nothing to draw",
            status=422,
        )
    _require_readable(shape[-1] * shape[-2], "the joints of one person", MOST_NUMBERS)


def _require_readable(numbers: int, what: str, most: int = MOST_READ) -> None:
    if numbers > most:
        raise RequestError(
            f"{what} have {numbers:,} coordinates, more than the {most:,} that are read for a view", status=422
        )


def _read_dense(
    store: Store, row: int, annotation: Mapping[Any, Any], shape: tuple[int, ...], first: int, last: int
) -> Skeletons:
    persons, total, joints, coordinates = shape
    numbers = persons * joints * coordinates
    _require_readable(numbers, "the persons of one frame")
    frames = window(first, last, total, numbers)
    if isinstance(annotation, dict):
        points, scores = annotation["keypoint"][:, frames.start : frames.stop], annotation.get("keypoint_score")
        scores = _cut_scores(scores, shape[:3], frames)
    else:
        keys = [key for key in ("keypoint", "keypoint_score") if key in annotation]
        part = store.read_one(row, fields=keys, frames=frames)
        points, scores = part["keypoint"], part.get("keypoint_score")
        if not isinstance(scores, np.ndarray) or scores.shape != points.shape[:3]:
            scores = None
    return as_skeletons(points, scores, frames.start, total)


def _cut_scores(scores: Any, shape: tuple[int, ...], frames: range) -> NDArray[Any] | None:
    if not isinstance(scores, np.ndarray) or scores.shape != shape:
        return None
    return scores[:, frames.start : frames.stop]


def as_skeletons(points: NDArray[Any], scores: NDArray[Any] | None, first: int, total: int) -> Skeletons:
    """Dense arrays [M, T, V, C] and [M, T, V] as skeletons, with at most as many persons as an answer may hold."""
    persons = len(points)
    kept = min(persons, max(1, MOST_NUMBERS // max(points[0].size if persons else 1, 1)))
    with np.errstate(all="ignore"):
        points = points[:kept].astype(np.float32)
        scores = scores[:kept].astype(np.float32) if scores is not None and scores.dtype.kind in "fiu" else None
    return Skeletons(points, scores, find_present(points, scores), first, total, persons)


def find_present(points: NDArray[np.float32], scores: NDArray[np.float32] | None) -> NDArray[np.bool_]:
    """Whether each person is in each frame [P, T]: a joint was found."""
    return np.asarray(found_joints(points, scores).any(axis=-1))


def frame_numbers(annotation: Mapping[Any, Any], count: int) -> NDArray[np.int64]:
    """``frame_inds`` of a number of detections, int64 [N]. Raises RequestError if they are not numbers of frames."""
    numbers = annotation.get("frame_inds")
    if not isinstance(numbers, np.ndarray) or numbers.shape != (count,) or numbers.dtype.kind not in "iu":
        raise RequestError(
            f"frame_inds is {kind_of(numbers)}; expected an integer for each of "
            f"{counted(count, 'detection')} in keypoint",
            status=422,
        )
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < LONGEST:
        raise RequestError(
            f"frame_inds are {numbers.min()} to {numbers.max()}; expected numbers of frames from 0 to {LONGEST:,}",
            status=422,
        )
    return numbers.astype(np.int64)


def _read_detections(
    store: Store, row: int, annotation: Mapping[Any, Any], shape: tuple[int, ...], first: int, last: int
) -> Skeletons:
    numbers = frame_numbers(annotation, shape[0])
    total = max(stated_frames(annotation), int(numbers.max()) + 1 if len(numbers) else 0)
    most = int(np.unique(numbers, return_counts=True)[1].max()) if len(numbers) else 0
    _require_readable(most * shape[1] * shape[2], "the detections of one frame")
    frames = window(first, last, total, most * shape[1] * shape[2])
    inside = np.flatnonzero((numbers >= frames.start) & (numbers < frames.stop))
    key = points_key(annotation)
    if isinstance(annotation, dict) or key == RAW:  # only keypoints can be read by frame
        keypoint = annotation[key][inside]
    else:
        keypoint = store.read_one(row, fields=[key], frames=frames)[key]
    order = np.argsort(numbers[inside], kind="stable")
    return _spread(keypoint[order], numbers[inside][order], frames, most, total, scored=key != RAW and shape[2] == 3)


def _spread(
    keypoint: NDArray[Any], numbers: NDArray[np.int64], frames: range, most: int, total: int, *, scored: bool
) -> Skeletons:
    """Detections [n, V, C], ascending by frame, as skeletons whose rows are the detections of each frame.

    If they are ``scored``, the last of the C channels is the score.
    """
    starts = np.searchsorted(numbers, numbers, "left")
    place, frame = np.arange(len(numbers)) - starts, numbers - frames.start
    joints, coordinates = keypoint.shape[1], keypoint.shape[2] - scored
    kept = min(most, max(1, MOST_NUMBERS // max(len(frames) * joints * coordinates, 1)))
    inside = place < kept
    points = np.zeros((kept, len(frames), joints, coordinates), np.float32)
    scores = np.zeros((kept, len(frames), joints), np.float32) if scored else None
    present = np.zeros((kept, len(frames)), bool)
    with np.errstate(all="ignore"):
        points[place[inside], frame[inside]] = keypoint[inside, :, :coordinates]
        if scores is not None:
            scores[place[inside], frame[inside]] = keypoint[inside, :, -1]
    present[place[inside], frame[inside]] = True
    return Skeletons(points, scores, present, frames.start, total, most)


def stated_frames(annotation: Mapping[Any, Any]) -> int:
    """``total_frames`` of an annotation; 0 if there is none that can be true."""
    try:
        stated = annotation["total_frames"]
    except (KeyError, FieldNotFoundError):
        return 0
    if isinstance(stated, (int, np.integer)) and not isinstance(stated, bool) and 0 <= stated < LONGEST:
        return int(stated)
    return 0
