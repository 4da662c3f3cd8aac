"""Compressed skeletons (one row a detection) as dense tracks: what DecompressPose of PYSKL and MMAction2 gives.

The definition is class ``DecompressPose`` in PYSKL's pyskl/datasets/pipelines/pose_related.py, and for the box filter
``PoseDataset`` in pyskl/datasets/pose_dataset.py. MMAction2 1.2.0 has the same operator (it only calls SciPy
in another way); its PoseDataset leaves ``valid`` and ``box_score`` in the annotation, where PYSKL drops them, as here.

Where upstream crashes, or answers what nobody means, an error names the video instead:

- ``frame_inds`` that go down. Upstream refuses them too, but unsigned ones slip through its check.
- With squeeze=False a frame at or above ``total_frames`` (1-based ``frame_inds`` reach it), where upstream raises
  IndexError; and a negative one, which upstream takes from the end.
- ``frame_inds`` and ``keypoint`` of unequal length, where upstream stops at the shorter one.
- No skeleton at all, where upstream fails in ``max`` or in SciPy.

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


def decompress_pose(annotation: Mapping[str, Any], *, squeeze: bool = True, max_person: int = 10) -> dict[str, Any]:
    """A compressed annotation as DecompressPose turns it out: same keys in the same order, same types, same bits.

    `annotation` has ``keypoint`` [N, V, 3] of x, y, score (further channels are ignored) in any real dtype,
    ``frame_inds`` [N], non-decreasing, ``total_frames``, and optionally ``anno_inds``, a mask or positions of the
    rows to use. The result shares the other values with it, has no ``frame_inds``, and has:

    - ``keypoint`` float16 [P, T, V, 2] and ``keypoint_score`` float16 [P, T, V], new and zero where nobody is;
      P is the number of persons in the fullest frame, at most `max_person`.
    - ``total_frames``, which is T. With `squeeze` only frames that have a skeleton count, and it is what NumPy makes
      of int16 + 1 (numpy.int16 in NumPy 2, numpy.int64 before it and above 32,767); without, it stays as it was.
    - ``num_person``, set to `max_person` only if a frame has more persons than that.

    The persons of a frame stand in order of appearance; only if any frame has more than `max_person`, those of every
    frame are in descending order of the float16 sum of their float16 scores, equal sums in order of appearance.

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
        found = f"keypoint of shape {keypoint.shape} with frame_inds of shape {frame_inds.shape}"
        _refuse(result, f"{found}, expected [N, V, 3] and [N]")
    if keypoint.dtype.kind not in "fiub":
        _refuse(result, f"keypoint of dtype {keypoint.dtype}, expected numbers")
    if "anno_inds" in result:
        rows = _selected(result, len(frame_inds))
        frame_inds, keypoint = frame_inds.take(rows), keypoint.take(rows, axis=0)
    starts, counts = _planned(result, frame_inds, squeeze, max_person)
    persons = int(counts.max())
    try:
        result["keypoint"], result["keypoint_score"] = _tracks(keypoint, starts, counts, persons, max_person)
    except MemoryError as error:
        _refuse(
            result,
            f"{counted(len(starts), 'frame')} of {counted(persons, 'person')}, for which there is not the memory "
            f"({error})",
        )
    return result


def decompress_frames(
    annotation: Mapping[str, Any],
    read_rows: Callable[[NDArray[np.intp]], NDArray[Any] | None],
    frames: Frames,
    *,
    squeeze: bool = True,
    max_person: int = 10,
) -> dict[str, Any] | None:
    """`decompress_pose` with ``keypoint`` and ``keypoint_score`` cut down to some frames, of which alone rows are read.

    ``keypoint`` of the annotation is not looked at; ``read_rows`` gives its rows [n, V, 3] at some positions. Frames
    are counted in the decompressed video. None if ``read_rows`` gives None, or rows of another form: then read it all.
    """
    check_max_person(max_person)
    result = dict(annotation)
    frame_inds = _array(result, result.pop("frame_inds"), "frame_inds")
    rows = _selected(result, len(frame_inds)) if "anno_inds" in result else np.arange(len(frame_inds))
    starts, counts = _planned(result, frame_inds.take(rows), squeeze, max_person)
    chosen, inverse = np.unique(positions(frames, len(starts)), return_inverse=True)
    lengths = counts[chosen]
    ends = lengths.cumsum()
    places = np.arange(lengths.sum()) + np.repeat(starts[chosen] - (ends - lengths), lengths)
    keypoint = read_rows(rows[places])
    if keypoint is None or keypoint.ndim != 3 or keypoint.shape[2] < 3 or keypoint.dtype.kind not in "fiub":
        return None
    point, score = _tracks(keypoint, ends - lengths, lengths, int(counts.max()), max_person)
    result["keypoint"], result["keypoint_score"] = point[:, inverse], score[:, inverse]
    return result


