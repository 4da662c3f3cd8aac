"""The skeletons of an annotation as a report measures them, whatever its form; and what one video measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from converters.checks.poses import Poses, as_int, is_rows, poses
from converters.checks.swaps import MOST_PERSONS, find_swaps
from skelstore.drawing.poses import found_joints

__all__ = ["Form", "Measures", "Rows", "measure", "rows_of"]

Form = str
"""``dense``, ``compressed``, ``raw``, or ``none`` for a video without usable skeletons."""

_BLOCK = 1 << 20
"""Number of joints that are measured at once."""

_MOST_FRAMES = 1 << 40
"""A video that states more frames is taken for a mistake."""

MOST_JOINTS = 1000
"""Skeletons with more joints are counted, but not measured."""


class Rows(NamedTuple):
    """Skeletons one by one: ``points`` [N, V, C], ``scores`` [N, V] or None, and the frame of each [N].

    ``persons`` [N] are the numbers of persons, or None if detections are of no known person.
    """

    points: NDArray[Any]
    scores: NDArray[Any] | None
    frames: NDArray[Any]
    persons: NDArray[Any] | None


class Block(NamedTuple):
    """Some skeletons of a video: their joints [S, V], and how far joints moved to the next frame.

    ``found`` says which joints were found, in the skeletons that are there at all. ``moved`` are distances [P], of the
    joints with the numbers ``movers`` [P].
    """

    found: NDArray[np.bool_]
    scores: NDArray[np.float32] | None
    movers: NDArray[np.int64]
    moved: NDArray[np.float32]


See: TypeAlias = Callable[[tuple[int, int], Block], None]
"""What is called with the shape (V, C) and each block of a video's skeletons."""


@dataclass
class Measures:
    """What was measured in one video.

    ``frames`` is None if their number is unknown. ``persons`` is the number of persons in each frame: of all frames or,
    for detections, of those that have one. ``gaps`` are the numbers of frames in which a person is missing between two
    others. ``swaps`` is None if nobody looked for persons who change rows. ``emptiness`` is the share of joints that
    are missing in the best skeleton of each frame.
    """

    form: Form = "none"
    shape: tuple[int, int] | None = None
    frames: int | None = None
    persons: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    tracks: int | None = None
    gaps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    gap_tracks: int = 0
    swaps: int | None = None
    emptiness: float | None = None
    score: float | None = None
    speed: float | None = None
    reach: float = 0.0
    """The largest coordinate, without its sign."""


def rows_of(annotation: Mapping[Any, Any]) -> Rows | None:
    """The bodies of a raw annotation of NTU RGB+D (docs/sources_ntu.md); None if it is not one."""
    points, frames, ids = (annotation.get(key) for key in ("position", "frame_inds", "body_id"))
    if not isinstance(points, np.ndarray) or points.ndim != 3 or points.shape[2] != 3 or points.dtype.kind not in "fiu":
        return None
    if not is_rows(frames, len(points), "iu") or not is_rows(ids, len(points), "iu"):
        return None
    return Rows(points, None, np.asarray(frames), np.asarray(ids))


def measure(annotation: Mapping[Any, Any], see: See) -> Measures:
    """Measure a video; ``see`` gets its skeletons in blocks, so that memory does not grow with them."""
    skeletons = poses(annotation)
    if isinstance(skeletons, Poses):
        if not skeletons.compressed:
            return _measure_dense(skeletons, see)
        frames = annotation["frame_inds"]
        if is_rows(frames, len(skeletons.points), "iu"):
            return _measure_rows(Rows(skeletons.points, skeletons.scores, frames, None), "compressed", annotation, see)
    elif rows := rows_of(annotation):
        return _measure_rows(rows, "raw", annotation, see)
    return Measures(frames=_stated_frames(annotation))


def _measure_dense(skeletons: Poses, see: See) -> Measures:
    points, scores = skeletons.points, skeletons.scores
    persons, frames, joints, axes = points.shape
    result = Measures("dense", (joints, axes), frames)
    if joints > MOST_JOINTS:
        return result
    there = np.zeros((persons, frames), np.bool_)
    best = np.zeros(frames, np.int64)
    total = _Means()
    for start, stop in _slices(frames, persons * joints):
        first = max(start - 1, 0)  # the frame before, from which joints move
        place = points[:, first:stop]
        sure = None if scores is None else scores[:, first:stop]
        found = found_joints(place, sure)
        movers, moved = _moves(place[:, :-1], place[:, 1:], found[:, :-1] & found[:, 1:])
        own = found[:, start - first :]
        here = own.any(axis=2)
        there[:, start:stop] = here
        best[start:stop] = own.sum(axis=2).max(axis=0, initial=0)
        own_scores = None if sure is None else sure[:, start - first :][here].astype(np.float32)
        block = Block(own[here], own_scores, movers, moved)
        total.add(block, place[:, start - first :][own])
        see((joints, axes), block)
    result.persons = there.sum(axis=0)
    total.fill(result)
    result.emptiness = 1 - float(best.mean()) / joints if frames else None
    row, frame = np.nonzero(there)
    _fill_gaps(result, row, frame)
    result.swaps = int(find_swaps(points[:MOST_PERSONS]).sum()) if persons > 1 and frames > 1 else 0
    return result


