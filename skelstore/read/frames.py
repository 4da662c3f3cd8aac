"""Reading some frames of a video: which rows of its arrays they are, and only the chunks that hold those."""

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
"""Which frames: a slice, a range, integers (an array of them included), or a function that is given the number of
frames of the video and returns one of these, as the samplers of training pipelines do."""

GAP_BYTES = 32 << 10
"""Bytes that are read and decoded in the time that one more read costs (about 15 us)."""

LONG_VIDEO_ROWS = 4096
"""Up to this length ``frame_inds`` are read as a whole, which takes a few microseconds."""
STRIDE = 1024
REMEMBERED_VIDEOS = 1024


def positions(frames: Frames, total: int) -> NDArray[np.int64]:
    """The frames as positions 0 to ``total`` - 1, in the order asked for; negative ones count from the end.

    Raises FrameIndexError if one is out of range, TypeError if one is not an integer.
    """
    if callable(frames):
        frames = frames(total)
    if isinstance(frames, slice):
        return np.arange(*frames.indices(total))
    wanted = _integers(frames)
    found = np.where(wanted < 0, wanted + total, wanted)
    outside = (found < 0) | (found >= total)
    if outside.any():
        raise FrameIndexError(f"frame {wanted[outside][0]} of a video of {counted(total, 'frame')}")
    return found


def rows_of_frames(frames: Frames, frame_inds: NDArray[Any]) -> NDArray[np.int64]:
    """Rows of a compressed video whose frame number is among the frames, in their order.

    Frames are the numbers that ``frame_inds`` [N] holds (1-based in Kinetics-400); a slice is one of such numbers, and
    a function is given the highest of them plus 1.
    Raises FrameIndexError if that is not finite, or a frame does not fit in 64 bits; TypeError if one is not an
    integer.
    """
    if callable(frames) or isinstance(frames, slice):
        frames = _settled(frames, _stop(frame_inds))
    if isinstance(frames, range) and frames.step == 1:
        return np.flatnonzero((frame_inds >= frames.start) & (frame_inds < frames.stop))
    return np.flatnonzero(np.isin(frame_inds, _integers(frames)))


class FrameNumbers:
    """``frame_inds`` of compressed videos: which rows have the frames that are asked for.

    Those of a long video are read once as a whole. If they ascend, every `STRIDE`-th of them is cached, and later only
    the rows between two of those are read.
    """

    def __init__(self, array: ArrayReader) -> None:
        self._array = array
        self._known: dict[int, NDArray[Any]] = {}

    def rows(self, frames: Frames, first: int, count: int) -> NDArray[np.int64]:
        """Rows, counted from the row ``first``, of a video of ``count`` rows, as ``rows_of_frames`` gives them."""
        if count <= LONG_VIDEO_ROWS:
            return rows_of_frames(frames, self._array.read(first, count))
        known = self._known.get(first)
        if known is None:
            known = self._learn(first, count)
        if not len(known):
            return rows_of_frames(frames, self._array.read(first, count))
        frames = _settled(frames, int(known[-1]) + 1)
        asked = frames if isinstance(frames, range) else np.sort(_integers(frames))
        if not (asked if isinstance(asked, range) else len(asked)):  # a range may be longer than what has a length
            return np.zeros(0, np.int64)
        lowest, highest = min(asked[0], asked[-1]), max(asked[0], asked[-1])
        low = max(int(known.searchsorted(lowest, "left")) - 1, 0) * STRIDE
        high = min(int(known.searchsorted(highest, "right")) * STRIDE, count)
        if high <= low:  # all of them are before the first, or beyond the last
            return np.zeros(0, np.int64)
        found = rows_of_frames(frames, self._array.read(first + low, high - low))
        found += low
        return found

    def _learn(self, first: int, count: int) -> NDArray[Any]:
        """Every `STRIDE`-th frame number, and the last; an empty array if they do not ascend."""
        whole = self._array.read(first, count)
        ascending = np.can_cast(whole.dtype, np.int64) and bool((whole[1:] >= whole[:-1]).all())
        if len(self._known) >= REMEMBERED_VIDEOS:
            self._known.clear()
        self._known[first] = np.append(whole[::STRIDE], whole[-1]) if ascending else whole[:0].copy()
        return self._known[first]


def read_rows(array: ArrayReader, first: int, persons: int, length: int, chosen: NDArray[np.int64]) -> NDArray[Any]:
    """The same rows of each person, of whom each has ``length`` rows from the row ``first``: [n, *trailing].

    Rows close to each other are read together; a gap of more than a chunk, and of more than `GAP_BYTES`, is skipped.
    """
    count = len(chosen)
    if count and persons and chosen[-1] - chosen[0] == count - 1 and (np.diff(chosen) == 1).all():
        low = first + int(chosen[0])
        pieces = [array.read(low + person * length, count) for person in range(persons)]
        found: NDArray[Any] = np.concatenate(pieces, dtype=array.metadata.dtype) if persons > 1 else pieces[0]
        return found
    rows = (np.arange(persons)[:, None] * length + chosen).reshape(-1)
    wanted, inverse = np.unique(rows, return_inverse=True)
    pieces = [array.read(first, 0)]
    gap = max(array.metadata.chunk_rows, GAP_BYTES // array.metadata.row_bytes)
    for start, stop in runs(wanted, gap):
        low = int(wanted[start])
        piece = array.read(first + low, int(wanted[stop - 1]) - low + 1)
        pieces.append(piece[wanted[start:stop] - low])
    read: NDArray[Any] = np.concatenate(pieces, dtype=array.metadata.dtype)  # which keeps the byte order
    asked: NDArray[Any] = read[inverse.reshape(-1)]
    return asked


def runs(ascending: NDArray[np.int64], gap: int) -> Iterator[tuple[int, int]]:
    """Cut ascending numbers where the next is more than ``gap`` further: (first, last + 1) of each run."""
    cuts = np.flatnonzero(np.diff(ascending) > gap) + 1
    bounds = [0, *cuts.tolist(), len(ascending)]
    return ((a, b) for a, b in pairwise(bounds) if a < b)


def _settled(frames: Frames, stop: int) -> range | Sequence[int] | NDArray[Any]:
    """The frames, a function called and a slice resolved, of a video whose frames are below ``stop``."""
    if callable(frames):
        frames = frames(stop)
    return range(*frames.indices(stop)) if isinstance(frames, slice) else frames


def _stop(frame_inds: NDArray[Any]) -> int:
    """The highest frame number plus 1, and 0 of none."""
    if not len(frame_inds):
        return 0
    highest = frame_inds.max()
    if not np.isfinite(highest):
        raise FrameIndexError(f"the highest of frame_inds is {highest}, which is no number of a frame")
    return int(highest) + 1


def _integers(frames: range | Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
    """The frames as int64 [n]. Raises TypeError if one is not an integer, FrameIndexError if it is beyond any video."""
    if isinstance(frames, np.ndarray):
        if frames.dtype.kind not in "iu" or frames.ndim != 1:
            raise TypeError(f"frames are integers in one row, not {frames.dtype} of shape {frames.shape}")
        if frames.dtype == np.uint64 and (frames > INT_MAX).any():
            raise FrameIndexError(f"frame {frames.max()} is beyond the last of any video")
        return frames.astype(np.int64)
    try:
        if isinstance(frames, range):
            return np.arange(frames.start, frames.stop, frames.step, dtype=np.int64)
        return np.array([operator.index(frame) for frame in frames], np.int64)
    except (OverflowError, ValueError, MemoryError) as error:
        raise FrameIndexError(f"frames beyond the last of any video ({error})") from error
