"""Heatmap volumes against their definition, pixel by pixel; the quirks of upstream; refused and hostile input."""

from __future__ import annotations

import dataclasses
import inspect
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import skelstore
from converters.samples.pickles import iter_kinetics_like
from skelstore.errors import FieldNotFoundError, HeatmapError
from skelstore.heatmaps import COCO, limbs, options, pose_target, volume, windows
from tests.support import heatmaps
from tests.support.contracts import write
from tests.support.heatmaps import COCO_LIMBS, clips, random_clip, reference, scaled_size
from tests.support.processes import run_python

LIMB: dict[str, Any] = {"with_kp": False, "with_limb": True}
# Of float32 distances: upstream's share of a limb is a difference of squares, divided by a squared length of 1 or more.
TOLERANCE = 2e-3


def clip_of(*points: tuple[float, float], scores: Any = None, size: tuple[int, int] = (9, 9)) -> dict[str, Any]:
    """One person in one frame with these joints, the scores 1."""
    keypoint = np.array(points, np.float32).reshape(1, 1, -1, 2)
    score = np.ones(keypoint.shape[:3], np.float32) if scores is None else np.array([[scores]], np.float32)
    return {"frame_dir": "S001", "keypoint": keypoint, "keypoint_score": score, "img_shape": size}


@given(st.data(), st.sampled_from([2.0, 4.0, 300.0]))
@settings(max_examples=150, deadline=None)
def test_volumes_follow_the_definition(data: Any, outside: float) -> None:
    clip = data.draw(clips(outside, dtypes=(np.float16, np.float32)))
    chosen = data.draw(heatmaps.options(clip["keypoint"].shape[2]))
    assume(min(scaled_size(clip, chosen["scaling"])) > 0)
    before = {key: np.copy(value) for key, value in clip.items()}
    found, expected = pose_target(clip, **chosen), reference(clip, **chosen)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.shape == expected.shape
    # A pixel is 0 if and only if it is outside of all windows, or too far away for a float32.
    assert not found[expected == 0].any()
    assert found[expected > 1e-30].all()
    if chosen["with_limb"]:
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    else:
        np.testing.assert_allclose(found, expected, rtol=3e-5, atol=1e-6)
    for key, value in before.items():
        assert np.array_equal(clip[key], value)


def test_defaults_are_those_of_coco() -> None:
    """The 17 joints of COCO with the default options, flipped ones included."""
    clip = random_clip(np.random.default_rng(3), 2, 2, 17, (20, 16))
    assert list(map(tuple, COCO)) == COCO_LIMBS
    pairs: dict[str, Any] = {"left_kp": range(1, 16, 2), "right_kp": range(2, 17, 2)}
    pairs |= {"left_limb": [0, 2, 4, 5, 6, 10, 11, 12], "right_limb": [1, 3, 7, 8, 9, 13, 14, 15]}
    for kind in ({}, LIMB):
        expected = reference(clip, double=True, **pairs, **kind)
        np.testing.assert_allclose(pose_target(clip, double=True, **kind), expected, atol=TOLERANCE)
    for left, right in zip(pairs["left_limb"], pairs["right_limb"], strict=True):
        assert all(joint in range(0, 17, 2) or joint == 0 for joint in COCO[right])
        assert all(joint in range(1, 17, 2) or joint == 0 for joint in COCO[left])


def test_a_joint_of_which_every_pixel_is_known() -> None:
    """The window of 3 sigma is cut as upstream cuts it: to 2 pixels before a joint on a pixel, and 1 behind it."""
    found = pose_target(clip_of((4, 3), scores=[0.5]))[0, 0]
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 4, 2, 5)
    assert found[3, 4] == 0.5
    assert found[3, 5] == found[2, 4] == np.float32(0.5) * np.exp(np.float32(-1) / 2 / 0.6**2, dtype=np.float32)
    # Less than a pixel outside of the image, the window is truncated towards 0, and has the pixel 0.
    assert np.flatnonzero(pose_target(clip_of((-2.5, 3)))[0, 0].any(axis=0)).tolist() == [0]
    assert not pose_target(clip_of((-2.8001, 3))).any()
    assert not pose_target(clip_of((np.float32(10.9), 3))).any()