def _measure_rows(rows: Rows, form: Form, annotation: Mapping[Any, Any], see: See) -> Measures:
    points, scores = rows.points, rows.scores
    joints, axes = points.shape[1:]
    result = Measures(form, (joints, axes), _stated_frames(annotation))
    if not 0 < joints <= MOST_JOINTS:
        return result
    order = np.argsort(rows.frames, kind="stable") if rows.persons is None else np.lexsort((rows.frames, rows.persons))
    there = np.zeros(len(points), np.bool_)
    count = np.zeros(len(points), np.int64)
    total = _Means()
    for start, stop in _slices(len(points), joints):
        first = max(start - 1, 0)
        here = order[first:stop]
        place, sure = points[here], None if scores is None else scores[here]
        found = found_joints(place, sure)
        movers, moved = np.zeros(0, np.int64), np.zeros(0, np.float32)
        if rows.persons is not None:
            next_frame = np.diff(rows.frames[here].astype(np.int64)) == 1
            together = next_frame & (rows.persons[here][1:] == rows.persons[here][:-1])
            movers, moved = _moves(place[:-1], place[1:], found[:-1] & found[1:] & together[:, None])
        own = found[start - first :]
        there[here[start - first :]] = own.any(axis=1)
        count[here[start - first :]] = own.sum(axis=1)
        keep = own.any(axis=1)
        own_scores = None if sure is None else sure[start - first :][keep].astype(np.float32)
        block = Block(own[keep], own_scores, movers, moved)
        total.add(block, place[start - first :][own])
        see((joints, axes), block)
    frames, persons = np.unique(rows.frames[there], return_counts=True)
    result.persons = persons.astype(np.int64)
    if rows.persons is not None and result.frames is not None and result.frames > len(frames):
        empty = min(result.frames - len(frames), 1 << 20)
        result.persons = np.append(result.persons, np.zeros(empty, np.int64))
    total.fill(result)
    if len(frames):
        by_frame = np.argsort(rows.frames[there], kind="stable")
        starts = np.searchsorted(rows.frames[there][by_frame], frames)
        result.emptiness = 1 - float(np.maximum.reduceat(count[there][by_frame], starts).mean()) / joints
    if rows.persons is not None:
        kept = order[there[order]]
        _fill_gaps(result, rows.persons[kept], rows.frames[kept].astype(np.int64))
    return result


def _stated_frames(annotation: Mapping[Any, Any]) -> int | None:
    frames = as_int(annotation.get("total_frames"))
    return frames if frames is not None and 0 <= frames <= _MOST_FRAMES else None


def _slices(length: int, width: int) -> Iterator[tuple[int, int]]:
    step = max(_BLOCK // max(width, 1), 1)
    for start in range(0, length, step):
        yield start, min(start + step, length)


def _moves(
    before: NDArray[Any], after: NDArray[Any], both: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The numbers and distances of the joints that were found in ``both``."""
    apart = after.astype(np.float32) - before.astype(np.float32)
    distance = np.sqrt((apart * apart).sum(axis=-1))[both]
    return np.nonzero(both)[-1], distance


def _fill_gaps(result: Measures, rows: NDArray[Any], frames: NDArray[Any]) -> None:
    """Set the tracks and gaps from the frames of each row, which are ordered by row and frame."""
    same = rows[1:] == rows[:-1]
    apart = np.diff(frames) - 1
    gaps = same & (apart > 0)
    result.tracks = len(rows) - int(same.sum())
    result.gaps = apart[gaps]
    result.gap_tracks = len(np.unique(rows[1:][gaps]))


class _Means:
    """Sums over the blocks of a video, from which its means come."""

    def __init__(self) -> None:
        self._scores = self._moves = 0.0
        self._scored = self._moved = 0
        self._reach = 0.0

    def add(self, block: Block, points: NDArray[Any]) -> None:
        if block.scores is not None:
            self._scores += float(np.nan_to_num(block.scores, posinf=1, neginf=0).sum(dtype=np.float64))
            self._scored += block.scores.size
        moved = block.moved[np.isfinite(block.moved)]
        self._moves += float(moved.sum(dtype=np.float64))
        self._moved += len(moved)
        if points.size:
            self._reach = max(self._reach, abs(float(points.min())), abs(float(points.max())))

    def fill(self, result: Measures) -> None:
        """Set the means."""
        result.score = self._scores / self._scored if self._scored else None
        result.speed = self._moves / self._moved if self._moved else None
        result.reach = self._reach
