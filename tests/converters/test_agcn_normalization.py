"""2s-AGCN's normalisation of a clip, against a slow reference that was written from its description."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from converters.outputs.agcn_normalization import normalize_agcn
from skelstore.errors import SourceError
from tests.support import agcn_reference

Array = np.ndarray[Any, Any]


@st.composite
def clips(draw: st.DrawFn) -> Array:
    """Clips with empty frames, joints and persons; of whole numbers, sums of which are often exactly 0."""
    frames, joints, persons = draw(st.integers(1, 9)), draw(st.sampled_from([9, 25])), draw(st.integers(1, 3))
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    clip = random.normal(0, 1, (3, frames, joints, persons))
    if draw(st.booleans()):
        clip = np.round(clip)
    for person in range(persons):
        empty = draw(st.lists(st.integers(0, frames - 1), max_size=4))
        clip[:, empty, :, person] = 0
        cancelling = draw(st.lists(st.integers(0, frames - 1), max_size=2))
        clip[0, cancelling, :, person] = -clip[1, cancelling, :, person] - clip[2, cancelling, :, person]
        clip[:, draw(st.integers(0, frames)) :, :, person] = 0
        clip[:, :, draw(st.lists(st.integers(0, joints - 1), max_size=2)), person] = 0
    return clip.astype(np.float32)


@given(clips())
@settings(max_examples=150)
def test_any_clip(clip: Array) -> None:
    before = clip.copy()
    found = normalize_agcn(clip)
    assert found.dtype == np.float32
    assert found.shape == clip.shape
    assert clip.tobytes() == before.tobytes(), "the argument is not changed"
    expected, smallest = agcn_reference.normalized(clip)
    assume(smallest > 1e-4)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_clip_in_another_memory_order() -> None:
    clip = np.random.default_rng(0).normal(0, 1, (3, 7, 25, 2)).astype(np.float32)
    assert normalize_agcn(np.asfortranarray(clip)).tobytes() == normalize_agcn(clip).tobytes()


def person(frames: int) -> Array:
    """A clip of one person whose spine and shoulders point in no axis's direction."""
    return np.random.default_rng(1).normal(0, 1, (3, frames, 25, 1)).astype(np.float32)


def test_the_spine_and_then_the_shoulders_are_turned() -> None:
    found = normalize_agcn(person(4))[:, 0, :, 0].astype(np.float64)
    shoulders = found[:, 8] - found[:, 4]
    assert shoulders[0] > 0
    np.testing.assert_allclose(shoulders[1:], 0, atol=1e-6)
    assert not found[:, 1].any(), "joint 1 is the origin"


def test_frames_are_repeated_from_the_first_one_that_is_not_empty() -> None:
    clip = np.zeros((3, 10, 25, 1), np.float32)
    clip[:, 2:5] = person(3)
    found = normalize_agcn(clip)
    assert found.tobytes() == normalize_agcn(person(3))[:, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]].tobytes()


def test_empty_frames_in_the_middle_stay_unless_the_first_is_empty() -> None:
    clip = person(6)
    clip[:, 3] = 0
    assert not normalize_agcn(clip)[:, 3].any()
    clip[:, 0] = 0
    assert normalize_agcn(clip)[:, 3].any()


def test_without_the_first_person_nothing_moves() -> None:
    clip = np.concatenate([np.zeros((3, 5, 25, 1), np.float32), person(5)], axis=3)
    np.testing.assert_array_equal(normalize_agcn(clip), clip)


@pytest.mark.parametrize("shape", [(3, 0, 25, 2), (3, 5, 25, 0), (3, 5, 25, 2)])
def test_clips_without_a_person(shape: tuple[int, ...]) -> None:
    found = normalize_agcn(np.zeros(shape, np.float32))
    assert found.shape == shape
    assert not found.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_values_that_are_not_coordinates_make_no_error(value: float) -> None:
    clip = person(4)
    clip[0, 0, 0, 0] = value
    assert normalize_agcn(clip).shape == clip.shape


@pytest.mark.parametrize("shape", [(2, 5, 25, 2), (3, 5, 8, 2), (3, 5, 25), (3, 5, 25, 2, 1)])
def test_other_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SourceError, match=r"expected \[3, T, V, M\] with the joints of NTU RGB\+D"):
        normalize_agcn(np.zeros(shape, np.float32))
