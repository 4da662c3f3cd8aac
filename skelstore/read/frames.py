"""Reading some frames of a video: finding their rows, and reading only the chunks that hold these rows."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import FrameIndexError
from skelstore.format.values import INT_MAX
from skelstore.read.arrays import ArrayReader
from skelstore.wording import counted

Numbers: TypeAlias = slice | range | Sequence[int] | NDArray[Any]
Frames: TypeAlias = Numbers | Callable[[int], Numbers]
"""The frames to read: a slice, a range, integers (a sequence or an array), or a function that is called with the
video's number of frames and returns one of these, as the samplers of training pipelines do."""

GAP_BYTES = 32 << 10
"""Bytes that can be read and decoded in the time that one more read costs (about 15 us)."""

LONG_VIDEO_ROWS = 4096
"""Up to this length, ``frame_inds`` is read as a whole, which takes a few microseconds."""

STRIDE = 1024
"""Of longer ``frame_inds``, every ``STRIDE``-th frame number is cached."""

REMEMBERED_VIDEOS = 1024
"""Maximum number of videos, per array, whose frame numbers are cached."""


def positions(frames: Frames, total: int) -> NDArray[np.int64]:
    """The frames as positions 0 to ``total`` - 1, in the requested order; negative numbers count from the end.

    Raises FrameIndexError if one is out of range, TypeError if one is not an integer.
    """
    if callable(frames):
        frames = frames(total)
    if isinstance(frames, slice):
        return np.arange(*frames.indices(total))
    wanted = _integers(frames)
    chosen = np.where(wanted < 0, wanted + total, wanted)
    outside = (chosen < 0) | (chosen >= total)
    if outside.any():
        raise FrameIndexError(f"frame {wanted[outside][0]} does not exist in a video of {counted(total, 'frame')}")
    return chosen


def rows_of_frames(frames: Frames, frame_inds: NDArray[Any]) -> NDArray[np.int64]:
    """Rows of a compressed video whose frame number is among the frames, ascending.

    Frames are the numbers in ``frame_inds`` [N] (1-based in Kinetics-400). A slice selects such numbers, and a function
    is called with the highest number plus 1.

    Raises FrameIndexError if the highest number is not finite or a frame does not fit in 64 bits, TypeError if a frame
    is not an integer.
    """
    if callable(frames) or isinstance(frames, slice):
        frames = _resolve(frames, _stop(frame_inds))
    if isinstance(frames, range) and frames.step == 1:
        return np.flatnonzero((frame_inds >= frames.start) & (frame_inds < frames.stop))
    return np.flatnonzero(np.isin(frame_inds, _integers(frames)))


class FrameNumbers:
    """Finds the rows of the requested frames in ``frame_inds`` of compressed videos.

    The frame numbers of a long video are read once as a whole. If they ascend, every `STRIDE`-th number is cached, and
    later calls read only the rows between the cached numbers that enclose the requested frames.
    """

    def __init__(self, array: ArrayReader) -> None:
        self._array = array
        self._known: dict[int, NDArray[Any]] = {}

    def rows(self, frames: Frames, first: int, count: int) -> NDArray[np.int64]:
        """``rows_of_frames`` for a video of ``count`` rows from the row ``first`` on; rows count from ``first``."""
        if count <= LONG_VIDEO_ROWS:
            return rows_of_frames(frames, self._array.read(first, count))
        known = self._known.get(first)
        if known is None:
            known = self._learn(first, count)
        if not len(known):
            return rows_of_frames(frames, self._array.read(first, count))
        frames = _resolve(frames, int(known[-1]) + 1)
        asked = frames if isinstance(frames, range) else np.sort(_integers(frames))
        if not (asked if isinstance(asked, range) else len(asked)):  # len() fails for a very long range
            return np.zeros(0, np.int64)
        lowest, highest = min(asked[0], asked[-1]), max(asked[0], asked[-1])
        low = max(int(known.searchsorted(lowest, "left")) - 1, 0) * STRIDE
        high = min(int(known.searchsorted(highest, "right")) * STRIDE, count)
        if high <= low:  # all frames are before the first one of the video, or after its last one
            return np.zeros(0, np.int64)
        rows = rows_of_frames(frames, self._array.read(first + low, high - low))
        rows += low
        return rows

    def _learn(self, first: int, count: int) -> NDArray[Any]:
        """Cache and return every `STRIDE`-th frame number and the last one; an empty array if they do not ascend."""
        whole = self._array.read(first, count)
        ascending = np.can_cast(whole.dtype, np.int64) and bool((whole[1:] >= whole[:-1]).all())
        if len(self._known) >= REMEMBERED_VIDEOS:
            self._known.clear()
        self._known[first] = np.append(whole[::STRIDE], whole[-1]) if ascending else whole[:0].copy()
        return self._known[first]


