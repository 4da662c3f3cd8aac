"""Compressed skeletons (one row per detection) as dense tracks, as DecompressPose of PYSKL and MMAction2 returns them.

The definition is class ``DecompressPose`` in PYSKL's pyskl/datasets/pipelines/pose_related.py, and for the box filter
``PoseDataset`` in pyskl/datasets/pose_dataset.py. MMAction2 1.2.0 has the same operator (only its call of SciPy
differs). Its PoseDataset keeps ``valid`` and ``box_score`` in the annotation; PYSKL drops them, as this module does.

If upstream crashes or returns a meaningless result, this module raises an error that names the video:

- ``frame_inds`` that decrease. Upstream refuses them too, but its check misses unsigned ones.
- With squeeze=False, a frame at or above ``total_frames`` (1-based ``frame_inds`` reach it), for which upstream raises
  IndexError; and a negative frame, which upstream counts from the end.
- ``frame_inds`` and ``keypoint`` of unequal length: upstream stops at the end of the shorter one.
- No skeleton at all: upstream fails in ``max`` or in SciPy.

More than 32,767 frames with squeeze=True overflow upstream's int16; here they work.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skelstore.errors import DecompressionError, EmptyVideoError, FieldNotFoundError
from skelstore.format.schema import video_name
from skelstore.read.frames import Frames, positions
from skelstore.wording import counted

__all__ = [
    "box_filter",
    "check_max_person",
    "decompress_frames",
    "decompress_pose",
    "squeezed_total",
    "with_box_filter",
]


JOINT = np.dtype({"names": ["xy", "score"], "formats": ["u4", "f2"], "offsets": [0, 4], "itemsize": 6})
"""One joint of a compressed row: moving x and y as one number is several times faster than as two."""

MOST_FRAMES = np.iinfo(np.int16).max
"""The highest number of frames that upstream's int16 holds."""


def decompress_pose(annotation: Mapping[str, Any], *, squeeze: bool = True, max_person: int = 10) -> dict[str, Any]:
    """Decompress an annotation as DecompressPose does: same keys in the same order, same types, same bits.

    `annotation` has ``keypoint`` [N, V, 3] of x, y, score (further channels are ignored) in any real dtype,
    ``frame_inds`` [N], non-decreasing, ``total_frames``, and optionally ``anno_inds``, a mask or positions of the
    rows to use. The result shares the other values with it, has no ``frame_inds``, and has:

    - ``keypoint`` float16 [P, T, V, 2] and ``keypoint_score`` float16 [P, T, V], new arrays that are zero for absent
      persons; P is the number of persons in the fullest frame, at most `max_person`.
    - ``total_frames``, which is T. With `squeeze`, only frames that have a skeleton count, and its type is that of
      NumPy's int16 + 1 (numpy.int16 in NumPy 2, numpy.int64 before it and above 32,767); without, it is unchanged.
    - ``num_person``, set to `max_person` only if a frame has more persons than that.

    The persons of a frame are in order of appearance. If any frame has more than `max_person`, the persons of every
    frame are in descending order of the float16 sum of their float16 scores instead, equal sums in order of appearance.

    Raises FieldNotFoundError if one of the three fields is missing, EmptyVideoError if there are no rows to use,
    DecompressionError if the fields do not fit together, each naming the video, and ValueError if `max_person`
    is negative.
    """
    check_max_person(max_person)
    result = dict(annotation)
    for field in ("total_frames", "frame_inds", "keypoint"):
        if field not in result:
            raise FieldNotFoundError(f"{_title(result)} has no {field}, so it is not a compressed annotation")
    frame_inds = _array(result, result.pop("frame_inds"), "frame_inds")
    keypoint = _array(result, result["keypoint"], "keypoint")
    if keypoint.ndim != 3 or keypoint.shape[2] < 3 or frame_inds.shape != keypoint.shape[:1]:
        shapes = f"keypoint of shape {keypoint.shape} with frame_inds of shape {frame_inds.shape}"
        _refuse(result, f"{shapes}, expected [N, V, 3] and [N]")
    if keypoint.dtype.kind not in "fiub":
        _refuse(result, f"keypoint of dtype {keypoint.dtype}, expected numbers")
    rows = _kept(result, len(frame_inds))
    if rows is not None:
        frame_inds, keypoint = frame_inds.take(rows), keypoint.take(rows, axis=0)
    starts, counts, persons = _plan_frames(result, frame_inds, squeeze, max_person)
    try:
        tracks = _tracks(keypoint, starts, counts, persons, max_person)
    except MemoryError as error:
        _refuse(
            result,
            f"{counted(len(starts), 'frame')} of {counted(persons, 'person')}, which do not fit in memory ({error})",
        )
    result["keypoint"], result["keypoint_score"] = tracks
    return result


