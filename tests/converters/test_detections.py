"""Detections become the compressed annotation: every number, in the order of frames, checked by a slow second way."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.inputs import detections as module
from converters.inputs import field_rows
from converters.inputs.detections import Detections
from converters.inputs.pixels import Size
from skelstore.errors import SourceError
from tests.support.exact import assert_exact
from tests.support.pose_tools import Found, annotation_of, triples


def flat(points: list[list[float]]) -> list[float]:
    return [value for point in points for value in point]


NUMBER = st.floats(0, 4000, width=32) | st.integers(0, 4000)
POINT = st.tuples(NUMBER, NUMBER, st.floats(0, 1.1)).map(list)
FOUND = st.builds(
    Found,
    st.integers(1, 30),
    st.lists(POINT, min_size=3, max_size=3),
    st.none() | st.floats(0, 3.25, width=32),
    st.none() | st.integers(0, 5),
    st.fixed_dictionaries(
        {},
        optional={
            "box": st.lists(NUMBER, min_size=4, max_size=4) | st.none(),
            "face_keypoint": st.lists(POINT, min_size=2, max_size=2).map(flat) | st.just([]),
            "keypoint_3d": st.lists(NUMBER, min_size=8, max_size=8),
        },
    ),
)


def collect(found: list[Found], frames: Any = (), total: int | None = None, **options: Any) -> dict[str, Any]:
    clip = Detections("clip", **options)
    for i, one in enumerate(found):
        clip.add(f"[{i}]", one.frame, flat(one.joints), score=one.score, track=one.track, fields=one.fields)
    for frame in frames:
        clip.see_frame(frame)
    return clip.annotation(total)


@pytest.fixture(params=[(1024, 16 << 20), (2, 16 << 20), (3, 0)], ids=["one block", "blocks", "files"])
def stages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few rows, and arrays in temporary files however small they are."""
    monkeypatch.setattr(module, "_BLOCK", request.param[0])
    monkeypatch.setattr(field_rows, "_MOVED", request.param[0])
    monkeypatch.setattr(field_rows, "_IN_MEMORY", request.param[1])


