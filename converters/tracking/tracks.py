"""The persons of a video: by the ids of the tool, else by matching; no duplicates; the longest and surest first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.tracking.matching import match
from converters.tracking.poses import Poses, joint_distance, overlap

NO_ID = -1
"""The id of a detection that the tool did not track; all negative ids mean that."""

MOST_PERSONS = 100
"""Maximum number of detections of a frame, those of the highest scores, that are matched and compared."""

ALIKE = 0.1
"""Two detections of a frame are on one person if their joints are less than this fraction of the size apart, and their
boxes share ``ALIKE_BOXES``. Detectors' duplicates are 0.01 to 0.05 apart, persons who dance together 0.15 and more."""

ALIKE_BOXES = 0.5

DUPLICATE = 0.5
"""A track is a duplicate if this share of its detections, at least, are on the person of a stronger track."""

ELSEWHERE = 1.0
"""A person whose id returns after more than the longest gap, more than this many sizes away, is another person."""

_PAIRS_AT_ONCE = 1 << 13
"""Number of pairs of detections that are compared in one step, which bounds memory."""


class Tracks(NamedTuple):
    """``person`` [N]: the number of each detection's person, -1 if it is dropped; a person has one per frame.

    The persons are numbered in descending order of the sum of their scores, which is large for a long track of high
    scores. ``ids`` [persons] are those of the tool, -1 for a person who was matched. ``duplicates`` is the number of
    dropped detections on a person who has another one in the frame.
    """

    person: NDArray[np.intp]
    ids: NDArray[np.int64]
    duplicates: int


def find_tracks(
    detections: Poses,
    frames: NDArray[np.int64],
    scores: NDArray[np.float64],
    ids: NDArray[np.int64] | None,
    max_gap: int,
) -> Tracks:
    """Find the persons of detections [N], which are in ascending order of ``frames``, then descending of ``scores``.

    ``scores`` are at least 0. A detection with an id belongs to the person of this id; an id that a frame has twice is
    none, and one that returns after more than ``max_gap`` frames elsewhere is another person. The others are matched
    among themselves; of these, detections without a joint, and those beyond the ``MOST_PERSONS`` best of a frame, are
    dropped.
    """
    place = np.arange(len(frames)) - np.searchsorted(frames, frames)  # in the frame
    track, track_ids = _tracks_of_ids(detections, frames, ids, max_gap)
    left = np.flatnonzero((track < 0) & detections.found & (place < MOST_PERSONS))
    if len(left):
        track[left] = match(detections.take(left), frames[left], max_gap) + len(track_ids)
    count = int(track.max(initial=-1)) + 1
    all_ids = np.append(track_ids, np.full(count - len(track_ids), NO_ID))
    rows = np.flatnonzero((track >= 0) & detections.found & (place < MOST_PERSONS))
    merged = _merge(detections, frames, track, rows, _strengths(track, scores, count), all_ids)
    person = np.where(track >= 0, merged[track], -1) if count else track
    duplicates = _drop_second(person, frames, track, _strengths(track, scores, count))
    order = _order(person, scores, count)
    rank = np.full(count + 1, -1)
    rank[order] = np.arange(len(order))
    return Tracks(rank[person], all_ids[order], duplicates)


