"""All recipes are equal, array by array, to slow references that were written from their descriptions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.conversion.source import SkippedVideoError
from converters.dialects.ntu.recipes import apply_recipe, raw
from converters.dialects.ntu.skeleton_file import parse
from converters.inputs.ntu_names import Recipe, Task
from converters.samples.pickles import ntu_names
from converters.samples.skeletons import skeleton_file
from skelstore.errors import SourceError
from tests.support import ctrgcn_reference, ntu_reference
from tests.support.exact import assert_exact
from tests.support.ntu_files import REAL, body_lines, crowd_file, skeleton_files

NAME = "S001C001P001R001A050"
FIRST = 72057594037931101


def made(recipe: Recipe, data: bytes, task: Task = "ntu60") -> dict[str, Any]:
    return apply_recipe(recipe, raw(NAME, 49, parse(data)), task)


def check_recipes(data: bytes) -> None:
    """Check that all recipes equal the references for a file, or that both refuse it."""
    for task in get_args(Task):
        check_ctrgcn(data, task)
    frames = ntu_reference.read(data)
    keypoint = ntu_reference.mmaction2(frames)
    expected = {"frame_dir": NAME, "label": 49, "keypoint": keypoint, "total_frames": len(frames)}
    assert_exact(made("mmaction2", data), expected)
    try:
        tracks = ntu_reference.pyskl(frames)
    except ntu_reference.UpstreamFails:
        with pytest.raises(SourceError, match="PYSKL fails on it too") as error:
            made("pyskl", data)
        assert not isinstance(error.value, SkippedVideoError)
        return
    if tracks is None:
        with pytest.raises(SkippedVideoError, match="no frame has a body"):
            made("pyskl", data)
        return
    expected = {"frame_dir": NAME, "label": 49, "keypoint": tracks, "total_frames": tracks.shape[1]}
    assert_exact(made("pyskl", data), expected)


def check_ctrgcn(data: bytes, task: Task) -> None:
    """Check that the recipe ctrgcn equals its reference for a file, or that both refuse it."""
    try:
        keypoint = ctrgcn_reference.keypoint(ctrgcn_reference.row(ntu_reference.read(data), task))
    except ntu_reference.UpstreamFails:
        with pytest.raises(SourceError, match="CTR-GCN's script fails on it, too") as error:
            made("ctrgcn", data, task)
        assert not isinstance(error.value, SkippedVideoError)
        return
    found = made("ctrgcn", data, task)
    assert_exact(found, {"frame_dir": NAME, "label": 49, "keypoint": keypoint, "total_frames": keypoint.shape[1]})
    assert found["keypoint"].tobytes() == keypoint.tobytes(), "the signs of zeros"


@given(skeleton_files())
@settings(max_examples=50)
def test_the_recipes_on_any_file(data: bytes) -> None:
    check_recipes(data)


@given(st.integers(0, 1 << 32), st.sampled_from(get_args(Task)))
@settings(max_examples=60)
def test_ctrgcn_on_crowds(seed: int, task: Task) -> None:
    check_ctrgcn(crowd_file(seed), task)


@pytest.mark.parametrize("name", ntu_names(6))
def test_the_recipes_on_samples(name: str) -> None:
    check_recipes(skeleton_file(name, [int(name[9:12])], (20, 60)))


@pytest.mark.parametrize("name", REAL)
def test_the_recipes_on_real_files(real_file: Callable[[str], Path], name: str) -> None:
    check_recipes(real_file(f"ntu/{name}.skeleton").read_bytes())


def file_of(bodies: list[tuple[int, int, int, np.ndarray[Any, Any]]], total: int, shift: float = 0.01) -> bytes:
    """A file of bodies (id, first frame, frame after the last, positions) that move ``shift`` in x per frame."""
    random = np.random.default_rng(0)
    lines = [str(total)]
    for frame in range(total):
        present = [(body_id, points) for body_id, start, stop, points in bodies if start <= frame < stop]
        lines.append(str(len(present)))
        for body_id, points in present:
            lines += body_lines(random, body_id, points + np.array([shift * frame, 0, 0]), "{:.7g}")
    return "\n".join(lines).encode()


def person(x: float, width: float = 0.2) -> np.ndarray[Any, Any]:
    """Positions [25, 3] of a person 1 m high at x."""
    at = np.linspace(0, 1, 25)
    return np.stack([x + width * at, at, np.full(25, 3.0)], axis=1)


def first_x(keypoint: np.ndarray[Any, Any]) -> list[list[float]]:
    """x of the first joint, per track and frame."""
    found: list[list[float]] = np.round(keypoint[:, :, 0, 0].astype(float), 2).tolist()
    return found


def test_pyskl_moves_a_body_that_was_away_to_an_earlier_time() -> None:
    gone = [(FIRST, 0, 2, person(1)), (FIRST + 1, 0, 40, person(2)), (FIRST, 20, 40, person(1))]
    found = made("pyskl", file_of(gone, 40, shift=0.1))
    tracks = first_x(found["keypoint"])
    returned = next(track for track in tracks if track[0] < 2)
    assert returned[2] == pytest.approx(1 + 20 * 0.1, abs=0.01), "frame 20 has become frame 2"
    assert returned[22:] == [0] * 18


def test_pyskl_drops_frames_without_a_body_and_mmaction2_keeps_them() -> None:
    data = file_of([(FIRST, 3, 5, person(1)), (FIRST, 9, 12, person(1))], 15)
    assert made("pyskl", data)["total_frames"] == 5
    assert made("mmaction2", data)["keypoint"].shape == (1, 15, 25, 3)


def test_mmaction2_puts_bodies_into_slots_by_their_order_not_their_id() -> None:
    data = file_of([(FIRST, 0, 5, person(1)), (FIRST + 1, 0, 10, person(7))], 10)
    [strong, weak] = first_x(made("mmaction2", data)["keypoint"])
    assert strong[:5] == pytest.approx([1.0, 1.01, 1.02, 1.03, 1.04], abs=0.01)
    assert strong[5:] == pytest.approx([7.05, 7.06, 7.07, 7.08, 7.09], abs=0.01), "the other body, in the same slot"
    assert weak[5:] == [0] * 5


def test_mmaction2_ignores_a_fifth_body() -> None:
    four = [(FIRST + i, 0, 20, person(i)) for i in range(4)]
    fifth = (FIRST + 9, 0, 20, person(0, width=300))
    assert_exact(made("mmaction2", file_of([*four, fifth], 20)), made("mmaction2", file_of(four, 20)))


def test_without_a_body_mmaction2_has_no_person() -> None:
    assert made("mmaction2", b"3\n0\n0\n0\n")["keypoint"].shape == (0, 3, 25, 3)
    assert made("mmaction2", b"0\n")["keypoint"].shape == (0, 0, 25, 3)


@pytest.mark.parametrize(("frames", "persons"), [(11, 1), (12, 2)])
def test_pyskl_drops_bodies_of_eleven_frames(frames: int, persons: int) -> None:
    data = file_of([(FIRST, 0, 40, person(1)), (FIRST + 1, 5, 5 + frames, person(2))], 40)
    assert len(made("pyskl", data)["keypoint"]) == persons


@pytest.mark.parametrize(("width", "persons"), [(0.7, 2), (0.9, 1)])
def test_pyskl_drops_bodies_that_are_wide(width: float, persons: int) -> None:
    data = file_of([(FIRST, 0, 40, person(1)), (FIRST + 1, 0, 40, person(2, width))], 40)
    assert len(made("pyskl", data)["keypoint"]) == persons


def test_pyskl_fails_if_none_of_several_bodies_is_left() -> None:
    data = file_of([(FIRST, 0, 8, person(1)), (FIRST + 1, 0, 9, person(2))], 10)
    with pytest.raises(SourceError, match="none of several bodies has more than 11 frames"):
        made("pyskl", data)


@pytest.mark.parametrize("recipe", ["pyskl", "mmaction2"])
def test_coordinates_beyond_float16_are_refused(recipe: Recipe) -> None:
    with pytest.raises(SourceError, match="beyond float16"):
        made(recipe, file_of([(FIRST, 0, 3, person(1e6))], 3))


# ------------------------------------------------------------------------------------------------ ctrgcn


def test_ctrgcn_doubles_a_single_person_of_ntu120() -> None:
    data = file_of([(FIRST, 0, 20, person(1))], 20)
    assert made("ctrgcn", data)["keypoint"].shape == (1, 20, 25, 3)
    first, second = made("ctrgcn", data, "ntu120")["keypoint"]
    assert first.tobytes() == second.tobytes()
    assert not first[0, 1].any(), "the spine in the first frame is the origin"


def test_ctrgcn_of_a_second_person_who_is_the_first_again() -> None:
    """Two bodies that follow each other are one person; the second person of such a clip is not doubled."""
    data = file_of([(FIRST, 0, 20, person(1)), (FIRST + 1, 20, 40, person(2))], 40)
    for task in get_args(Task):
        assert made("ctrgcn", data, task)["keypoint"].shape == (1, 40, 25, 3)


@pytest.mark.parametrize(("common", "persons"), [(1, 1), (2, 2)])
def test_ctrgcn_takes_one_common_frame_for_none(common: int, persons: int) -> None:
    data = file_of([(FIRST, 0, 20, person(1)), (FIRST + 1, 20 - common, 40, person(2))], 40)
    assert len(made("ctrgcn", data)["keypoint"]) == persons


def test_ctrgcn_leaves_the_last_body_out_of_the_test_of_width() -> None:
    wide = [(FIRST, 0, 30, person(1, 0.9)), (FIRST + 1, 0, 30, person(2, 0.9))]
    assert made("ctrgcn", file_of(wide, 30))["keypoint"].shape == (1, 30, 25, 3)
    with pytest.raises(SourceError, match="PYSKL fails on it too"):
        made("pyskl", file_of(wide, 30))


def test_ctrgcn_refuses_what_its_script_fails_on() -> None:
    short = file_of([(FIRST, 0, 8, person(1)), (FIRST + 1, 0, 9, person(2))], 10)
    still = file_of([(FIRST, 0, 20, np.zeros((25, 3)))], 20, shift=0)
    lines = file_of([(FIRST, 0, 2, person(1))], 2).split(b"\n")
    twice = b"\n".join([b"2", b"2", *lines[2:29], *lines[2:29], *lines[29:]])
    for data, what in (
        (short, "none of several bodies has more than 11 frames"),
        (still, "every joint of the first person is at zero"),
        (twice, "a body is twice in a frame, and so has more than the 2 frames"),
        (b"3\n0\n0\n0\n", "no frame has a body"),
    ):
        with pytest.raises(SourceError, match=what):
            made("ctrgcn", data)


def test_ctrgcn_accepts_what_float16_cannot_hold() -> None:
    assert made("ctrgcn", file_of([(FIRST, 0, 3, person(1e6))], 3))["keypoint"].dtype == np.float32
    with pytest.raises(SourceError, match="beyond float32"):
        made("ctrgcn", file_of([(FIRST, 0, 3, person(1e39))], 3))
