"""Reading some frames of a video: which rows of its arrays they are, and only the chunks that hold those."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skelstore.arrays import ArrayReader
from skelstore.errors import FrameIndexError

Numbers: TypeAlias = slice | range | Sequence[int] | NDArray[Any]
Frames: TypeAlias = Numbers | Callable[[int], Numbers]
"""Which frames: a slice, a range, integers (an array of them included), or a function that is given the number of
frames of the video and returns one of these, as the samplers of training pipelines do."""

GAP_BYTES = 32 << 10
"""Bytes that are read and decoded in the time that one more read costs (about 15 us)."""


def positions(frames: Frames, total: int) -> NDArray[np.int64]:
    """The frames as positions 0 to ``total`` - 1, in the order asked for; negative ones count from the end.

    Raises FrameIndexError if one is outside, TypeError if it is no integer.
    """
    if callable(frames):
        frames = frames(total)
    if isinstance(frames, slice):
        return np.arange(*frames.indices(total))
    wanted = _integers(frames)
    found = np.where(wanted < 0, wanted + total, wanted)
    outside = (found < 0) | (found >= total)
    if outside.any():
        raise FrameIndexError(f"frame {wanted[outside][0]} of a video of {total} frames")
    return found


def rows_of_frames(frames: Frames, frame_inds: NDArray[Any]) -> NDArray[np.int64]:
    """Rows of a compressed video whose frame number is among the frames, in their order.

    Frames are the numbers that ``frame_inds`` [N] holds (1-based in Kinetics-400); a slice is one of such numbers, and
    a function is given the highest of them plus 1.
    """
    stop = int(frame_inds.max()) + 1 if len(frame_inds) else 0
    if callable(frames):
        frames = frames(stop)
    if isinstance(frames, slice):
        frames = range(*frames.indices(stop))
    return np.flatnonzero(np.isin(frame_inds, _integers(frames)))


def read_rows(array: ArrayReader, first: int, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Rows of an array, by their position after the row ``first``, in the order asked for: [n, *trailing].

    Rows that lie near to each other are read together; a gap of more than a chunk, and more than `GAP_BYTES`, is left
    out.
    """
    wanted, inverse = np.unique(rows, return_inverse=True)
    pieces = [array.read(first, 0)]
    gap = max(array.metadata.chunk_rows, GAP_BYTES // array.metadata.row_bytes)
    for start, stop in runs(wanted, gap):
        low = int(wanted[start])
        piece = array.read(first + low, int(wanted[stop - 1]) - low + 1)
        pieces.append(piece[wanted[start:stop] - low])
    return np.concatenate(pieces, dtype=array.metadata.dtype)[inverse.reshape(-1)]  # which keeps the byte order


def runs(ascending: NDArray[np.int64], gap: int) -> Iterator[tuple[int, int]]:
    """Cut ascending numbers where the next is more than ``gap`` further: (first, last + 1) of each run."""
    cuts = np.flatnonzero(np.diff(ascending) > gap) + 1
    bounds = [0, *cuts.tolist(), len(ascending)]
    return ((a, b) for a, b in pairwise(bounds) if a < b)


def _integers(frames: range | Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
    if isinstance(frames, np.ndarray):
        if frames.dtype.kind not in "iu" or frames.ndim != 1:
            raise TypeError(f"frames are integers in one row, not {frames.dtype} of shape {frames.shape}")
        return frames.astype(np.int64)
    return np.array([operator.index(frame) for frame in frames], np.int64)
