"""Lists of numbers, as JSON has them: checked, and as one array."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import SourceError
from skelstore.wording import shown

NUMBERS = frozenset({int, float})
"""The types of numbers: a boolean is none."""


def as_rows(lists: Sequence[object]) -> NDArray[np.float64] | None:
    """Lists of the same length of numbers as float64 [n, length].

    None if they are anything else, are empty, or have an integer beyond float64. A boolean is not a number.
    """
    if not lists or not has_only_lists(lists):
        return None
    rows: Sequence[list[object]] = lists  # type: ignore[assignment]
    if len(set(map(len, rows))) != 1 or not rows[0] or not NUMBERS.issuperset(map(type, chain.from_iterable(rows))):
        return None
    pack = struct.Struct(f"{len(rows[0])}d").pack  # half the time of numpy.fromiter
    try:
        values = bytearray().join([pack(*row) for row in rows])
    except struct.error:
        return None
    return np.frombuffer(values, np.float64).reshape(len(rows), -1)


def require_numbers(values: object, place: str) -> Sequence[float]:
    """The list, if it has nothing but numbers. Raises SourceError, with the place (a file and where in it), if not."""
    if type(values) is not list:
        raise SourceError(f"{place} is {shown(values)}; expected a list of numbers")
    if not NUMBERS.issuperset(map(type, values)):
        at, value = next((i, value) for i, value in enumerate(values) if type(value) not in NUMBERS)
        raise SourceError(f"{place}[{at}] is {shown(value)}; expected a number")
    return values


def has_only_lists(values: Sequence[object]) -> bool:
    """Whether all values are lists."""
    return {list}.issuperset(map(type, values))
