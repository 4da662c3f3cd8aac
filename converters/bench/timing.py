"""Calls of several sides, timed in turn.

A machine that others use too is faster and slower by the minute. Sides that are measured one after the other
would meet different machines; in turn (A B C A B C …) they meet the same one, and their ratio holds.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Key = TypeVar("Key")


@dataclass(frozen=True)
class Times:
    """Nanoseconds of single calls of one side: [rounds, calls]."""

    calls: np.ndarray[Any, Any]

    @property
    def median(self) -> float:
        """Microseconds of a call: the median over the rounds of the median of each round."""
        return float(np.median(np.median(self.calls, axis=1))) / 1e3

    @property
    def mean(self) -> float:
        """Microseconds of a call: the median over the rounds of the mean of each round."""
        return float(np.median(self.calls.mean(axis=1))) / 1e3

    def percentile(self, percent: float) -> float:
        """Microseconds that so many per cent of all calls stay below."""
        return float(np.percentile(self.calls, percent)) / 1e3

    @property
    def per_second(self) -> float:
        return 1e6 / self.mean

    def values(self) -> dict[str, float]:
        """What a table shows, by the heading of its column."""
        return {
            "us p50": self.median,
            "p95": self.percentile(95),
            "p99": self.percentile(99),
            "mean": self.mean,
            "samples/s": self.per_second,
        }


def shuffles(keys: Sequence[Key], rounds: int, seed: int = 0) -> list[list[Key]]:
    """All keys in another order for every round, and for the one before the first."""
    shuffle = random.Random(seed)
    return [shuffle.sample(keys, len(keys)) for _ in range(rounds + 1)]


def interleave(sides: Mapping[str, Callable[[Key], object]], orders: Sequence[Sequence[Key]]) -> dict[str, Times]:
    """Time every side in turn, a round for each of the orders, which is the same for all sides.

    The first round is not counted: it is where a side does what it does once.
    """
    results: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in sides}
    gc.collect()
    gc.freeze()  # a side that holds a million objects must not make the others wait for the collector
    try:
        for turn, order in enumerate(orders):
            for name, call in sides.items():
                spent = _timed(call, order)
                if turn:
                    results[name].append(spent)
    finally:
        gc.unfreeze()
    return {name: Times(np.stack(spent)) for name, spent in results.items()}


def _timed(call: Callable[[Key], object], order: Sequence[Key]) -> np.ndarray[Any, Any]:
    clock = time.perf_counter_ns
    spent = np.zeros(len(order), np.int64)
    for i, key in enumerate(order):
        start = clock()
        call(key)
        spent[i] = clock() - start
    return spent