def decompress_frames(
    annotation: Mapping[str, Any],
    read_rows: Callable[[NDArray[np.intp]], NDArray[Any] | None],
    frames: Frames,
    *,
    squeeze: bool = True,
    max_person: int = 10,
) -> dict[str, Any] | None:
    """Like `decompress_pose`, but reduce ``keypoint`` and ``keypoint_score`` to some frames, and read only their rows.

    ``keypoint`` of the annotation is not used: ``read_rows`` returns its rows [n, V, 3] at some positions. Frames are
    those of the decompressed video. The result is None if ``read_rows`` returns None or rows of another form; the
    caller then reads the whole video.
    """
    check_max_person(max_person)
    result = dict(annotation)
    frame_inds = _array(result, result.pop("frame_inds"), "frame_inds")
    rows = _kept(result, len(frame_inds))
    if rows is not None:
        frame_inds = frame_inds.take(rows)
    starts, counts, persons = _plan_frames(result, frame_inds, squeeze, max_person)
    chosen, inverse = np.unique(positions(frames, len(starts)), return_inverse=True)
    lengths = counts[chosen]
    ends = lengths.cumsum()
    places = np.arange(lengths.sum()) + np.repeat(starts[chosen] - (ends - lengths), lengths)
    keypoint = read_rows(places if rows is None else rows.take(places))
    if keypoint is None or keypoint.ndim != 3 or keypoint.shape[2] < 3 or keypoint.dtype.kind not in "fiub":
        return None
    point, score = _tracks(keypoint, ends - lengths, lengths, persons, max_person)
    result["keypoint"], result["keypoint_score"] = point[:, inverse], score[:, inverse]
    return result


def squeezed_total(frames: int) -> Any:
    """``total_frames`` as upstream sets it when it squeezes, with the type of NumPy's int16 + 1."""
    return np.int16(frames - 1) + 1 if frames <= MOST_FRAMES else np.int64(frames)


def check_max_person(max_person: int) -> None:
    """Raise ValueError if ``max_person`` is negative."""
    if max_person < 0:
        raise ValueError(f"max_person is {max_person}: give the number of persons to keep, 0 or more")


