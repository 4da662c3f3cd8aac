"""Equality as skelstore defines it: the same Python types, key order, dtypes, shapes and bits."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from skelstore.wording import counted, kind_of, shown, shown_names

_KEYS = 8


def difference(found: Any, expected: Any, place: str = "") -> str | None:
    """Describe the first difference between two values in a sentence; None if they are equal.

    int differs from numpy.int64, tuple from list, a missing key from None. Dicts must have the same key order; arrays
    must have the same dtype (including byte order), shape and bytes. The memory order of arrays may differ.
    """
    if type(found) is not type(expected):
        return f"{place or 'the value'} is {kind_of(found)}; expected {kind_of(expected)}"
    if isinstance(expected, dict):
        return _dict_difference(found, expected, place)
    if isinstance(expected, (list, tuple)):
        if len(found) != len(expected):
            return f"{place or 'the value'} has {counted(len(found), 'element')}; expected {len(expected):,}"
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            if text := difference(a, b, f"{place}[{i}]"):
                return text
        return None
    if isinstance(expected, np.ndarray):
        if found.dtype != expected.dtype or found.shape != expected.shape:
            return f"{place or 'the value'} is {kind_of(found)}; expected {kind_of(expected)}"
        return _array_difference(found, expected, place)
    if isinstance(expected, np.str_):
        same = str.__str__(found) == str.__str__(expected)  # == drops NULs at the end
    elif isinstance(expected, np.generic):
        same = found.tobytes() == expected.tobytes()
    elif isinstance(expected, float):
        same = struct.pack("<d", found) == struct.pack("<d", expected)
    else:
        same = found == expected
    return None if same else f"{place or 'the value'} is {shown(found)}; expected {shown(expected)}"


def _array_difference(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], place: str) -> str | None:
    """The first element of two arrays of one dtype and shape that differs."""
    here, there = found.tobytes(), expected.tobytes()
    if here == there:
        return None
    size = expected.itemsize
    i = next(i for i in range(expected.size) if here[i * size : (i + 1) * size] != there[i * size : (i + 1) * size])
    index = tuple(map(int, np.unravel_index(i, expected.shape)))
    below = f"{place or 'the array'}{list(index)}" if index else place or "the array"
    return f"{below} is {shown(found[index].item())}; expected {shown(expected[index].item())}"


def _dict_difference(found: dict[Any, Any], expected: dict[Any, Any], place: str) -> str | None:
    if len(found) != len(expected):
        return (
            f"{place or 'the dict'} has the keys {shown_names(found, _KEYS)}; expected {shown_names(expected, _KEYS)}"
        )
    for (a, below_a), (b, below_b) in zip(found.items(), expected.items(), strict=True):
        below = f"{place}.{b}" if isinstance(b, str) else f"{place}[{b!r}]"
        if text := difference(a, b, f"a key of {place or 'the dict'}") or difference(below_a, below_b, below):
            return text
    return None