@pytest.mark.usefixtures("stages")
@given(st.lists(FOUND, min_size=1, max_size=8), st.sets(st.integers(0, 40), max_size=3), st.data())
@settings(max_examples=30)
def test_every_detection_is_kept(found: list[Found], frames: set[int], data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    total = data.draw(st.none() | st.integers(0, 50))
    size = data.draw(st.none() | st.just((480, 640)))
    given_size = None if size is None else Size(*size)
    made = collect(found, frames, total, dtype=dtype, size=given_size, fractions=False)
    means = sum(one.score is None for one in found)
    expected = annotation_of(found, frames=frames, total_frames=total, size=size, dtype=dtype)
    assert_exact(made, expected | ({"mean_box_scores": means} if means else {}))


@pytest.mark.usefixtures("stages")
@given(st.lists(FOUND, min_size=1, max_size=6), st.sampled_from(["float32", "float64"]))
@settings(max_examples=20)
def test_fractions_are_scaled_in_float64(found: list[Found], dtype: Any) -> None:
    small = [
        one._replace(score=1.0, joints=[[x / 4000, y / 4000, s] for x, y, s in one.joints], fields={}) for one in found
    ]
    small[0] = small[0]._replace(joints=[[0.25, 1.011, 0.5]] * 3, fields={"box": [0.1, 0.2, 0.3, 0.4]})
    made = collect(small, size=Size(1080, 1920), dtype=dtype)
    assert_exact(made, annotation_of(small, size=(1080, 1920), dtype=dtype, scaled=True))
    with pytest.raises(
        SourceError, match=r"fractions of the image \(up to .*\), whose size is not in the file: .*--size"
    ):
        collect(small)


def joints(*points: tuple[float, float]) -> list[list[float]]:
    return [[x, y, 0.5] for x, y in points]


def test_what_are_fractions() -> None:
    size = Size(100, 200)
    pixels = [Found(0, joints((150, 60), (0, 0), (1, 1), (80, 90)), 1.0)]
    assert collect(pixels, size=size)["keypoint"][0, 0, 0] == 150
    nothing = [Found(0, joints((0, 0), (0, 0), (0, 0)), 1.0)]
    assert not collect(nothing)["keypoint"][..., :2].any()
    more = Found(2, joints((0.5, 0.5), (0.5, 0.5), (0.5, 0.5)), 1.0)
    late = [*nothing * 3, Found(1, joints((0.5, 0.5), (0, 0), (0.1, -0.05)), 1.0), more]
    assert collect(late, size=size)["keypoint"][3, :, :2].tolist() == pytest.approx(
        np.float32([[100, 50], [0, 0], [20, -5]])
    )
    beyond = [Found(0, joints(*[(0.5, 0.5)] * 11, (0.5, 2.5)), 1.0)]
    assert collect(beyond, size=size)["keypoint"][0, 11, 1] == 250
    middle = [Found(0, joints((-0.5, 0.5), (0.2, -0.3), (0.4, 0.4)), 1.0)]
    with pytest.raises(SourceError, match=r"fractions from the middle of the image \(-1 to 1\)"):
        collect(middle, size=size)
    assert collect(middle, size=size, fractions=True)["keypoint"][0, 0, 0] == -100


def test_pixels_and_fractions_in_a_clip_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 1)
    mixed = [Found(0, joints(*[(0.5, 0.5)] * 3), 1.0)] * 3 + [Found(1, joints(*[(50, 50)] * 3), 1.0)] * 3
    for found in (mixed, mixed[::-1]):
        with pytest.raises(SourceError, match=r"9 of 18 joints may be fractions of the image, the others are pixels"):
            collect(found, size=Size(100, 100))


def test_the_size_that_a_file_states() -> None:
    for given_size, other, expected in ((None, Size(1, 2), (3, 4)), (Size(5, 6), None, (5, 6))):
        clip = Detections("clip", size=given_size, other_size=other)
        clip.state_size(Size(3, 4))
        clip.add("[0]", 0, [50, 60, 1])
        assert clip.annotation()["img_shape"] == expected
    clip = Detections("clip", other_size=Size(7, 8))
    clip.add("[0]", 0, [50, 60, 1])
    assert clip.annotation()["original_shape"] == (7, 8)


def test_frames_count_from_the_first() -> None:
    one = joints((10, 20))
    for numbers, first, expected in (
        ([3, 0], None, (0, 4, [0, 3])),
        ([3, 1], None, (1, 3, [0, 2])),
        ([3, 1], 0, (0, 4, [1, 3])),
        ([7, 9], None, (0, 10, [7, 9])),
        ([7, 9], 1, (1, 9, [6, 8])),
    ):
        made = collect([Found(number, one, 1.0) for number in numbers], first_frame=first)
        assert (made["first_frame"], made["total_frames"], made["frame_inds"].tolist()) == expected
    assert collect([Found(5, one, 1.0)], frames=[1, 9])["frame_inds"].tolist() == [4]
    with pytest.raises(SourceError, match="has frame 0; with --first-frame 1 there is none before it"):
        collect([Found(0, one, 1.0)], first_frame=1)


def test_a_clip_without_persons() -> None:
    clip = Detections("clip", joints=18)
    clip.leave_out()
    clip.not_kept(["z", "a"])
    expected = annotation_of([], joints=18) | {"empty_persons": 1, "not_kept": "a, z"}
    assert_exact(clip.annotation(), expected)
    for frame in (1, 2):
        clip = Detections("clip")
        clip.see_frame(frame)
        assert len(clip) == 0
        assert clip.annotation()["keypoint"].shape == (0, 0, 3)