def _plan_frames(
    result: dict[str, Any], frame_inds: NDArray[Any], squeeze: bool, max_person: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Return first row and number of rows of every frame, and the number of rows of the fullest frame.

    Sets ``total_frames`` and ``num_person`` of the result.
    """
    if not len(frame_inds):
        left = "anno_inds (the box filter) leaves no skeleton" if "anno_inds" in result else "it has no skeleton"
        raise EmptyVideoError(f"{_title(result)}: {left}, so there is nothing to decompress: leave the video out")
    starts, counts = _frames(result, frame_inds, squeeze)
    if squeeze:
        result["total_frames"] = squeezed_total(len(starts))
    persons = int(counts[counts.argmax()])
    if persons > max_person:
        result["num_person"] = max_person
    return starts, counts, persons


def _tracks(
    keypoint: NDArray[Any], starts: NDArray[np.intp], counts: NDArray[np.intp], persons: int, max_person: int
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Rows as tracks: ``keypoint`` float16 [P, T, V, 2] and ``keypoint_score`` float16 [P, T, V].

    ``persons`` is the number of persons in the fullest frame of the video, which need not be among these frames.
    """
    count, joints = keypoint.shape[:2]
    rows16 = np.ascontiguousarray(keypoint[:, :, :3], np.float16).view(JOINT)[:, :, 0]
    xy, score = _with_zeros(rows16["xy"]), _with_zeros(rows16["score"])
    row = np.arange(min(persons, max_person))[:, None] + starts
    np.putmask(row, row >= starts + counts, count)  # missing persons: the row of zeros
    if persons > max_person:
        row = np.append(_by_score(score[:count], starts, counts), count).take(row)
    return xy.take(row, axis=0).view(np.float16).reshape(*row.shape, joints, 2), score.take(row, axis=0)


def _with_zeros(values: NDArray[Any]) -> NDArray[Any]:
    """A contiguous copy of values [N, V], with a row of zeros after the last."""
    copy = np.empty((len(values) + 1, values.shape[1]), values.dtype)
    copy[:-1], copy[-1] = values, 0
    return copy


def box_filter(box_score: ArrayLike, box_thr: float) -> NDArray[np.bool_]:
    """Mask [N] of the boxes that PoseDataset keeps: ``anno_inds`` for `decompress_pose`.

    Scores are compared in the dtype of `box_score` (float16 in Kinetics-400: 0.89990234375 passes 0.9), as both NumPy 1
    and NumPy 2 do for a Python float. `box_thr` is first converted to one: with a NumPy scalar, NumPy 2 would compare
    in the scalar's dtype.
    """
    mask: NDArray[np.bool_] = np.asarray(box_score) >= float(box_thr)
    return mask


def with_box_filter(annotation: Mapping[str, Any], box_thr: float | None) -> dict[str, Any]:
    """The annotation as PYSKL's PoseDataset returns it: without ``valid`` and ``box_score``, with ``anno_inds``.

    Without a threshold no ``anno_inds`` is set. Raises FieldNotFoundError if there is a threshold and no ``box_score``,
    DecompressionError if ``box_score`` is not one number per row.
    """
    result = dict(annotation)
    result.pop("valid", None)
    box_score = result.pop("box_score", None)
    if box_thr is not None:
        if box_score is None:
            raise FieldNotFoundError(f"{_title(annotation)} has no box_score, which box_thr={box_thr} is compared with")
        result["anno_inds"] = box_filter(_array(annotation, box_score, "box_score"), box_thr)
        if result["anno_inds"].ndim != 1:
            _refuse(annotation, f"box_score of shape {result['anno_inds'].shape}, expected one number per row, [N]")
    return result


def _kept(annotation: Mapping[str, Any], count: int) -> NDArray[np.intp] | None:
    """Positions of the rows that ``anno_inds`` selects, out of `count`; None if all are used, in their order."""
    if "anno_inds" not in annotation:
        return None
    selected = annotation["anno_inds"]
    if type(selected) is np.ndarray and selected.dtype == np.bool_ and selected.shape == (count,):
        rows: NDArray[np.intp] = selected.nonzero()[0]
        return None if len(rows) == count else rows
    try:
        rows = np.arange(count)[selected]
    except (IndexError, ValueError) as error:
        _refuse(annotation, f"anno_inds does not fit the {counted(count, 'row')} of keypoint ({error})")
    if rows.ndim != 1:
        _refuse(annotation, f"anno_inds selects an array of shape {rows.shape}, expected a mask or positions, [N]")
    return rows


def _frames(
    annotation: Mapping[str, Any], frame_inds: NDArray[Any], squeeze: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First row and number of rows of every frame of the result; N is at least 1."""
    # With squeeze, upstream looks frames up in a dict, so floats are possible then, and only then.
    if frame_inds.dtype.kind not in ("iuf" if squeeze else "iu"):
        _refuse(annotation, f"frame_inds of dtype {frame_inds.dtype}, expected integers")
    before, after = frame_inds[:-1], frame_inds[1:]
    ascends = before <= after
    if np.count_nonzero(ascends) < len(ascends):
        at = int(ascends.argmin()) + 1
        _refuse(annotation, f"frame_inds decrease at row {at}, from {before[at - 1]} to {after[at - 1]}: sort the rows")
    if squeeze:
        begins = np.empty(len(frame_inds) + 1, np.bool_)  # the rows at which a frame begins, and the end
        begins[0] = begins[-1] = True
        np.not_equal(before, after, out=begins[1:-1])
        edges = begins.nonzero()[0]
        return edges[:-1], edges[1:] - edges[:-1]
    try:
        frames = operator.index(annotation["total_frames"])
    except TypeError:
        _refuse(annotation, f"total_frames is {annotation['total_frames']!r}, expected an integer")
    if frame_inds[0] < 0 or frame_inds[-1] >= frames:
        extent = f"frame_inds run from {frame_inds[0]} to {frame_inds[-1]}, and total_frames is {frames}"
        _refuse(annotation, f"{extent}: if they are 1-based, use squeeze=True or subtract 1")
    try:
        counts = np.bincount(frame_inds.astype(np.intp, copy=False), minlength=frames)
        return counts.cumsum() - counts, counts
    except (MemoryError, OverflowError, ValueError) as error:
        _refuse(annotation, f"total_frames is {frames}; that many frames do not fit in memory ({error})")


def _by_score(scores: NDArray[np.float16], starts: NDArray[np.intp], counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows, with those of each frame in descending order of their summed scores [N, V]; ties keep their order."""
    # NumPy's own sum over contiguous joints: it adds pairwise in float32, and any other way may round differently.
    sums: NDArray[np.float16] = scores.sum(-1)
    bits = sums.view(np.int16)
    ascending = np.where(bits < 0, -(bits & 0x7FFF), bits)  # sorts like the numbers, and -0.0 equals 0.0
    frame = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    order = (frame * 0x10000 - ascending).argsort(kind="stable")
    # Upstream uses Python's `sorted`, whose order with NaN depends on the steps of its algorithm: use it here, too.
    for at in np.unique(frame[np.isnan(sums)]).tolist():
        start, end = starts[at], starts[at] + counts[at]
        keys = (-sums[start:end]).tolist()
        order[start:end] = start + np.array(sorted(range(len(keys)), key=keys.__getitem__))
    return order


def _array(annotation: Mapping[str, Any], value: Any, field: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError as error:
        _refuse(annotation, f"{field} is not an array ({error})")


def _refuse(annotation: Mapping[str, Any], problem: str) -> NoReturn:
    raise DecompressionError(f"{_title(annotation)}: {problem}")


def _title(annotation: Mapping[str, Any]) -> str:
    name = video_name({key: annotation[key] for key in ("frame_dir", "filename") if key in annotation})
    return "a video without a name" if name is None else f"video {name!r}"