def test_the_quirks_that_the_document_lists() -> None:
    pair = clip_of((2, 2), (6, 2), scores=[1, 0.5])
    one: dict[str, Any] = {"with_limb": True, "skeletons": [(0, 1)], "left_kp": [0], "right_kp": [1]}
    joints, ridge = pose_target(pair), pose_target(pair, **one | LIMB)
    both = pose_target(pair, **one)
    assert both.shape == (1, 3, 9, 9)
    assert np.array_equal(both[:, 0], np.maximum(joints[:, 0], ridge[:, 0]))
    assert np.array_equal(both[:, 1], joints[:, 1])
    assert not both[:, 2].any()
    flipped = pose_target(pair, double=True, **one)
    assert np.array_equal(flipped[1:], both[:, [1, 0, 2], :, ::-1])
    # Of a limb below a pixel the first joint counts, of a longer one the lower score.
    assert ridge.max() == np.float32(0.5)
    short = clip_of((2, 2), (2.75, 2), scores=[1, 0.5])
    assert np.array_equal(pose_target(short, **one | LIMB)[:, 0], pose_target(short)[:, 0])
    assert pose_target(short, **one | LIMB, least_score=0.6).max() == 0
    # A joint whose score is the threshold is drawn, the next lower float is not.
    edge = np.float32(1e-4)
    if np.__version__.startswith("1."):  # there upstream compares float64, which the float32 is below
        edge = np.nextafter(edge, np.float32(1))
    assert pose_target(clip_of((4, 4), scores=[edge])).max() == edge
    assert not pose_target(clip_of((4, 4), scores=[np.nextafter(edge, np.float32(0))])).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_squared_lengths_are_those_of_scalars(dtype: Any) -> None:
    """Enough of them that an array's squares would be rounded otherwise, with NumPy 2 and float32."""
    starts, ends = np.random.default_rng(0).uniform(-30, 60, (2, 4000, 2)).astype(dtype)
    expected = [(a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 for a, b in zip(starts, ends, strict=True)]
    found = limbs.squared_lengths(starts, ends)
    assert found.dtype == expected[0].dtype
    assert found.tolist() == [float(square) for square in expected]


def test_pairs_that_swap_no_two_channels_flip_as_upstream() -> None:
    """Pairs with a channel twice: the last one counts, so that one channel may appear twice, and another not at all."""
    clip = clip_of((1, 1), (4, 4), (7, 2))
    plain = pose_target(clip)
    found = pose_target(clip, double=True, left_kp=[0, 0], right_kp=[1, 2])
    assert np.array_equal(found, np.concatenate([plain, plain[:, [2, 0, 0], :, ::-1]]))


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_small_blocks_change_nothing(seed: int) -> None:
    clip = random_clip(np.random.default_rng(seed), 4, 3, 6, (30, 30))
    pairs: dict[str, Any] = {"skeletons": [(0, 1), (2, 3), (4, 5)], "left_kp": [0], "right_kp": [1], "double": True}
    whole = pose_target(clip, with_limb=True, **pairs)
    with pytest.MonkeyPatch.context() as patch:
        for module in (windows, limbs):
            patch.setattr(f"{module.__name__}.BLOCK", 100)
        patch.setattr("skelstore.heatmaps.gaussians.BLOCK", 100)
        patch.setattr(volume, "JOINTS_AT_ONCE", 1)
        assert np.array_equal(pose_target(clip, with_limb=True, **pairs), whole)


def test_videos_of_a_store(tmp_path: Path) -> None:
    """Lazy annotations, and those that were compressed; half floats give what their float32 values give."""
    clip = random_clip(np.random.default_rng(4), dtype=np.float16, score_dtype=np.float16)
    clip["keypoint_score"][clip["keypoint_score"] < 0.01] = 0
    (entry, detections), *_ = iter_kinetics_like(1, seed=3)
    write(tmp_path / "a.zarr", [clip, {**entry, "keypoint": detections, "img_shape": (34, 60)}])
    store = skelstore.open(tmp_path / "a.zarr")
    expected = pose_target(clip | {name: clip[name].astype(np.float32) for name in ("keypoint", "keypoint_score")})
    assert np.array_equal(pose_target(store["clip"]), expected)
    assert np.array_equal(pose_target(store.lazy(0)), expected)
    with pytest.raises(HeatmapError, match=rf"'{entry['frame_dir']}' has an array .* read the .* store\.decompressed"):
        pose_target(store[1])
    assert pose_target(store.decompressed()[1]).shape[1:] == (17, 34, 60)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("kind", [{}, LIMB | {"skeletons": [(0, 1)]}])
def test_a_joint_that_is_no_point_is_named(value: float, kind: dict[str, Any]) -> None:
    clip = random_clip(np.random.default_rng(1), 3, 4, 5)
    clip["keypoint_score"][2, 3, 1] = 0.5
    for axis in (0, 1):
        wrong = clip | {"keypoint": clip["keypoint"].copy()}
        wrong["keypoint"][2, 3, 1, axis] = value
        with pytest.raises(HeatmapError, match=r"the video 'clip': joint 1 of person 2 in frame 3 is .* score of 0.5;"):
            pose_target(wrong, **kind)
        # One that is not drawn may be anything, as upstream.
        missing = wrong | {"keypoint_score": clip["keypoint_score"].copy()}
        missing["keypoint_score"][2, 3, 1] = 0
        assert np.isfinite(pose_target(missing, **kind)).all()
    if value != 1e30:
        scored = clip | {"keypoint_score": clip["keypoint_score"].copy()}
        scored["keypoint_score"][2, 3, 1] = abs(value)
        with pytest.raises(HeatmapError, match="joint 1 of person 2 in frame 3"):
            pose_target(scored, **kind)
        assert np.isfinite(pose_target(scored, use_score=False, **kind)).all()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no keypoint": ({"keypoint": None}, "has no keypoint"),
    "text": ({"keypoint": "abc"}, "has a str as keypoint"),
    "objects": ({"keypoint": np.full((1, 1, 2, 2), None)}, "expected numbers"),
    "complex": ({"keypoint": np.ones((1, 1, 2, 2), complex)}, "expected numbers"),
    "3 axes": ({"keypoint": np.ones((4, 2, 3), np.float32)}, "which is compressed; .* store.decompressed"),
    "3 channels": ({"keypoint": np.ones((1, 1, 2, 3))}, r"\[1, 1, 2, 3\] as keypoint; expected numbers \[M, T, V, 2\]"),
    "scores of other frames": ({"keypoint_score": np.ones((1, 2, 2))}, r"expected numbers \[1, 1, 2\]"),
    "no scores": ({"keypoint_score": None}, "has None as keypoint_score"),
    "a number as scores": ({"keypoint_score": np.ones(())}, "as keypoint_score"),
    "an empty image": ({"img_shape": (0, 9)}, r"img_shape is \(0, 9\); expected a height and a width from 1"),
    "a negative image": ({"img_shape": (9, -9)}, "from 1 to 65,536"),
    "a NaN image": ({"img_shape": (9, float("nan"))}, "expected .height, width."),
    "an image without end": ({"img_shape": (float("inf"), 9)}, "expected .height, width."),
    "a long image": ({"img_shape": (1, 10**6)}, "from 1 to 65,536"),
    "a huge number": ({"img_shape": (10**5000, 9)}, "more than 2"),
    "a large image": ({"img_shape": (60_000, 60_000)}, "1 x 2 x 60000 x 60000 numbers, more than 4,294,967,296 bytes"),
    "three sides": ({"img_shape": (9, 9, 3)}, "expected .height, width."),
    "a text as image": ({"img_shape": "9x"}, "expected .height, width."),
    "no image": ({"img_shape": None}, "expected .height, width."),
    "an array as image": ({"img_shape": np.zeros(10**6)}, "expected .height, width."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_annotations_are_refused(case: str) -> None:
    change, message = REFUSED[case]
    with pytest.raises((HeatmapError, FieldNotFoundError), match=message) as caught:
        pose_target(clip_of((2, 2), (4, 4)) | change)
    assert len(str(caught.value)) < 500


def test_missing_fields() -> None:
    clip = clip_of((2, 2), (4, 4), scores=[1, 1])
    for name in ("keypoint", "img_shape"):
        with pytest.raises(FieldNotFoundError, match=f"the video 'S001' has no {name}"):
            pose_target({key: value for key, value in clip.items() if key != name})
    with pytest.raises(FieldNotFoundError, match="the annotation has no keypoint"):
        pose_target({})
    without = {key: value for key, value in clip.items() if key != "keypoint_score"}
    assert np.array_equal(pose_target(without), pose_target(clip))
    for size in ([9, 9], np.array([9, 9], np.int32), (np.int64(9), 9.0)):
        assert np.array_equal(pose_target(clip | {"img_shape": size}), pose_target(clip))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"with_kp": False}, "with_kp and with_limb are both False"),
        ({"sigma": 0}, "sigma is 0; expected a number of pixels from 0.001"),
        ({"sigma": float("nan")}, "sigma is nan"),
        ({"sigma": "0.6"}, "sigma is '0.6'"),
        ({"scaling": -1}, "scaling is -1"),
        ({"scaling": float("inf")}, "scaling is inf"),
        ({"scaling": 1e9}, "img_shape is .* times scaling"),
        ({"scaling": 1e-9}, "img_shape is .* times scaling"),
        ({"least_score": 0}, "least_score is 0"),
        ({"with_limb": True, "skeletons": [(0, 2)]}, "skeletons has the limb .0, 2.; expected two joints of 2"),
        ({"with_limb": True, "skeletons": [(0, 1, 1)]}, "expected two joints"),
        ({"with_limb": True, "skeletons": [("a", 1)]}, "expected two joints"),
        ({"with_limb": True, "skeletons": [7]}, "skeletons has the limb 7; expected two joints"),
        ({"double": True}, "right_kp has 2, but the volume has 2 channels: pass left_kp and right_kp"),
        ({"double": True, "left_kp": [0], "right_kp": [-3]}, "right_kp has -3"),
        ({"double": True, "left_limb": [9], "skeletons": [(0, 1)], **LIMB}, "left_limb has 9"),
    ],
)
def test_unusable_options_are_refused(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pose_target(clip_of((2, 2), (4, 4)), **chosen)


def test_work_and_memory_are_bounded() -> None:
    """10,000 persons take the memory of their joints, and limbs across a large image are drawn in blocks."""
    crowd = random_clip(np.random.default_rng(0), 10_000, 1, 17, (20, 20))
    large = random_clip(np.random.default_rng(0), 4, 1, 17, (1000, 1000), outside=0)
    for clip, chosen, most in ((crowd, {}, 60e6), (crowd, LIMB, 150e6), (large, LIMB, 68e6 + 60e6)):
        tracemalloc.start()
        try:
            assert pose_target(clip, **chosen).any()
            assert tracemalloc.get_traced_memory()[1] < most
        finally:
            tracemalloc.stop()


def test_an_unusable_video_is_named_on_one_line() -> None:
    with pytest.raises(HeatmapError) as caught:
        pose_target(clip_of((np.nan, 1)) | {"frame_dir": "a\n\x1b[2J<b>"})
    assert r"'a\n\x1b[2J<b>'" in str(caught.value)


def test_heatmaps_are_imported_when_they_are_used() -> None:
    code = """
        import sys, skelstore
        assert not any(name.startswith("skelstore.heatmaps") for name in sys.modules)
        import skelstore.heatmaps
        print({"torch", "pyarrow", "zarr", "skelstore.read"} & set(sys.modules))
    """
    assert run_python("if True:" + code, check=True).stdout == "set()\n"


def test_the_options_of_the_function_are_those_of_the_class() -> None:
    signature = inspect.signature(pose_target)
    defaults = {name: parameter.default for name, parameter in list(signature.parameters.items())[1:]}
    assert defaults == {field.name: field.default for field in dataclasses.fields(options.Options)}
    assert skelstore.heatmaps.pose_target is pose_target


def test_options_can_be_compared_and_shown() -> None:
    assert options.Options(sigma=1.0) == options.Options(sigma=1.0) != options.Options()
    assert "least_score=0.0001" in repr(options.Options())