def read_rows(array: ArrayReader, first: int, persons: int, length: int, chosen: NDArray[np.int64]) -> NDArray[Any]:
    """Read the same rows of each person: an array [persons * n, *trailing].

    Each person has ``length`` rows, the first person's starting at the row ``first``; ``chosen`` [n] are positions
    among these rows. Rows close to each other are read together. A gap of more than a chunk, and of more than
    `GAP_BYTES`, is skipped.
    """
    count = len(chosen)
    if count and persons and chosen[-1] - chosen[0] == count - 1 and (np.diff(chosen) == 1).all():
        low = first + int(chosen[0])
        pieces = [array.read(low + person * length, count) for person in range(persons)]
        run: NDArray[Any] = np.concatenate(pieces, dtype=array.metadata.dtype) if persons > 1 else pieces[0]
        return run
    rows = (np.arange(persons)[:, None] * length + chosen).reshape(-1)
    wanted, inverse = np.unique(rows, return_inverse=True)
    pieces = [array.read(first, 0)]
    for start, stop in runs(wanted, _gap(array)):
        low = int(wanted[start])
        piece = array.read(first + low, int(wanted[stop - 1]) - low + 1)
        pieces.append(piece[wanted[start:stop] - low])
    read: NDArray[Any] = np.concatenate(pieces, dtype=array.metadata.dtype)  # the dtype keeps the byte order
    requested: NDArray[Any] = read[inverse.reshape(-1)]
    return requested


def plan_runs(
    array: ArrayReader, first: int, persons: int, length: int, chosen: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """What ``read_rows`` reads, as runs of rows of the array: first row, number of rows."""
    wanted = np.unique((np.arange(persons)[:, None] * length + chosen).reshape(-1))
    for start, stop in runs(wanted, _gap(array)):
        yield first + int(wanted[start]), int(wanted[stop - 1] - wanted[start]) + 1


def _gap(array: ArrayReader) -> int:
    """The number of rows up to which the rows between two others are read with them."""
    return max(array.metadata.chunk_rows, GAP_BYTES // array.metadata.row_bytes)


def runs(ascending: NDArray[np.int64], gap: int) -> Iterator[tuple[int, int]]:
    """Cut ascending numbers where the next one is more than ``gap`` higher: positions (first, last + 1) of each run."""
    cuts = np.flatnonzero(np.diff(ascending) > gap) + 1
    bounds = [0, *cuts.tolist(), len(ascending)]
    return ((a, b) for a, b in pairwise(bounds) if a < b)


def _resolve(frames: Frames, stop: int) -> range | Sequence[int] | NDArray[Any]:
    """Call a function and resolve a slice, for a video whose frame numbers are below ``stop``."""
    if callable(frames):
        frames = frames(stop)
    return range(*frames.indices(stop)) if isinstance(frames, slice) else frames


def _stop(frame_inds: NDArray[Any]) -> int:
    """The highest frame number plus 1; 0 if there is none."""
    if not len(frame_inds):
        return 0
    highest = frame_inds.max()
    if not np.isfinite(highest):
        raise FrameIndexError(f"the highest of frame_inds is {highest}, which is not a frame number")
    return int(highest) + 1


def _integers(frames: range | Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
    """The frames as int64 [n]. Raises TypeError if one is not an integer, FrameIndexError if it is beyond any video."""
    if isinstance(frames, np.ndarray):
        if frames.dtype.kind not in "iu" or frames.ndim != 1:
            raise TypeError(
                f"frames must be a one-dimensional array of integers, not {frames.dtype} of shape {frames.shape}"
            )
        if frames.dtype == np.uint64 and (frames > INT_MAX).any():
            raise FrameIndexError(f"frame {frames.max()} is beyond the end of any video")
        return frames.astype(np.int64)
    try:
        if isinstance(frames, range):
            return np.arange(frames.start, frames.stop, frames.step, dtype=np.int64)
        return np.array([operator.index(frame) for frame in frames], np.int64)
    except (OverflowError, ValueError, MemoryError) as error:
        raise FrameIndexError(f"frames beyond the end of any video were requested ({error})") from error
