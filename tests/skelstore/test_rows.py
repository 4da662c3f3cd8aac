"""The rows of a view are those of a plain NumPy array, in every form in which they are held."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from skelstore.read.rows import Bits, Listing, Rows, Run, from_array, from_mask

MOST = 400
"""Rows of a table: several bytes of bits, and several entries of their directory."""


@st.composite
def masks(draw: st.DrawFn, videos: int) -> NDArray[np.bool_]:
    """Rows of a table: any, all within a range, or every n-th."""
    mask = np.zeros(videos, bool)
    part = slice(draw(st.integers(0, videos)), draw(st.integers(0, videos)), draw(st.integers(1, 9)))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(videos)
    mask[part] = noise[part] < draw(st.sampled_from([0, 0.01, 0.1, 0.5, 0.9, 1, 1, 1]))
    return mask


@st.composite
def views(draw: st.DrawFn) -> tuple[NDArray[np.int64], int]:
    """The rows of a view, and the number of rows of the table."""
    videos = draw(st.integers(1, MOST))
    kind = draw(st.sampled_from(["mask", "range", "any"]))
    if kind == "mask":
        return np.flatnonzero(draw(masks(videos))), videos
    if kind == "range":
        return np.arange(videos)[draw(st.slices(videos))], videos
    return draw(hnp.arrays(np.int64, st.integers(0, 30), elements=st.integers(0, videos - 1))), videos


def check(found: Rows, expected: NDArray[np.int64], videos: int) -> None:
    """Check all that rows can say about themselves."""
    event(type(found).__name__)
    assert found.videos == videos
    assert len(found) == len(expected)
    assert [found[position] for position in range(len(found))] == expected.tolist()
    assert found.array().dtype == np.int64
    assert found.array().tolist() == expected.tolist()
    assert np.flatnonzero(found.mask()).tolist() == sorted(set(expected.tolist()))
    assert len(found.mask()) == videos
    for row in range(videos):
        places = np.flatnonzero(expected == row).tolist()
        assert found.count(row) == len(places)
        assert found.positions([row]) == places
    assert found.positions([]) == []
    some = list(range(0, videos, 3))
    assert found.positions(some) == np.flatnonzero(np.isin(expected, some)).tolist()


@example(view=(np.arange(MOST)[np.arange(MOST) % 7 != 3], MOST))
@example(view=(np.array([0, 1, 3]), MOST))
@example(view=(np.array([3, 1, 0]), MOST))
@example(view=(np.array([1, 1]), 2))
@given(view=views())
def test_rows_are_those_of_an_array(view: tuple[NDArray[np.int64], int]) -> None:
    rows, videos = view
    found = from_array(rows, videos)
    check(found, rows, videos)
    again = pickle.loads(pickle.dumps(found))
    assert type(again) is type(found)
    check(again, rows, videos)
    if len(rows) == len(set(rows.tolist())):
        check(from_mask(found.mask()), np.sort(rows), videos)


@given(view=views(), part=st.slices(MOST), data=st.data())
def test_rows_of_rows_are_those_of_an_array(view: tuple[NDArray[np.int64], int], part: slice, data: Any) -> None:
    rows, videos = view
    found = from_array(rows, videos)
    check(found.slice(part), rows[part], videos)
    keep = data.draw(masks(videos))
    check(found.where(keep), rows[keep[rows]], videos)
    most = max(len(rows) - 1, 0)
    elements = st.integers(0, most)
    chosen = data.draw(hnp.arrays(np.int64, st.integers(0, 20 if len(rows) else 0), elements=elements))
    check(found.take(chosen), rows[chosen], videos)


@pytest.mark.parametrize("part", [slice(None, None, 0), slice("a")])
@pytest.mark.parametrize("rows", [range(9), [0, 1, 3, 4, 5], [3, 1, 1]])
def test_an_invalid_slice_is_refused_as_by_a_list(rows: Any, part: slice) -> None:
    with pytest.raises((ValueError, TypeError)) as expected:
        list(rows)[part]
    with pytest.raises(expected.type):
        from_array(np.array(rows), 9).slice(part)


@pytest.mark.parametrize(
    ("rows", "form"),
    [
        ([], Run),
        ([5], Run),
        ([2, 1, 0], Run),
        (range(0, 6400, 64), Run),
        ([0, 1, 3], Listing),
        ([*range(98), 6399], Listing),
        ([*range(99), 6399], Bits),
        ([*range(99), 6399, 6398], Listing),
        ([7, 7], Listing),
        ([7, 7, 7], Listing),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else f"{value}"[:20],
)
def test_the_form_that_takes_the_least_memory_is_chosen(rows: Any, form: type[Rows]) -> None:
    videos = 6400
    assert type(from_array(np.array(rows, np.int64), videos)) is form
    if list(rows) == sorted(set(rows)):
        mask = np.zeros(videos, bool)
        mask[np.array(rows, np.int64)] = True
        assert type(from_mask(mask)) is form


def test_ascending_rows_take_a_bit_per_row_of_the_table_when_they_are_sent() -> None:
    videos = 1_000_000
    for share in (0.9, 0.5, 0.1, 0.02, 0.01):
        rows = from_mask(np.random.default_rng(0).random(videos) < share)
        assert len(pickle.dumps(rows)) < videos / 8 + 1000
    assert len(pickle.dumps(from_mask(np.ones(videos, bool)))) < 1000
