"""The rows of a view: which rows of the table of videos it has, and in which order.

A view of a million videos is sent to every worker, so it takes little memory: a range (``Run``), a bit per row of the
table if the rows ascend (``Bits``), or else an int64 per video (``Listing``). ``from_mask`` and ``from_array`` choose.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LISTING_BITS = 64
"""A ``Listing`` takes this number of bits per video of the view. Bits take one per row of the table."""

_NEAR = 64
"""The directory of ``Bits`` has the byte of every ``_NEAR``-th video of the view."""

_PLACES = [tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256)]
"""For each byte, which of its bits are set, ascending."""

_COUNTS = np.array([len(places) for places in _PLACES], np.uint8)


class Rows(ABC):
    """Rows of the table of videos, in order: n of them, each from 0 to ``videos`` - 1."""

    def __init__(self, videos: int) -> None:
        self.videos = videos

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, position: int) -> int:
        """The row at a position from 0 to n - 1."""

    @abstractmethod
    def count(self, row: int) -> int:
        """The number of positions that have this row."""

    @abstractmethod
    def positions(self, rows: list[int]) -> list[int]:
        """All positions that have one of these rows, ascending. ``rows`` ascend, each once."""

    @abstractmethod
    def array(self) -> NDArray[np.int64]:
        """The rows, int64 [n]; not to be written to."""

    def mask(self) -> NDArray[np.bool_]:
        """For each row of the table, whether it is one of the rows, bool [videos]."""
        mask = np.zeros(self.videos, bool)
        mask[self.array()] = True
        return mask

    def take(self, positions: NDArray[np.int64]) -> Rows:
        """The rows at some positions from 0 to n - 1, in that order."""
        return from_array(self.array()[positions], self.videos)

    def slice(self, part: slice) -> Rows:
        """The rows at the positions of a slice. Raises ValueError and TypeError as a list does."""
        return self.take(np.arange(*part.indices(len(self))))

    def where(self, keep: NDArray[np.bool_]) -> Rows:
        """The rows for which ``keep`` [videos] is true, in the same order."""
        rows = self.array()
        return from_array(rows[keep[rows]], self.videos)


class Run(Rows):
    """A range of rows."""

    def __init__(self, rows: range, videos: int) -> None:
        super().__init__(videos)
        self._range = rows

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, position: int) -> int:
        return self._range[position]

    def count(self, row: int) -> int:
        return self._range.count(row)

    def positions(self, rows: list[int]) -> list[int]:
        return sorted(self._range.index(row) for row in rows if row in self._range)

    def array(self) -> NDArray[np.int64]:
        return np.arange(self._range.start, self._range.stop, self._range.step, dtype=np.int64)

    def take(self, positions: NDArray[np.int64]) -> Rows:
        return from_array(self._range.start + self._range.step * positions, self.videos)

    def slice(self, part: slice) -> Rows:
        return Run(self._range[part], self.videos)

    def where(self, keep: NDArray[np.bool_]) -> Rows:
        if self._range == range(self.videos):
            return from_mask(keep)
        return from_mask(self.mask() & keep) if self._range.step > 0 else super().where(keep)


class Bits(Rows):
    """Ascending rows, each once: a bit per row of the table, and a directory of 5 bits per row at most.

    ``packed`` uint8 [videos / 8, rounded up] has the bit of the first row as its lowest; spare bits are not set.
    """

    def __init__(self, packed: NDArray[np.uint8], videos: int) -> None:
        super().__init__(videos)
        self._packed = packed
        counts: NDArray[Any] = np.cumsum(_COUNTS[packed], dtype=np.uint32 if videos < 2**32 else np.int64)
        self._length = int(counts[-1])
        near = counts.searchsorted(np.arange(0, self._length, _NEAR), side="right")
        # Python reads a number from a memoryview in less time than from an array.
        self._bits = packed.data
        self._before = (counts - _COUNTS[packed]).data
        self._near = np.append(near, len(packed) - 1).astype(counts.dtype).data

    def __reduce__(self) -> Any:
        return Bits, (self._packed, self.videos)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: int) -> int:
        near = position // _NEAR
        byte = bisect_right(self._before, position, self._near[near], self._near[near + 1] + 1) - 1
        return 8 * byte + _PLACES[self._bits[byte]][position - self._before[byte]]

    def count(self, row: int) -> int:
        return self._bits[row >> 3] >> (row & 7) & 1

    def positions(self, rows: list[int]) -> list[int]:
        return [self._position(row) for row in rows if self.count(row)]

    def _position(self, row: int) -> int:
        byte = row >> 3
        return self._before[byte] + (self._bits[byte] & (1 << (row & 7)) - 1).bit_count()

    def array(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.mask())

    def mask(self) -> NDArray[np.bool_]:
        return np.unpackbits(self._packed, count=self.videos, bitorder="little").view(bool)

    def take(self, positions: NDArray[np.int64]) -> Rows:
        if not len(positions):
            return Run(range(0), self.videos)
        # Only the bits from the first to the last of these positions are read.
        first, last = (self[int(position)] >> 3 for position in (positions.min(), positions.max()))
        rows = np.flatnonzero(np.unpackbits(self._packed[first : last + 1], bitorder="little"))
        return from_array(8 * first + rows[positions - self._before[first]], self.videos)

    def where(self, keep: NDArray[np.bool_]) -> Rows:
        return from_mask(self.mask() & keep)


class Listing(Rows):
    """Rows in any order, with repetitions, as an array int64 [n]."""

    def __init__(self, rows: NDArray[np.int64], videos: int) -> None:
        super().__init__(videos)
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> int:
        return int(self._rows[position])

    def count(self, row: int) -> int:
        return len(self.positions([row]))

    def positions(self, rows: list[int]) -> list[int]:
        if self._ascending:
            places = self._rows.searchsorted(rows)
            places = places[self._rows.take(places, mode="clip") == rows]
        else:
            places = np.flatnonzero(np.isin(self._rows, rows))
        positions: list[int] = places.tolist()
        return positions

    @cached_property
    def _ascending(self) -> bool:
        return bool((np.diff(self._rows) > 0).all())

    def array(self) -> NDArray[np.int64]:
        return self._rows


def from_mask(keep: NDArray[np.bool_]) -> Rows:
    """The rows for which ``keep`` [videos] is true, ascending."""
    videos, count = len(keep), int(np.count_nonzero(keep))
    if count == 0:
        return Run(range(0), videos)
    first, last = int(keep.argmax()), videos - 1 - int(keep[::-1].argmax())
    step = max((last - first) // max(count - 1, 1), 1)
    run = range(first, last + 1, step)
    if len(run) == count and keep[first : last + 1 : step].all():
        return Run(run, videos)
    if _LISTING_BITS * count < videos:
        return Listing(np.flatnonzero(keep), videos)
    return Bits(np.packbits(keep, bitorder="little"), videos)


def from_array(rows: NDArray[np.int64], videos: int) -> Rows:
    """The rows int64 [n], in their order. The array is kept unless the rows take less memory in another form."""
    if not len(rows):
        return Run(range(0), videos)
    steps = np.diff(rows)
    first, step = int(rows[0]), int(steps[0]) if len(steps) else 1
    if step and (steps == step).all():
        return Run(range(first, first + step * len(rows), step), videos)
    if _LISTING_BITS * len(rows) < videos or not (steps > 0).all():
        return Listing(rows, videos)
    keep = np.zeros(videos, bool)
    keep[rows] = True
    return Bits(np.packbits(keep, bitorder="little"), videos)
