"""Following persons from frame to frame: which detections of a video are of one person."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from converters.tracking.assignment import assign
from converters.tracking.poses import Poses, displacement, joint_distance, overlap

REACH = 0.4
"""A person moves less than this fraction of the own size from one frame to the next, compared with where the last
frames led. A runner at 25 frames a second moves 0.15."""

WIDENING = 0.1
"""``REACH`` grows by this fraction for each frame without a detection, up to twice."""

CLEARLY = 3
"""A detection is linked to a person if any other one within reach is at least as many times further away."""

MOTION_ROWS = 8
"""Number of the last detections of a person from which the motion is computed."""

LONGEST_MOTION = 10
"""A person who was not seen is expected to move on for as many frames."""

MOST_OPEN = 100
"""Maximum number of persons who were seen lately, but not in the last frame, for whom a frame is searched."""

_PAIRS_AT_ONCE = 1 << 13
"""Number of pairs of detections that are compared in one step, which bounds memory."""


def match(detections: Poses, frames: NDArray[np.int64], max_gap: int) -> NDArray[np.intp]:
    """The number [N] of the person of each detection; persons are numbered in the order of their first detections.

    ``frames`` [N] ascend, and every detection has a joint. A person is continued over at most ``max_gap`` frames
    without a detection.

    From one frame to the next, a detection and a person are linked if they are within reach, and much nearer to each
    other than to any other (``CLEARLY``). The other detections of the frame are assigned together (``assign``) to the
    other persons who were seen in the last ``max_gap`` + 1 frames: by the joints and the box that their last motion
    leads to.
    """
    return _Matching(detections, frames, max_gap).run()


class _Matching:
    """The persons of a video, found frame by frame; a person is a list of rows, those of the detections."""

    def __init__(self, detections: Poses, frames: NDArray[np.int64], max_gap: int) -> None:
        self._detections = detections
        self._max_gap = max_gap
        self._frames = frames
        self._starts = np.flatnonzero(np.diff(frames, prepend=frames[:1] - 1))
        self._members: list[list[int]] = []
        self._person = [0] * len(frames)
        self._last: list[int] = []  # persons in the last frame
        self._open: list[int] = []  # persons seen lately, but not in the last frame; the latest are last

    def run(self) -> NDArray[np.intp]:
        starts = self._starts.tolist()
        before = self._link_frames()
        for start, stop in zip(starts, [*starts[1:], len(before)], strict=True):
            persons = [self._person[row] if row >= 0 else -1 for row in before[start:stop]]
            if -1 in persons:
                self._assign(persons, start)
            self._add(persons, start)
        return np.array(self._person, np.intp)

    def _add(self, persons: list[int], start: int) -> None:
        """Add the rows of a frame to persons; -1 is a new one."""
        for row, person in enumerate(persons, start):
            if person < 0:
                person = persons[row - start] = len(self._members)
                self._members.append([])
            self._members[person].append(row)
            self._person[row] = person
        if self._open or persons != self._last:
            self._open = [one for one in (*self._open, *self._last) if one not in persons]
        self._last = persons

    def _alive(self, row: int) -> list[int]:
        """Who was seen in the last ``max_gap`` + 1 frames before that of a row; forgets all others."""
        oldest = self._frames[row] - self._max_gap - 1
        self._open = [one for one in self._open if self._frames[self._members[one][-1]] >= oldest][-MOST_OPEN:]
        return [*self._open, *(one for one in self._last if self._frames[self._members[one][-1]] >= oldest)]

    def _link_frames(self) -> list[int]:
        """The row before each row that is clearly the same person, by the positions alone, or -1."""
        before = np.full(len(self._person), -1)
        for i, j in self._neighbours():
            distance = _distance(self._detections, i, j, self._frames[j] - self._frames[i])
            near = np.flatnonzero(distance < 1)
            i, j, distance = i[near], j[near], distance[near]
            clear = _clearest(i, distance) & _clearest(j, distance)
            before[j[clear]] = i[clear]
        return list(before.tolist())

    def _neighbours(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Every pair of rows of two frames that follow one another, unless persons end in between."""
        counts = np.diff(self._starts, append=len(self._person))
        follow = np.flatnonzero(np.diff(self._frames[self._starts]) <= self._max_gap + 1)
        totals = counts[follow] * counts[follow + 1]
        for some in np.split(follow, np.flatnonzero(np.diff(np.cumsum(totals) // _PAIRS_AT_ONCE)) + 1):
            total = counts[some] * counts[some + 1]
            nth = np.arange(total.sum()) - np.repeat(np.cumsum(total) - total, total)
            width = np.repeat(counts[some + 1], total)
            yield (
                np.repeat(self._starts[some], total) + nth // width,
                np.repeat(self._starts[some + 1], total) + nth % width,
            )

    def _assign(self, found: list[int], start: int) -> None:
        """Set the persons of the rows of a frame, from ``start`` on, that are -1 and can be assigned."""
        linked = set(found)
        persons = [one for one in self._alive(start) if one not in linked]
        if not persons:
            return
        places = [place for place, person in enumerate(found) if person < 0]
        rows = np.array([self._members[one][-1] for one in persons])
        elapsed = self._frames[start] - self._frames[rows]
        shift = self._motion(persons, rows) * np.minimum(elapsed, LONGEST_MOTION)[:, None]
        i, j = np.repeat(np.arange(len(rows)), len(places)), np.tile(np.array(places) + start, len(rows))
        cost = np.empty(len(i))
        for at in range(0, len(i), _PAIRS_AT_ONCE):
            some = slice(at, at + _PAIRS_AT_ONCE)
            k = i[some]
            cost[some] = pair_cost(self._detections, rows[k], j[some], elapsed[k], shift[k])
        for a, b in assign(cost.reshape(len(rows), len(places))):
            found[places[b]] = persons[a]

    def _motion(self, persons: list[int], rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """The motion of persons per frame [P, 2] in their last detections, of which ``rows`` [P] are the last."""
        earlier = np.array([self._members[one][-MOTION_ROWS:][0] for one in persons])
        elapsed = np.maximum(self._frames[rows] - self._frames[earlier], 1)
        motion: NDArray[np.float64] = displacement(self._detections, earlier, rows) / elapsed[:, None]
        return motion


def _clearest(keys: NDArray[np.intp], distance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each pair [P] is the nearest of its key, and any other of the key is ``CLEARLY`` times further away."""
    order = np.lexsort((distance, keys))
    keys, distance = keys[order], distance[order]
    first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    second = np.append(distance[1:], np.inf)[: len(keys)]
    alone = np.append(first[1:], True)[: len(keys)]
    clear = np.empty(len(keys), np.bool_)
    clear[order] = first & (alone | (distance * CLEARLY <= second))
    return clear


def pair_cost(
    detections: Poses,
    i: NDArray[np.intp],
    j: NDArray[np.intp],
    elapsed: NDArray[np.int64],
    shift: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Cost [P] from 0 to 1 of taking row j for the person in row i, moved by ``shift`` [P, 2]; infinite out of reach.

    It is the mean of the distance of the joints and of the share of the boxes that they do not have in common.
    """
    distance = _distance(detections, i, j, elapsed, shift)
    cost = (distance + 1 - overlap(detections, i, j, shift)) / 2
    return np.where(distance < 1, np.minimum(cost, 1 - 1e-6), np.inf)


def _distance(
    detections: Poses,
    i: NDArray[np.intp],
    j: NDArray[np.intp],
    elapsed: NDArray[np.int64],
    shift: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Distance [P] of the joints of each pair in units of what is in reach after ``elapsed`` [P] frames.

    If they have no joint in common, it is 0 for boxes that overlap, else NaN.
    """
    distance = joint_distance(detections, i, j, shift)
    distance /= REACH * np.minimum(1 + WIDENING * (elapsed - 1), 2)
    if (unknown := np.flatnonzero(np.isnan(distance))).size:
        part = None if shift is None else shift[unknown]
        boxes = overlap(detections, i[unknown], j[unknown], part)
        distance[unknown] = np.where(boxes > 0, 0, np.nan)
    return distance