def squeezed_total(frames: int) -> Any:
    """``total_frames`` as upstream leaves it when it squeezes: what NumPy makes of int16 + 1."""
    return np.int16(frames - 1) + 1 if frames <= MOST_FRAMES else np.int64(frames)


def check_max_person(max_person: int) -> None:
    """Raise ValueError if ``max_person`` is no number of persons to keep."""
    if max_person < 0:
        raise ValueError(f"max_person is {max_person}: give the number of persons to keep, 0 or more")


def _planned(
    result: dict[str, Any], frame_inds: NDArray[Any], squeeze: bool, max_person: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First row and number of rows of every frame; sets ``total_frames`` and ``num_person`` of the result."""
    if not len(frame_inds):
        left = "no skeleton is left by anno_inds (the box filter)" if "anno_inds" in result else "it has no skeleton"
        raise EmptyVideoError(f"{_title(result)}: {left}, so there is nothing to decompress; leave it out")
    starts, counts = _frames(result, frame_inds, squeeze)
    if squeeze:
        result["total_frames"] = squeezed_total(len(starts))
    if counts.max() > max_person:
        result["num_person"] = max_person
    return starts, counts


def _tracks(
    keypoint: NDArray[Any], starts: NDArray[np.intp], counts: NDArray[np.intp], persons: int, max_person: int
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Rows as tracks: ``keypoint`` float16 [P, T, V, 2] and ``keypoint_score`` float16 [P, T, V].

    ``persons`` is the number of persons in the fullest frame of the video, which need not be among these frames.
    """
    # A row of zeros behind the others is what a frame shows where it has fewer persons than the fullest one.
    count, joints = keypoint.shape[:2]
    rows16 = np.ascontiguousarray(keypoint[:, :, :3], np.float16).view(JOINT)[:, :, 0]
    xy = np.zeros((count + 1, joints), np.uint32)
    xy[:count] = rows16["xy"]
    score = np.zeros((count + 1, joints), np.float16)
    score[:count] = rows16["score"]

    person = np.arange(min(persons, max_person))[:, None]
    row = np.where(person < counts, person + starts, count)
    if persons > max_person:
        row = np.append(_by_score(score[:count], starts, counts), count).take(row)
    return xy.take(row, axis=0).view(np.float16).reshape(*row.shape, joints, 2), score.take(row, axis=0)


def box_filter(box_score: ArrayLike, box_thr: float) -> NDArray[np.bool_]:
    """Mask [N] of the boxes that PoseDataset keeps: ``anno_inds`` for `decompress_pose`.

    The comparison is in the dtype of `box_score` (float16 in Kinetics-400: 0.89990234375 passes 0.9), as NumPy 1 and 2
    both do it for a Python float. A NumPy scalar counts as that float: NumPy 2 alone would compare in its dtype.
    """
    mask: NDArray[np.bool_] = np.asarray(box_score) >= float(box_thr)
    return mask


def with_box_filter(annotation: Mapping[str, Any], box_thr: float | None) -> dict[str, Any]:
    """The annotation as PYSKL's PoseDataset passes it on: without ``valid`` and ``box_score``, with ``anno_inds``.

    Without a threshold no ``anno_inds`` is set. Raises FieldNotFoundError if there is a threshold and no ``box_score``,
    DecompressionError if box_score is not one number a row.
    """
    result = dict(annotation)
    result.pop("valid", None)
    box_score = result.pop("box_score", None)
    if box_thr is not None:
        if box_score is None:
            raise FieldNotFoundError(f"{_title(annotation)} has no box_score, which box_thr={box_thr} is compared with")
        result["anno_inds"] = box_filter(_array(annotation, box_score, "box_score"), box_thr)
        if result["anno_inds"].ndim != 1:
            _refuse(annotation, f"box_score of shape {result['anno_inds'].shape}, expected one number a row, [N]")
    return result


def _selected(annotation: Mapping[str, Any], count: int) -> NDArray[np.intp]:
    """Positions of the rows that anno_inds selects out of `count`."""
    try:
        rows: NDArray[np.intp] = np.arange(count)[annotation["anno_inds"]]
    except (IndexError, ValueError) as error:
        _refuse(annotation, f"anno_inds does not fit the {counted(count, 'row')} of keypoint ({error})")
    if rows.ndim != 1:
        _refuse(annotation, f"anno_inds selects an array of shape {rows.shape}, expected a mask or positions, [N]")
    return rows


def _frames(
    annotation: Mapping[str, Any], frame_inds: NDArray[Any], squeeze: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First row and number of rows of every frame of the result; N is at least 1."""
    # Upstream looks frames up in a dict when it squeezes, so there, and only there, floats will do.
    if frame_inds.dtype.kind not in ("iuf" if squeeze else "iu"):
        _refuse(annotation, f"frame_inds of dtype {frame_inds.dtype}, expected integers")
    before, after = frame_inds[:-1], frame_inds[1:]
    ascends = before <= after
    if not ascends.all():
        at = int(ascends.argmin()) + 1
        _refuse(annotation, f"frame_inds go down at row {at}, from {before[at - 1]} to {after[at - 1]}: sort the rows")
    if squeeze:
        changes = (before != after).nonzero()[0]
        starts = np.zeros(len(changes) + 1, np.intp)
        np.add(changes, 1, out=starts[1:])
        counts = np.empty_like(starts)
        np.subtract(starts[1:], starts[:-1], out=counts[:-1])
        counts[-1] = len(frame_inds) - starts[-1]
        return starts, counts
    try:
        frames = operator.index(annotation["total_frames"])
    except TypeError:
        _refuse(annotation, f"total_frames is {annotation['total_frames']!r}, expected an integer")
    if frame_inds[0] < 0 or frame_inds[-1] >= frames:
        found = f"frame_inds run from {frame_inds[0]} to {frame_inds[-1]}, and total_frames is {frames}"
        _refuse(annotation, f"{found}: 1-based ones need squeeze=True, or 1 taken off")
    try:
        counts = np.bincount(frame_inds.astype(np.intp, copy=False), minlength=frames)
        return counts.cumsum() - counts, counts
    except (MemoryError, OverflowError, ValueError) as error:
        _refuse(annotation, f"total_frames is {frames}, for which there is not the memory ({error})")


def _by_score(scores: NDArray[np.float16], starts: NDArray[np.intp], counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows, those of each frame in descending order of their summed scores [N, V], equal ones as they were."""
    # NumPy's own sum along contiguous joints: it adds in float32, pairwise, and any other way may round otherwise.
    sums: NDArray[np.float16] = scores.sum(-1)
    bits = sums.view(np.int16)
    ascending = np.where(bits < 0, -(bits & 0x7FFF), bits)  # orders as the numbers do, and -0.0 is 0.0
    frame = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    order = (frame * 0x10000 - ascending).argsort(kind="stable")
    # Upstream sorts by Python's `sorted`, and where NaN leaves that depends on the steps it takes: take the same ones.
    for at in np.unique(frame[np.isnan(sums)]).tolist():
        start, end = starts[at], starts[at] + counts[at]
        keys = (-sums[start:end]).tolist()
        order[start:end] = start + np.array(sorted(range(len(keys)), key=keys.__getitem__))
    return order


def _array(annotation: Mapping[str, Any], value: Any, field: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError as error:
        _refuse(annotation, f"{field} is no array ({error})")


def _refuse(annotation: Mapping[str, Any], found: str) -> NoReturn:
    raise DecompressionError(f"{_title(annotation)}: {found}")


def _title(annotation: Mapping[str, Any]) -> str:
    name = video_name({key: annotation[key] for key in ("frame_dir", "filename") if key in annotation})
    return "a video without a name" if name is None else f"video {name!r}"
