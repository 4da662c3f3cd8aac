"""Lists of numbers as arrays: the same values as NumPy's, and nothing but numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.inputs.number_rows import as_rows
from tests.support.exact import assert_exact

NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**70), 2**70)


@given(st.data(), st.integers(1, 4), st.integers(1, 4))
def test_numbers_are_kept(data: st.DataObject, count: int, width: int) -> None:
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=count, max_size=count))
    made = as_rows(rows)
    assert made is not None
    assert_exact(made, np.array([[float(value) for value in row] for row in rows], np.float64))
    made[:] = 0  # it can be written to


@pytest.mark.parametrize(
    "rows",
    [[], [[]], [[], []], [[1], [1, 2]], [[True]], [[1.0, False]], [["1"]], [[None]], [[[1]]], [1], [(1,)], [[10**400]]],
    ids=repr,
)
def test_anything_else_is_not_taken(rows: Any) -> None:
    assert as_rows(rows) is None
