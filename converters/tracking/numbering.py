"""How a data set numbers its frames: from 0 or 1, all of them or every n-th."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import SourceError
from skelstore.wording import kind_of, shown

LEAST_FRAMES = 16
"""Number of frames with detections from which a step between the frames is recognised: fewer may be a coincidence."""


class Numbering(NamedTuple):
    """The frames that a pose tool looked at: ``phase``, ``phase + step``, … if the first frame is number ``first``."""

    first: int = 0
    step: int = 1
    phase: int = 0


class Timeline(NamedTuple):
    """The frames of a video: the position on the axis T of each detection (``frames`` int64 [N]), T, and the step."""

    frames: NDArray[np.int64]
    length: int
    step: int


def recognise(videos: Iterable[tuple[NDArray[Any], Any]]) -> Numbering:
    """The numbering of videos, of which ``frame_inds`` and ``total_frames`` are given.

    The first frame is number 1 if a video has frame ``total_frames``, and none has frame 0. Kinetics-400, for example,
    has the frames 1, 3, 5, … of each video.
    """
    first, zero, step, phase, known = 0, False, 0, 0, 0
    for frame_inds, total in videos:
        numbers = np.unique(frame_inds)
        if not len(numbers):
            continue
        if not known:
            phase = int(numbers[0])
        step = math.gcd(step, int(np.gcd.reduce(numbers.astype(np.int64) - phase)))
        known += len(numbers)
        zero |= int(numbers[0]) <= 0
        first |= type(total) is not bool and int(numbers[-1]) == total
    if known < LEAST_FRAMES or step < 2:
        step, phase = 1, 0
    return Numbering(int(first and not zero), step, phase % step)


def timeline(numbering: Numbering, frame_inds: NDArray[Any], total: object) -> Timeline:
    """Positions on the axis T of the detections of a video, of which there is at least one.

    A video with a frame that the numbering does not have has a smaller step. ``total`` is ``total_frames``, or None:
    then the last frame with a detection is the last one. Raises SourceError if a frame is not within the video.
    """
    numbers = frame_inds.astype(np.int64)
    low, high = int(numbers.min()), int(numbers.max())
    if total is None:
        total = high + 1 - numbering.first
    if isinstance(total, bool) or not isinstance(total, (int, np.integer)):
        raise SourceError(f"total_frames is {kind_of(total)}; expected the number of frames, an integer")
    first = int(low >= 1 and (numbering.first == 1 or high == total))
    if low < 0 or high >= first + int(total):
        raise SourceError(
            f"frame_inds are {low} to {high}, but total_frames is {shown(total)}; expected frames from 0, or from 1"
        )
    step = math.gcd(numbering.step, int(np.gcd.reduce(numbers - numbering.phase)))
    if step < 2:
        return Timeline(numbers - first, int(total), 1)
    phase = numbering.phase % step
    return Timeline((numbers - phase) // step, (int(total) - 1 + first - phase) // step + 1, step)
