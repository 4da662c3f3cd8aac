"""Exact comparison of plain values, independent of the packages that it judges."""

from __future__ import annotations

import struct

import numpy as np


def assert_exact(found: object, expected: object, place: str = "value") -> None:
    """Check that two plain values are equal in type, order and bits; fail with the place where they differ."""
    assert type(found) is type(expected), f"{place}: {type(found)}, expected {type(expected)}"
    if isinstance(found, np.ndarray) and isinstance(expected, np.ndarray):
        assert found.dtype.str == expected.dtype.str, f"{place}: {found.dtype.str}, expected {expected.dtype.str}"
        assert found.shape == expected.shape, f"{place}: {found.shape}, expected {expected.shape}"
        assert found.tobytes() == expected.tobytes(), f"{place}: other bits"
    elif isinstance(found, np.generic) and isinstance(expected, np.generic):
        assert found.dtype == expected.dtype, f"{place}: {found.dtype}, expected {expected.dtype}"
        assert found.tobytes() == expected.tobytes(), f"{place}: {found!r}, expected {expected!r}"
    elif isinstance(found, float) and isinstance(expected, float):
        assert struct.pack("<d", found) == struct.pack("<d", expected), f"{place}: {found!r}, expected {expected!r}"
    elif isinstance(found, dict) and isinstance(expected, dict):
        assert len(found) == len(expected), f"{place}: keys {list(found)}, expected {list(expected)}"
        for (found_key, found_item), (key, item) in zip(found.items(), expected.items(), strict=True):
            assert_exact(found_key, key, f"{place}: key")
            assert_exact(found_item, item, f"{place}[{key!r}]")
    elif isinstance(found, (list, tuple)) and isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), f"{place}: {len(found)} items, expected {len(expected)}"
        for index, (found_item, item) in enumerate(zip(found, expected, strict=True)):
            assert_exact(found_item, item, f"{place}[{index}]")
    else:
        assert found == expected, f"{place}: {found!r}, expected {expected!r}"
