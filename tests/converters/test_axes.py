"""Shapes of arrays without names of axes: other orders, which would mix up persons, frames or joints."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.inputs.axes import MAX_PERSONS, joints_in_row, other_reading

PERSONS = st.integers(1, MAX_PERSONS)
FRAMES = st.integers(MAX_PERSONS + 1, 400)
JOINTS = st.sampled_from([13, 17, 18, 20, 25, 33, 133])


@st.composite
def videos(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Shapes [M, T, V, C] that are unambiguous: all except three persons in 2D, which may be x, y, z of two."""
    shape = draw(PERSONS), draw(st.integers(1, 400)), draw(JOINTS), draw(st.sampled_from([2, 3]))
    return (2, *shape[1:]) if (shape[0], shape[3]) == (3, 2) else shape


@given(videos())
def test_a_video_has_no_other_reading(shape: tuple[int, int, int, int]) -> None:
    assert other_reading(shape) is None
    assert other_reading(shape[1:]) is None


@given(PERSONS.filter(lambda persons: persons != 3), FRAMES, JOINTS, st.sampled_from([2, 3]))
def test_another_order_is_found_and_its_remedy_gives_the_video(m: int, t: int, v: int, c: int) -> None:
    video = np.empty((m, t, v, c), np.bool_)
    for order, axes in (((1, 0, 2, 3), "[T, M, V, C]"), ((0, 3, 1, 2), "[M, C, T, V]")):
        reading = other_reading(video.transpose(order).shape)
        assert reading is not None
        assert reading.axes == axes
        assert reading.transpose is not None
        assert video.transpose(order).transpose(reading.transpose).shape == video.shape
    for order, axes in (((2, 0, 1), "[C, T, V]"), ((0, 2, 1), "[T, C, V]")):
        reading = other_reading(video[0].transpose(order).shape)
        assert reading is not None
        assert reading.axes == axes
        assert reading.transpose is not None
        assert video[0].transpose(order).transpose(reading.transpose).shape == video[0].shape


@given(PERSONS.filter(lambda persons: persons != 3), FRAMES, JOINTS, st.integers(0, 500))
def test_the_arrays_of_the_gcn_code_bases(m: int, t: int, v: int, n: int) -> None:
    reading = other_reading((3, t, v, m))
    assert reading is not None
    assert reading == ("[C, T, V, M]", (3, 1, 2, 0), 0)
    assert other_reading((n, 3, t, v, m)) == ("[N, C, T, V, M]", (3, 1, 2, 0), n)


@given(st.integers(MAX_PERSONS + 1, 5000), FRAMES, JOINTS, st.sampled_from([2, 3]))
def test_a_whole_data_set_in_one_array(n: int, t: int, v: int, c: int) -> None:
    reading = other_reading((n, t, v, c))
    assert reading == ("[N, T, V, C]", None, n)
    assert f"{n:,} clips in one array: save x[i] for each clip i" in reading.sentence()
    assert other_reading((n, 2, t, v, c)) == ("[N, M, T, V, C]", None, n)


def test_exchanged_joints_and_frames() -> None:
    assert other_reading((17, 900, 2)) == ("[V, T, C]", (1, 0, 2), 0)
    assert other_reading((17, 543, 3)) is None  # 17 frames of MediaPipe's whole body


@pytest.mark.parametrize("shape", [(), (17,), (30, 17), (30, 17, 4), (1, 30, 17, 4), (0, 30, 17, 2), (1,) * 7])
def test_a_shape_of_no_known_order_has_no_reading(shape: tuple[int, ...]) -> None:
    assert other_reading(shape) is None


def test_every_small_shape_has_one_answer() -> None:
    for axes in range(6):
        for shape in itertools.product((0, 1, 2, 3, 10, 11, 25), repeat=axes):
            reading = other_reading(shape)
            assert reading is None or reading.sentence().startswith(f"it looks like {reading.axes}")


def test_a_row_of_numbers_as_joints() -> None:
    assert joints_in_row(150) == "(2, 25, 3)"
    assert joints_in_row(75) == "(25, 3)"
    assert joints_in_row(51) == "(17, 3)"
    assert joints_in_row(34) == "(17, 2)"
    assert joints_in_row(60) == "(20, 3)"
    assert joints_in_row(7) is None
