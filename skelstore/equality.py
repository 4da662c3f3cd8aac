"""Equality as skelstore defines it: the same Python types, key order, dtypes, shapes and bits."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from skelstore.format.values import type_name


def difference(found: Any, expected: Any, place: str = "") -> str | None:
    """Describe the first difference between two values in a sentence; None if they are equal.

    int differs from numpy.int64, tuple from list, a missing key from None. Dicts must have the same key order; arrays
    must have the same dtype (including byte order), shape and bytes. The memory order of arrays may differ.
    """
    if type(found) is not type(expected):
        return f"{place or 'the value'} is a {type_name(found)}; expected a {type_name(expected)}"
    if isinstance(expected, dict):
        return _dict_difference(found, expected, place)
    if isinstance(expected, (list, tuple)):
        if len(found) != len(expected):
            return f"{place or 'the value'} has {len(found)} elements; expected {len(expected)}"
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            if text := difference(a, b, f"{place}[{i}]"):
                return text
        return None
    if isinstance(expected, np.ndarray):
        if found.dtype != expected.dtype or found.shape != expected.shape:
            return (
                f"{place or 'the array'} is {found.dtype.str} {found.shape}; "
                f"expected {expected.dtype.str} {expected.shape}"
            )
        same = found.tobytes() == expected.tobytes()
    elif isinstance(expected, np.str_):
        same = str.__str__(found) == str.__str__(expected)  # == drops trailing NULs
    elif isinstance(expected, np.generic):
        same = found.tobytes() == expected.tobytes()
    elif isinstance(expected, float):
        same = struct.pack("<d", found) == struct.pack("<d", expected)
    else:
        same = found == expected
    return None if same else f"{place or 'the value'} is {_shown(found)}; expected {_shown(expected)}"


def _dict_difference(found: dict[Any, Any], expected: dict[Any, Any], place: str) -> str | None:
    if len(found) != len(expected):
        return f"{place or 'the dict'} has the keys {_shown(list(found))}; expected {_shown(list(expected))}"
    for (a, below_a), (b, below_b) in zip(found.items(), expected.items(), strict=True):
        below = f"{place}.{b}" if isinstance(b, str) else f"{place}[{b!r}]"
        if text := difference(a, b, f"a key of {place or 'the dict'}") or difference(below_a, below_b, below):
            return text
    return None


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
