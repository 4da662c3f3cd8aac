"""What of an annotation is drawn, in each of its forms, against a slow reference; and the turning view of 3D poses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore import DrawingError, FrameIndexError
from skelstore.drawing import colours, frame_svg, raster, strip_svg
from skelstore.drawing.picture import MOST_FRAMES, Selection
from skelstore.drawing.poses import MOST_PERSONS, counted_frames, poses
from skelstore.drawing.view import Orbit, turn, view_of
from skelstore.joints import LAYOUTS

NUMBERS = st.sampled_from([0.0, 0.0, 1.0, 5.5, 300.0, -4.0, float("nan"), float("inf")])
SCORES = st.sampled_from([0.0, 0.3, 1.0, 1.4, -1.0, float("nan")])


def arrays(shape: tuple[int, ...], elements: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    count = math.prod(shape)
    return st.lists(elements, min_size=count, max_size=count).map(lambda values: np.array(values).reshape(shape))


def is_there(point: np.ndarray, score: float) -> bool:
    return bool(np.isfinite(point).all() and point.any() and score > 0)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_dense_poses_are_those_of_the_arrays(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(0, 3)] * 2, st.integers(1, 3)))
    keypoint = data.draw(arrays((*shape, 2), NUMBERS))
    score = data.draw(st.none() | arrays(shape, SCORES))
    annotation = {"keypoint": keypoint} | ({} if score is None else {"keypoint_score": score})
    found = poses(annotation, None)
    assert len(found) == shape[1]
    for frame in range(shape[1]):
        expected = {}
        for person in range(shape[0]):
            scores = [1.0 if score is None else score[person, frame, v] for v in range(shape[2])]
            there = [is_there(keypoint[person, frame, v], s) for v, s in enumerate(scores)]
            if any(there):
                expected[person] = [min(s, 1.0) if seen else 0.0 for s, seen in zip(scores, there, strict=True)]
        assert {pose.person: pose.score.tolist() for pose in found.frame(frame)} == expected
        assert all(np.array_equal(p.points, keypoint[p.person, frame], equal_nan=True) for p in found.frame(frame))
        assert [pose.person for pose in found.frame(frame, [1])] == [1] * (1 in expected)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_compressed_poses_are_all_detections_of_each_frame(data: st.DataObject) -> None:
    frames = data.draw(st.lists(st.integers(0, 6), max_size=8))
    keypoint = data.draw(arrays((len(frames), 2, 3), st.sampled_from([0.0, 1.0, 0.5, 7.0])))
    tracks = data.draw(st.none() | st.lists(st.integers(-1, 3), min_size=len(frames), max_size=len(frames)))
    annotation: dict[str, Any] = {"keypoint": keypoint, "frame_inds": np.array(frames, np.int32)}
    if tracks is not None:
        annotation["track"] = np.array(tracks, np.int32)
    found = poses(annotation, None)
    assert found.numbers.tolist() == sorted(set(frames))
    order: list[int] = []
    for track in tracks or []:
        order += [track] if track not in order else []
    for position, number in enumerate(found.numbers.tolist()):
        rows = [row for row, frame in enumerate(frames) if frame == number]
        expected = []
        for place, row in enumerate(rows):
            if any(is_there(keypoint[row, v, :2], keypoint[row, v, 2]) for v in range(2)):
                named = tracks is not None and min(tracks) >= 0
                expected.append(
                    (order.index(tracks[row]) if tracks and named else place, keypoint[row, :, :2].tolist())
                )
        assert [(pose.person, pose.points.tolist()) for pose in found.frame(position)] == expected


def test_raw_bodies_are_persons() -> None:
    annotation = {
        "position": np.ones((4, 25, 3)),
        "frame_inds": np.array([0, 0, 2, 3], np.int32),
        "body_id": np.array([72057594037931102, 7, 7, 72057594037931102]),
        "tracking_state": np.array([[2] * 25, [1] * 25, [0] * 24 + [2], [2] * 25], np.uint8),
    }
    found = poses(annotation, None)
    assert (found.layout, found.dimensions, found.persons) == (LAYOUTS["ntu-25"], 3, 2)
    assert [[pose.person for pose in found.frame(i)] for i in range(3)] == [[0, 1], [1], [0]]
    opacities = [float(pose.opacity.max()) for pose in found.frame(0)]
    assert opacities[0] == 1
    assert 0.2 < opacities[1] < 0.7
    assert np.count_nonzero(found.frame(1)[0].opacity) == 1


def test_the_origin_is_a_place_in_3d() -> None:
    keypoint = np.zeros((2, 1, 25, 3))
    keypoint[0, 0, 5] = 1
    assert [(pose.person, pose.score.tolist()) for pose in poses({"keypoint": keypoint}, None).frame(0)] == [
        (0, [1.0] * 25)
    ]


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({}, "no keypoint"),
        ({"frame_dir": "a\n<b>"}, r"the video 'a\\n<b>' cannot be drawn: no keypoint"),
        ({"keypoint": [1, 2]}, "keypoint: a list; expected an array of numbers"),
        ({"keypoint": np.zeros(3, "O")}, "keypoint: an array of object"),
        ({"keypoint": np.zeros((1, 2, 3, 1))}, r"keypoint of shape \(1, 2, 3, 1\); expected \[M, T, V, 2 or 3\]"),
        ({"keypoint": np.zeros((1, 1, 0, 2))}, r"keypoint of shape \(1, 1, 0, 2\)"),
        ({"keypoint": np.zeros((1, 1, 1001, 2))}, r"keypoint of shape \(1, 1, 1001, 2\)"),
        ({"keypoint": np.zeros((5, 2))}, r"keypoint of shape \(5, 2\)"),
        ({"keypoint": np.zeros((1, 2, 3, 2)), "keypoint_score": np.zeros((2, 2, 3))}, "keypoint_score of shape"),
        ({"keypoint": np.zeros((2, 5, 3)), "frame_inds": np.zeros(3, int)}, r"frame_inds .*; expected integers \[2\]"),
        ({"keypoint": np.zeros((2, 5, 3)), "frame_inds": np.zeros(2)}, "frame_inds an array of float64"),
        ({"keypoint": np.zeros((2, 5, 1)), "frame_inds": np.zeros(2, int)}, "keypoint of shape"),
        ({"position": np.zeros((2, 5, 2)), "frame_inds": np.zeros(2, int)}, "position of shape"),
        ({"position": np.zeros((2, 5, 3))}, "no frame_inds"),
    ],
)
def test_what_cannot_be_drawn_is_said(annotation: dict[str, Any], said: str) -> None:
    for draw in (lambda: frame_svg(annotation, None, 0), lambda: strip_svg(annotation, None)):
        with pytest.raises(DrawingError, match=said):
            draw()


def test_a_frame_that_is_not_there() -> None:
    annotation = {"keypoint": np.ones((1, 3, 4, 2))}
    assert frame_svg(annotation, None, -1) == frame_svg(annotation, None, 2)
    for frame in (3, -4, 10**9):
        with pytest.raises(FrameIndexError, match="the video has 3 frames"):
            frame_svg(annotation, None, frame)
    assert strip_svg({"keypoint": np.ones((1, 0, 4, 2))}, None).startswith("<svg ")


@pytest.mark.parametrize(
    ("numbers", "stated", "total", "first"),
    [
        ([0, 1, 2], None, 3, 0),
        ([0, 2], 3, 3, 0),
        ([1, 2, 3], 3, 3, 1),
        ([1, 3, 5], 6, 6, 1),
        ([1, 2], 10, 10, 0),
        ([4, 7], "x", 8, 0),
        ([4, 7], 2, 8, 0),
    ],
)
def test_frames_are_counted_from_zero_or_one(numbers: list[int], stated: Any, total: int, first: int) -> None:
    found = counted_frames(np.array(numbers), stated)
    assert (found.total, found.first) == (total, first)


# ----------------------------------------------------------------------------------------------- selecting frames


def test_frames_are_selected() -> None:
    assert list(Selection(None, None).positions(4)) == [0, 1, 2, 3]
    assert list(Selection(slice(1, None, 2), None).positions(6)) == [1, 3, 5]
    assert list(Selection(-1, None).positions(6)) == [5]
    assert list(Selection(None, 8).positions(15)) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert list(Selection(slice(10, 90, 2), 3).positions(100)) == [10, 50, 88]
    assert list(Selection(None, 1).positions(100)) == [50]
    assert list(Selection(slice(4, 5), 1).positions(100)) == [4]
    long = Selection(None, None)
    assert list(long.positions(10**6)) == list(range(MOST_FRAMES))
    assert long.notes == ["of 1,000,000 frames the first 5,000 are drawn; choose others with --frames"]
    for frames, most, error in ((7, None, FrameIndexError), (slice(9, 3), 8, FrameIndexError), (slice(0, 3), 1, None)):
        with pytest.raises(error or DrawingError, match="frame"):
            Selection(frames, most).positions(6)


# --------------------------------------------------------------------------------------------------- 3D poses

STANDING = {"head": 1.7, "neck": 1.5, "ankle": 0.1, "foot": 0.0, "hip": 0.9, "shoulder": 1.4}


def standing(up: int, sign: int, seed: int = 0, layout: str = "ntu-25") -> np.ndarray:
    """Persons who stand along an axis: [2, 3, V, 3]."""
    random = np.random.default_rng(seed)
    points = random.normal(0, 0.3, (2, 3, len(LAYOUTS[layout]), 3))
    for joint, name in enumerate(LAYOUTS[layout].joints):
        height = next((h for part, h in STANDING.items() if part in name), 1.0)
        points[:, :, joint, up] = sign * (height + random.uniform(-0.02, 0.02)) + 3
    return points


@pytest.mark.parametrize(("up", "sign"), [(1, 1), (1, -1), (2, 1), (2, -1)])
@pytest.mark.parametrize("layout", ["ntu-25", "smpl-24", "h36m-17", "kinect-20"])
def test_heads_are_above_feet(up: int, sign: int, layout: str) -> None:
    points = standing(up, sign, layout=layout)
    found = poses({"keypoint": points}, LAYOUTS[layout])
    view = view_of(found, np.arange(3), (300, 200))
    head = next(i for i, name in enumerate(LAYOUTS[layout].joints) if "head" in name)
    foot = next(i for i, name in enumerate(LAYOUTS[layout].joints) if "ankle" in name)
    for angle in (0.0, 1.0, 4.0):
        places = view.project(points, angle)
        assert (places[..., head, 1] < places[..., foot, 1]).all()
    places = view.project(points)
    assert np.corrcoef(points[0, 0, :, 0], places[0, 0, :, 0])[0, 1] > 0.9, "x is to the right"


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    angle=st.floats(0, 7),
    box=st.tuples(st.integers(50, 600), st.integers(50, 600)),
    size=st.sampled_from([1e-3, 1.0, 1e4]),
)
def test_the_turning_view_shows_everything(seed: int, angle: float, box: tuple[int, int], size: float) -> None:
    points = standing(1, 1, seed) * size
    found = poses({"keypoint": points}, LAYOUTS["ntu-25"])
    view = view_of(found, np.arange(3), box)
    assert isinstance(view, Orbit)
    places = view.project(points, angle)
    assert (view.width, view.height) == box
    # Outliers, half a percent of the joints, may stick out.
    assert ((places >= 0) & (places <= box)).all(-1).mean() >= 0.99
    assert np.allclose(view.project(points, angle + 2 * math.pi), places, atol=1e-6 * max(box))
    axis = view.project(view.centre, angle)
    assert np.allclose(axis, view.project(view.centre), atol=1e-6 * max(box)), "the axis stays"
    assert np.allclose(axis, np.array(box) / 2)


def test_an_animation_ends_where_it_began() -> None:
    long, short = ([turn(i, count, 30) for i in range(count)] for count in (300, 90))
    steps = np.diff([*long, long[0] + 2 * math.pi])
    assert np.allclose(steps, 2 * math.pi / 300), "once around"
    assert max(np.abs(short)) <= math.radians(50)
    assert short[0] == 0
    assert max(np.abs(np.diff([*short, short[0]]))) < 2 * math.pi / 90


def test_letters_that_a_font_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are drawn with another font, or as escapes, and never as boxes."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed here: pip install 'skelstore[draw]'")

    def painted(text: str) -> bytes:
        canvas = image.new("RGB", (200, 30), colours.PAPER)
        raster.paint_text(canvas, (5, 20), raster.fitting_text(text, 190, 15), size=15)
        assert raster.text_width(text, 15) <= 190
        return bytes(canvas.tobytes())

    monkeypatch.setattr(raster, "FONTS", ())
    assert painted("caf\xe9 \u8d70 …") == painted(r"caf\xe9 \u8d70 …")
    matplotlib = pytest.importorskip("matplotlib", reason="its font is not installed here: pip install matplotlib")
    other = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    monkeypatch.setattr(raster, "FONTS", ("no such font.ttf", str(other)))
    letters = [painted(f"{letter}x") for letter in "\xe9\xe8\xdf\u0436"]
    assert len(set(letters)) == 4
    assert painted("\xe9") != painted(r"\xe9")
    assert painted("\xe9\uffff") == painted("\xe9" + r"\uffff")


def test_more_persons_than_can_be_drawn_are_cut() -> None:
    found = poses({"keypoint": np.ones((10_000, 2, 4, 2), np.float16)}, None)
    assert [pose.person for pose in found.frame(1)] == list(range(MOST_PERSONS))
    assert [pose.person for pose in found.frame(1, [9_999])] == [9_999]