def test_a_field_that_some_detections_have() -> None:
    hand = [1.0, 2.0, 0.5] * 2
    found = [
        Found(i, joints((9, 9)), 1.0, fields={"hand_left_keypoint": hand if i in (3, 4) else []}) for i in range(7)
    ]
    made = collect(found)
    assert_exact(made, annotation_of(found))
    assert made["hand_left_keypoint"][[3, 4]].all()
    assert not made["hand_left_keypoint"][[0, 1, 2, 5, 6]].any()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no list": ({"keypoint": {"0": 1}}, r"\[0\] is a dict; expected a list of numbers"),
    "text": ({"keypoint": [1, "2", 3]}, r"\[0\]\[1\] is '2'; expected a number"),
    "null": ({"keypoint": [1, 2, None]}, r"\[0\]\[2\] is None; expected a number"),
    "a bool": ({"keypoint": [True, 2, 3]}, r"\[0\]\[0\] is True; expected a number"),
    "nothing": ({"keypoint": []}, r"has 0 numbers of joints"),
    "two numbers": ({"keypoint": [1, 2]}, r"has 2 numbers of joints; expected"),
    "another V": ({"keypoint": [1, 2, 3, 4, 5, 6]}, r"has 6 numbers of joints; expected 3, x, y and score of 1 joints"),
    "beyond float64": ({"keypoint": [10**400, 2, 3]}, r"\[0\] there is a number beyond float64"),
    "beyond float32": ({"keypoint": [1e39, 2, 3]}, r"\[0\]: a coordinate is beyond float32"),
    "a score beyond": ({"score": 1e39}, r"\[0\]: the score is beyond float32"),
    "score as text": ({"score": "1"}, r"\[0\]: the score is '1'; expected a number"),
    "frame -1": ({"frame": -1}, r"\[0\]: frame -1; expected 0 to"),
    "frame 2**31": ({"frame": 2**31}, r"\[0\]: frame 2147483648; expected 0 to"),
    "track": ({"track": 2**31}, r"\[0\]: the id is 2147483648; expected 0"),
    "a field": ({"fields": {"box": [1, 2, "3", 4]}}, r"\[0\]\.box\[2\] is '3'; expected a number"),
    "a field's form": ({"fields": {"face_keypoint": [1, 2, 3, 4]}}, r"\[0\]\.face_keypoint has 4 numbers; expected"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_the_place(name: str) -> None:
    changed, reason = WRONG[name]
    values: dict[str, Any] = {"frame": 0, "keypoint": [10.0, 20.0, 0.5], "score": 1.0} | changed
    clip = Detections("clip.json", joints=1)

    def run() -> None:
        clip.add("[0]", values.pop("frame"), values.pop("keypoint"), **values)
        clip.annotation()

    with pytest.raises(SourceError, match=reason) as caught:
        run()
    assert str(caught.value).startswith("clip.json")
    assert "\n" not in str(caught.value)


def test_a_field_of_another_length() -> None:
    clip = Detections("clip")
    clip.add("[0]", 0, [1, 2, 3], fields={"box": [1, 2, 3, 4]})
    with pytest.raises(SourceError, match=r"\[1\]\.box has 5 numbers; expected \(4,\) of them"):
        clip.add("[1]", 0, [1, 2, 3], fields={"box": [1, 2, 3, 4, 5]})


def test_a_large_clip_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_rows, "_IN_MEMORY", 1 << 20)
    row = [float(i) for i in range(136 * 3)]
    clip = Detections("clip")
    tracemalloc.start()
    try:
        for i in range(10_000):  # 16 MB
            clip.add("place", 10_000 - i, row, score=1.0)
        made = clip.annotation()
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert made["keypoint"].nbytes > 16_000_000
    assert (made["keypoint"] == np.array(triples(row), np.float32)).all()
    assert made["frame_inds"].tolist() == list(range(10_000))
    assert not made["keypoint"].flags.writeable
