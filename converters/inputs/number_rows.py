"""Lists of numbers, as JSON has them, as one array."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

_NUMBERS = frozenset({int, float})


def as_rows(lists: Sequence[object]) -> NDArray[np.float64] | None:
    """Lists of the same length of numbers as float64 [n, length].

    None if they are anything else, are empty, or have an integer beyond float64. A boolean is not a number.
    """
    if not lists or not has_only_lists(lists):
        return None
    rows: Sequence[list[object]] = lists  # type: ignore[assignment]
    if len(set(map(len, rows))) != 1 or not rows[0] or not _NUMBERS.issuperset(map(type, chain.from_iterable(rows))):
        return None
    pack = struct.Struct(f"{len(rows[0])}d").pack  # half the time of numpy.fromiter
    try:
        values = bytearray().join([pack(*row) for row in rows])
    except struct.error:
        return None
    return np.frombuffer(values, np.float64).reshape(len(rows), -1)


def has_only_lists(values: Sequence[object]) -> bool:
    """Whether all values are lists."""
    return {list}.issuperset(map(type, values))
