"""Timing calls of several sides alternately.

The speed of a shared machine changes from minute to minute. Sides that are measured one after the other would run at
different speeds; if they alternate (A B C A B C …), they run at the same speed, and their ratio is valid.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key")
Spent = NDArray[np.int64]


@dataclass(frozen=True)
class Times:
    """The nanoseconds of each call of one side: [rounds, calls]."""

    calls: np.ndarray[Any, Any]

    @property
    def median(self) -> float:
        """Microseconds per call: the median over the rounds of the median of each round."""
        return float(np.median(np.median(self.calls, axis=1))) / 1e3

    @property
    def mean(self) -> float:
        """Microseconds per call: the median over the rounds of the mean of each round."""
        return float(np.median(self.calls.mean(axis=1))) / 1e3

    def percentile(self, percent: float) -> float:
        """The percentile of all calls, in microseconds."""
        return float(np.percentile(self.calls, percent)) / 1e3

    @property
    def per_second(self) -> float:
        return 1e6 / self.mean

    def values(self) -> dict[str, float]:
        """The figures of a table, by column heading."""
        return {
            "us p50": self.median,
            "p95": self.percentile(95),
            "p99": self.percentile(99),
            "mean": self.mean,
            "samples/s": self.per_second,
        }


def shuffles(keys: Sequence[Key], rounds: int, seed: int = 0) -> list[list[Key]]:
    """All keys in a different order for every round, and for a warm-up round before the first."""
    shuffle = random.Random(seed)
    return [shuffle.sample(keys, len(keys)) for _ in range(rounds + 1)]


def interleave(sides: Mapping[str, Callable[[Key], object]], orders: Sequence[Sequence[Key]]) -> dict[str, Times]:
    """Time all sides alternately, one round per order; the order is the same for all sides.

    The first round is not counted: in it, a side does what it does only once.
    """
    return alternate({name: partial(timed, call) for name, call in sides.items()}, orders)


def alternate(
    sides: Mapping[str, Callable[[Sequence[Key]], Spent]], orders: Sequence[Sequence[Key]]
) -> dict[str, Times]:
    """`interleave` for sides that time themselves: each returns the nanoseconds of every call of an order."""
    results: dict[str, list[Spent]] = {name: [] for name in sides}
    gc.collect()
    gc.freeze()  # the million objects of one side must not slow down the others through the garbage collector
    try:
        for turn, order in enumerate(orders):
            for name, side in sides.items():
                spent = side(order)
                if turn:
                    results[name].append(spent)
    finally:
        gc.unfreeze()
    return {name: Times(np.stack(spent)) for name, spent in results.items()}


def timed(call: Callable[[Key], object], order: Sequence[Key]) -> Spent:
    """The nanoseconds of one call per key, in this order: int64 [calls]."""
    clock = time.perf_counter_ns
    spent = np.zeros(len(order), np.int64)
    for i, key in enumerate(order):
        start = clock()
        call(key)
        spent[i] = clock() - start
    return spent