def _tracks_of_ids(
    detections: Poses, frames: NDArray[np.int64], ids: NDArray[np.int64] | None, max_gap: int
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The number of each detection's track, -1 for one without a usable id, and the id of each track."""
    track = np.full(len(frames), -1)
    if ids is None or not (ids >= 0).any():
        return track, np.zeros(0, np.int64)
    order = np.lexsort((frames, ids))
    order = order[ids[order] >= 0]
    same = ids[order[1:]] == ids[order[:-1]]
    twice = ids[order[1:]][same & (frames[order[1:]] == frames[order[:-1]])]
    order = order[~np.isin(ids[order], twice)]
    one, other = order[:-1], order[1:]
    new = ids[one] != ids[other]
    away = np.flatnonzero(~new & (frames[other] - frames[one] > max_gap + 1))
    distance = joint_distance(detections, one[away], other[away])
    unknown = np.isnan(distance)
    apart = overlap(detections, one[away], other[away]) == 0
    new[away] = np.where(unknown, apart, np.nan_to_num(distance) > ELSEWHERE)
    track[order] = np.cumsum(np.append(False, new)) if len(order) else 0
    firsts = order[np.append(True, new)] if len(order) else order
    return track, ids[firsts]


def _strengths(track: NDArray[np.intp], scores: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The sum of the scores of each track."""
    rows = track >= 0
    return np.bincount(track[rows], scores[rows], minlength=count).astype(np.float64)


def _merge(
    detections: Poses,
    frames: NDArray[np.int64],
    track: NDArray[np.intp],
    rows: NDArray[np.intp],
    strengths: NDArray[np.float64],
    ids: NDArray[np.int64],
) -> NDArray[np.intp]:
    """The track that each track belongs to: itself, or for a duplicate without an id the stronger one."""
    count = len(strengths)
    merged = np.arange(count)
    tracks, times = _alike_tracks(detections, frames, track, rows, count)
    length = np.bincount(track[track >= 0], minlength=count)
    for at in np.lexsort((tracks, -times)).tolist():
        stronger, weaker = divmod(int(tracks[at]), count)
        if (ids[weaker] >= 0, strengths[weaker], length[weaker], -weaker) > (
            *(ids[stronger] >= 0, strengths[stronger], length[stronger], -stronger),
        ):
            stronger, weaker = weaker, stronger
        if ids[weaker] < 0 and times[at] >= DUPLICATE * length[weaker] and merged[weaker] == weaker:
            merged[weaker] = stronger
    while not np.array_equal(merged, merged[merged]):
        merged = merged[merged]
    return merged


def _alike_tracks(
    detections: Poses, frames: NDArray[np.int64], track: NDArray[np.intp], rows: NDArray[np.intp], count: int
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Pairs of tracks with detections on one person, as ``a * count + b``, and in how many frames."""
    follow = np.searchsorted(frames[rows], frames[rows], side="right") - np.arange(len(rows)) - 1  # in the same frame
    total = np.cumsum(follow)
    pairs: list[NDArray[np.int64]] = []
    for some in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(total // _PAIRS_AT_ONCE)) + 1):
        at = np.repeat(some, follow[some])
        nth = np.arange(len(at)) - np.repeat(np.cumsum(follow[some]) - follow[some], follow[some])
        i, j = rows[at], rows[at + nth + 1]
        with np.errstate(invalid="ignore"):
            alike = joint_distance(detections, i, j) < ALIKE
        i, j = i[alike], j[alike]
        boxes = overlap(detections, i, j) > ALIKE_BOXES
        one, other = track[i[boxes]], track[j[boxes]]
        pairs.append(np.minimum(one, other).astype(np.int64) * count + np.maximum(one, other))
    return np.unique(np.concatenate([np.zeros(0, np.int64), *pairs]), return_counts=True)


def _drop_second(
    person: NDArray[np.intp], frames: NDArray[np.int64], track: NDArray[np.intp], strengths: NDArray[np.float64]
) -> int:
    """Set to -1 all but one detection of a person in each frame; return their number.

    The one that stays is of the person's own track, else of the strongest of the others.
    """
    rows = np.flatnonzero(person >= 0)
    others = track[rows] != person[rows]
    rows = rows[np.lexsort((track[rows], -strengths[track[rows]], others, person[rows], frames[rows]))]
    second = np.zeros(len(rows), np.bool_)
    second[1:] = (frames[rows[1:]] == frames[rows[:-1]]) & (person[rows[1:]] == person[rows[:-1]])
    person[rows[second]] = -1
    return int(second.sum())


def _order(person: NDArray[np.intp], scores: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """The persons that have detections, those with the largest sum of scores first, then the longest, the earliest."""
    rows = np.flatnonzero(person >= 0)
    strength = _strengths(person, scores, count)
    length = np.bincount(person[rows], minlength=count)
    first = np.full(count, len(person))
    np.minimum.at(first, person[rows], rows)
    return np.lexsort((first, -length, -strength))[: np.count_nonzero(length)]
