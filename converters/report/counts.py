"""Counts and histograms of bounded size, which can be merged: what a report keeps of the videos.

Merging is exact, so shares of a data set can be counted by several processes. Quantiles come from the counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT", "LEVELS", "Histograms", "Integers", "Tops", "Values", "level_of", "levels", "place_of"]

EXACT = 4096
"""Integers below this are counted exactly; larger ones are rounded down to 12 significant bits."""

_SIGNIFICANT = 12

_EXPONENTS = (-24, 24)
"""Powers of two between which ``Histograms`` tells levels apart; below are zero and what is next to it."""

_STEPS = 3
"""Bits of the mantissa of a float32 that tell levels apart: a level is at most 1/8 wide."""

LEVELS = (_EXPONENTS[1] - _EXPONENTS[0]) << _STEPS
"""Number of levels. Level 0 also has all smaller values, and the last one all larger ones."""


class Integers:
    """How often each integer from 0 on occurs. The number of different ones is bounded by rounding large ones."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def add(self, value: int, count: int = 1) -> None:
        self.counts[_rounded(value)] += count

    def add_all(self, values: NDArray[np.integer[Any]]) -> None:
        """Add each of many integers."""
        for value, count in zip(*map(np.ndarray.tolist, np.unique(values, return_counts=True)), strict=True):
            self.add(value, count)

    def merge(self, other: Integers) -> None:
        self.counts.update(other.counts)

    @property
    def total(self) -> int:
        """Number of integers."""
        return self.counts.total()

    @property
    def sum(self) -> int:
        """Sum of the integers, as they were rounded."""
        return sum(value * count for value, count in self.counts.items())

    def quantile(self, share: float) -> int:
        """The smallest integer up to which at least ``share`` of them are; 0 if there is none."""
        return _quantile(sorted(self.counts.items()), share, self.total)

    def range(self) -> tuple[int, int]:
        """The smallest and the largest integer; (0, 0) if there is none."""
        return (min(self.counts), max(self.counts)) if self.counts else (0, 0)


def _rounded(value: int) -> int:
    if value < EXACT:
        return max(int(value), 0)
    shift = int(value).bit_length() - _SIGNIFICANT
    return int(value) >> shift << shift


def _quantile(sorted_counts: Iterable[tuple[int, int]], share: float, total: int) -> int:
    reached, last = 0, 0
    for value, count in sorted_counts:
        reached, last = reached + count, value
        if reached >= share * total:
            break
    return last


class Values:
    """How often each value occurs, for at most ``most`` different values; ``others`` counts the rest."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: Counter[Hashable] = Counter()
        self.others = 0

    def add(self, value: Hashable, count: int = 1) -> None:
        if value in self.counts or len(self.counts) < self.most:
            self.counts[value] += count
        else:
            self.others += count

    def merge(self, later: Values) -> None:
        for value, count in later.counts.items():
            self.add(value, count)
        self.others += later.others

    def ordered(self) -> list[tuple[Any, int]]:
        """The values with their counts, the most frequent first; in the order of their first occurrence if equal."""
        return self.counts.most_common()


class Histograms:
    """Histograms of numbers from 0 on, one in each of ``rows``: int64 [rows, LEVELS]."""

    def __init__(self, rows: int) -> None:
        self.counts = np.zeros((rows, LEVELS), np.int64)

    def add(self, rows: NDArray[np.integer[Any]], values: NDArray[np.float32]) -> None:
        """Count values, each in its row. Those that are NaN or infinite are left out."""
        finite = np.isfinite(values)
        if not finite.all():
            rows, values = rows[finite], values[finite]
        flat = rows.astype(np.int64) * LEVELS + level_of(values)
        self.counts += np.bincount(flat, minlength=self.counts.size).reshape(self.counts.shape)

    def merge(self, other: Histograms) -> None:
        self.counts += other.counts

    def quantile(self, row: int | None, share: float) -> float | None:
        """The number up to which ``share`` of the numbers are, in a row or in all; None if there are none.

        It is interpolated within its level, so it differs from the exact one by 1/8 at most. In level 0 it is 0.
        """
        counts = self.counts.sum(axis=0) if row is None else self.counts[row]
        total = int(counts.sum())
        if not total:
            return None
        level, part = place_of(counts, share)
        low, high = levels()[level : level + 2].tolist()
        return float(low + part * (high - low)) if level else 0.0


def place_of(counts: NDArray[np.int64], share: float) -> tuple[int, float]:
    """The bin of a histogram up to which ``share`` of the numbers are, and how far into it that is, from 0 to 1."""
    upto = np.cumsum(counts)
    wanted = share * int(upto[-1])
    found = int(np.searchsorted(upto, wanted))
    return found, min(max((wanted - float(upto[found] - counts[found])) / max(int(counts[found]), 1), 0.0), 1.0)


def level_of(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """The level of each number: the exponent and the first bits of the mantissa of a float32."""
    bits = np.maximum(values, 0).astype(np.float32).view(np.int32) >> (23 - _STEPS)
    found: NDArray[np.int64] = np.clip(bits - ((127 + _EXPONENTS[0]) << _STEPS), 0, LEVELS - 1).astype(np.int64)
    return found


def levels() -> NDArray[np.float64]:
    """The lower ends of the levels, and the upper end of the last: float64 [LEVELS + 1]."""
    numbers = np.arange(LEVELS + 1)
    steps = 1 << _STEPS
    ends: NDArray[np.float64] = np.ldexp(1 + numbers % steps / steps, _EXPONENTS[0] + numbers // steps)
    return ends


class Tops:
    """The ``most`` videos with the largest numbers: (number, position), the first ones of those with equal numbers."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.entries: list[tuple[float, int]] = []

    def add(self, number: float, position: int) -> None:
        if len(self.entries) < self.most or number > self.entries[-1][0]:
            self._take([*self.entries, (number, position)])

    def merge(self, later: Tops) -> None:
        self._take([*self.entries, *later.entries])

    def _take(self, entries: Sequence[tuple[float, int]]) -> None:
        self.entries = sorted(entries, key=lambda entry: (-entry[0], entry[1]))[: self.most]
