"""Forms of the files of MMPose, COCO, MediaPipe, YOLO pose and UAV-Human, and files that are not as they should be."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import converters
import skelstore
from converters import open_source
from converters.dialects.ntu.uav_human import SUBJECTS
from converters.samples.pose_clips import coco_like, mediapipe_like, mmpose_like, uav_human_like, yolo_pose_like
from skelstore.errors import SkelstoreError, SourceError
from tests.support.exact import assert_exact
from tests.support.ntu_files import one_body
from tests.support.source_contract import check_source, dump

UAV = "P000S00G10B10H10UC022000LC021000A000R0_08241716.txt"
VALID: dict[str, tuple[str, Any]] = {
    "mmpose": ("a.json", mmpose_like(0)),
    "mmpose-frames": ("a.json", mmpose_like(1)),
    "mmpose-lists": ("a.json", mmpose_like(2)),
    "coco": ("a.json", coco_like(2)),
    "coco-results": ("a.json", coco_like(1, annotated=False)),
    "mediapipe": ("a.json", mediapipe_like(0)),
    "mediapipe-numbers": ("a.json", mediapipe_like(1)),
    "mediapipe-lists": ("a.json", mediapipe_like(3)),
}


def read(path: Path, tool: str, **options: Any) -> list[dict[str, Any]]:
    """All annotations of a file."""
    with closing(open_source(path, tool, **options)) as source:
        return [source.video(i)[0] for i in range(len(source))]


def outcome(path: Path, tool: str, **options: Any) -> tuple[list[dict[str, Any]], str | None]:
    """All annotations of a file, or the message that refuses it."""
    try:
        return read(path, tool, **options), None
    except SourceError as error:
        return [], str(error)


def check_values(annotation: dict[str, Any]) -> None:
    """What holds for every annotation, whatever the file was."""
    frames = annotation["frame_inds"]
    assert (frames[:-1] <= frames[1:]).all()
    assert len(frames) == len(annotation["keypoint"]) == len(annotation["box_score"])
    assert not len(frames) or 0 <= frames[0] <= frames[-1] < annotation["total_frames"]
    assert all(np.isfinite(value).all() for value in annotation.values() if isinstance(value, np.ndarray))


VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=3)),
    *(st.just([]), st.just({}), st.just([[]]), st.just(10**400), st.just("1e9"), st.just(-1), st.just([1e308] * 51)),
    st.lists(st.integers(-2, 2), max_size=52),
)


def places(value: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Container and key of the values in a document, the first few of each list."""
    keys = (
        list(value) if isinstance(value, dict) else list(range(min(len(value), 4))) if isinstance(value, list) else []
    )
    return [place for key in keys for place in ((value, key), *places(value[key], depth + 1))]


@pytest.mark.parametrize("form", VALID)
@given(st.data())
@settings(max_examples=25)
def test_a_value_that_is_changed_is_read_or_refused(form: str, data: st.DataObject) -> None:
    """Whatever stands in the place of a value, or is missing: an annotation with finite numbers, or a sentence."""
    name, valid = VALID[form]
    document = copy.deepcopy(valid)
    container, key = data.draw(st.sampled_from(places(document)))
    if data.draw(st.booleans()) and isinstance(container, dict):
        del container[key]
    else:
        container[key] = data.draw(VALUES)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, name)
        path.write_text(json.dumps(document))
        found, refused = outcome(path, form.partition("-")[0], size="720x1280")
        assert refused is None or str(path) in refused
        for annotation in found:
            check_values(annotation)


TEXTS = st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        *(
            ("mmpose", "a.json"),
            ("mmpose", "a.pkl"),
            ("coco", "a.json"),
            ("mediapipe", "a.json"),
            ("mediapipe", "a.npy"),
        ),
        *(("yolo-pose", "a_1.txt"), ("uav-human", UAV), ("videopose3d", "a.npz")),
    ],
)
@given(TEXTS)
@settings(max_examples=25)
def test_any_bytes_are_a_clip_or_an_error(tool: str, name: str, data: bytes | str) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, name)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        refused = outcome(path, tool)[1]
        assert refused is None or str(path.parent) in refused


@pytest.mark.parametrize("tool", ["mmpose", "coco", "mediapipe"])
def test_nested_and_cut_short_json_is_refused(tmp_path: Path, tool: str) -> None:
    text = json.dumps(VALID[tool][1])
    for content, reason in (
        ("[" * 200_000, "deep"),
        ('{"annotations":' + "[" * 200_000, "deep"),
        (text[: len(text) // 2], "ends before"),
        (text.replace("]", "}", 1), r"JSON"),
        (text.replace("0.", "NaN, 0.", 1), "NaN|JSON"),
    ):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(SourceError, match=reason) as caught:
            read(tmp_path / "a.json", tool, size="10x10")
        assert str(tmp_path / "a.json") in str(caught.value)


POINTS, SCORES = [[101.0, 102.0]] * 17, [0.5] * 17
INSTANCE = {"keypoints": POINTS, "keypoint_scores": SCORES, "bbox": [[1, 2, 3, 4]], "bbox_score": 0.5}
LANDMARKS = [{"x": 0.1, "y": 0.2, "z": 0.3, "visibility": 0.4}] * 33
IMAGE = {"id": 1, "file_name": "dance_3.jpg", "height": 10, "width": 20}
PERSON = {"image_id": 1, "keypoints": [101, 102, 2] * 17}
WRONG: dict[str, tuple[str, Any, str]] = {
    "a person as frame": ("mmpose", [3], r"\[0\] is 3; expected a frame with frame_id"),
    "mixed forms": ("mmpose", [[INSTANCE], {"frame_id": 1, "instances": []}], r"\[1\] is .*; expected a list of"),
    "frame_id is text": ("mmpose", [{"frame_id": "1", "instances": []}], r"has frame_id '1' and instances a list"),
    "a frame beyond": ("mmpose", [{"frame_id": 1 << 40, "instances": []}], r"has frame 1099511627776; expected 0 to"),
    "fewer scores": ("mmpose", [[INSTANCE | {"keypoint_scores": [1.0]}]], r"keypoint_scores a list of length 1; exp"),
    "one coordinate": ("mmpose", [[INSTANCE | {"keypoints": [[1]] * 17}]], r"not a list of joints \[x, y\]"),
    "a text as coordinate": ("mmpose", [[INSTANCE | {"keypoints": [["1", 2]] * 17}]], r"\[0\] is '1'; expected a num"),
    "a box of three": ("mmpose", [[INSTANCE | {"bbox": [[1, 2, 3]]}]], r"bbox is .*; expected \[\[x1, y1, x2, y2\]\]"),
    "an id of text": ("mmpose", [[INSTANCE | {"track_id": "a"}]], r"track_id is 'a'; expected an integer"),
    "other joints": (
        "mmpose",
        [[INSTANCE], [INSTANCE | {"keypoints": POINTS * 2, "keypoint_scores": SCORES * 2}]],
        r"has 68 numbers of joints; expected 34, x and y of 17 joints",
    ),
    "no images": ("coco", {"annotations": [PERSON]}, r"has no images and annotations"),
    "no frame": ("coco", {"images": [IMAGE | {"file_name": "a.jpg"}], "annotations": []}, r"'a.jpg' states no frame"),
    "an image twice": ("coco", {"images": [IMAGE, IMAGE], "annotations": []}, r"images\[1\] has the id 1 of another"),
    "an unknown image": (
        "coco",
        {"images": [], "annotations": [PERSON]},
        r"annotations\[0\].image_id is 1; expected the",
    ),
    "a list as id": (
        "coco",
        {"images": [IMAGE], "annotations": [PERSON | {"image_id": []}]},
        r"image_id is .*the id of",
    ),
    "16 numbers": (
        "coco",
        {"images": [IMAGE], "annotations": [PERSON | {"keypoints": [1] * 16}]},
        r"has 16 numbers; exp",
    ),
    "a nested text": (
        "coco",
        {"images": [IMAGE], "annotations": [PERSON | {"keypoints": [[1, 2, "2"]]}]},
        r"is '2'; exp",
    ),
    "a box of one": ("coco", {"images": [IMAGE], "annotations": [PERSON | {"bbox": [1]}]}, r"bbox is \[1\]; expected"),
    "a negative id": (
        "coco",
        {"images": [IMAGE], "annotations": [PERSON | {"track_id": -2}]},
        r"track_id is -2; expec",
    ),
    "two sizes": (
        "coco",
        {"images": [IMAGE, {"id": 2, "file_name": "dance_4.jpg", "height": 9, "width": 20}], "annotations": []},
        r"clip dance has images of 9x20 and 10x20 pixels",
    ),
    "pictures": (
        "coco",
        {"images": [IMAGE, {"id": 2, "file_name": "dance_90000.jpg"}], "annotations": []},
        r"clip dance would have 2 images .* 3 to 90,000, .* --frame-pattern",
    ),
    "a number as frame": ("mediapipe", [3], r"\[0\] is 3; expected MediaPipe's landmarks"),
    "a missing y": ("mediapipe", [[{"x": 1}] * 33], r"\[0\]\[0\] is .*; expected MediaPipe's landmarks"),
    "x is text": ("mediapipe", [[{"x": "1", "y": 2}] * 33], r"\[0\]\[0\] is .*; expected numbers x, y, z"),
    "a landmark is missing": ("mediapipe", [{"0": LANDMARKS[0], "2": LANDMARKS[0]}], r"keys '0', '2' …; expected all"),
    "two lists": ("mediapipe", {"frames": [LANDMARKS], "data": [LANDMARKS]}, r"has frames and data; expected one list"),
    "many landmarks": ("mediapipe", [[[0.1, 0.2]] * 3000], r"\[0\] is a list of length 3000"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    tool, content, reason = WRONG[name]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SourceError, match=reason) as caught:
        read(path, tool, size="100x100")
    assert str(path) in str(caught.value)
    with pytest.raises(SkelstoreError, match=reason):
        converters.convert(path, tmp_path / "s.zarr", dialect=tool, size="100x100", workers=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json"]


# ------------------------------------------------------------------------------------------------- forms


def test_forms_of_mmpose(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([INSTANCE, INSTANCE | {"keypoints": []}]))  # of an image
    (image,) = read(path, "mmpose")
    assert (len(image["keypoint"]), image["total_frames"], image["empty_persons"]) == (1, 1, 1)
    lifted = {"keypoints": [[101, 102, 3]] * 17, "keypoint_scores": SCORES, "track_id": 7, "transformed": 1}
    path.write_text(json.dumps({"meta_info": {}, "instance_info": [{"frame_id": 1, "instances": [lifted]}], "x": 1}))
    (annotation,) = read(path, "mmpose")
    assert_exact(annotation["keypoint_z"], np.full((1, 17), 3, np.float32))
    assert_exact(annotation["track"], np.array([7], np.int32))
    assert (annotation["first_frame"], annotation["not_kept"]) == (1, "transformed, x")


def test_a_pickle_of_mmpose_is_a_list_per_person(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def instance(zeros: bool = False) -> dict[str, Any]:
        points = random.uniform(0, 500, (1, 17, 2)).astype(np.float32) * (not zeros)
        scores = random.uniform(0, 1, (1, 17)).astype(np.float32) * (not zeros)
        boxes = random.uniform(0, 500, (1, 4)) * (not zeros)
        return {"keypoints": points, "keypoint_scores": scores, "bboxes": boxes, "bbox_scores": scores[:, 0]}

    persons = [[instance(), instance(), instance()], [instance(True), instance(), None]]
    path = dump(tmp_path / "a.pkl", persons)
    rows = [(0, 0), (0, 1), (1, 1), (0, 2)]
    found = [persons[m][t] for m, t in rows]
    boxes = np.stack([one["bboxes"][0] for one in found])
    boxes[:, 2:] -= boxes[:, :2]
    expected = {
        "frame_dir": "a",
        "total_frames": 3,
        "keypoint": np.stack([np.concatenate([o["keypoints"][0], o["keypoint_scores"][0][:, None]], 1) for o in found]),
        "frame_inds": np.array([t for _, t in rows], np.int32),
        "box_score": np.stack([one["bbox_scores"][0] for one in found]),
        "track": np.array([m for m, _ in rows], np.int32),
        "box": boxes.astype(np.float32),
        "first_frame": 0,
        "empty_persons": 1,
    }
    source = open_source(path)
    assert source.dialect == "mmpose"
    check_source(source, [expected], {})
    for wrong, reason in (
        ([[3]], r"\[0\]\[0\] is an int; expected an instance"),
        (
            [[persons[0][0] | {"keypoints": np.zeros((2, 17, 2))}]],
            r"keypoints is float64 \(2, 17, 2\); expected an array",
        ),
        ([3], r"\[0\] is an int; expected a list of instances"),
        ({}, "not a list of at most"),
        ([[]] * 1001, "not a list of at most"),
    ):
        with pytest.raises(SourceError, match=reason):
            read(dump(path, wrong), "mmpose")


def test_clips_and_frames_of_coco(tmp_path: Path) -> None:
    names = ["a/000001.jpg", "a/000003.jpg", "b/x_1.jpg", "b/y_1.jpg", "c_7.jpg", "d\\e_2.png"]
    images = [{"id": f"i{i}", "file_name": name} for i, name in enumerate(names)]
    nested = {"image_id": "i1", "keypoints": [[101, 102, 0.25]] * 17, "score": 2.5, "track_id": -1}
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"annotations": [nested], "images": images}))
    found = {annotation["frame_dir"]: annotation for annotation in read(path, "coco")}
    assert list(found) == ["a", "b/x", "b/y", "c", "d"]
    assert (found["a"]["total_frames"], found["a"]["first_frame"], found["c"]["total_frames"]) == (3, 1, 8)
    assert_exact(found["a"]["frame_inds"], np.array([2], np.int32))
    assert_exact(found["a"]["box_score"], np.array([2.5], np.float32))
    assert found["a"]["keypoint"][0, 0, 2] == 0.25  # a score, since it is not a visibility
    by_pattern = read(path, "coco", frame_pattern=r"(?P<clip>[a-z])\W?\w*?(?P<frame>\d+)\.")
    assert [(a["frame_dir"], a["total_frames"]) for a in by_pattern] == [("a", 3), ("b", 1), ("c", 8), ("d", 3)]
    with pytest.raises(SourceError, match=r"file_name 'b/x_1.jpg' does not fit --frame-pattern"):
        read(path, "coco", frame_pattern=r"^(?P<clip>[a-z])/(?P<frame>\d+)")
    each = read(path, "coco", frame_pattern=r"(?P<clip>[^/\\]+)\.\w+$")
    assert [annotation["frame_dir"] for annotation in each] == ["000001", "000003", "x_1", "y_1", "c_7", "e_2"]
    for pattern, reason in (("(", "is not a regular expression"), ("a", "has no group")):
        with pytest.raises(SourceError, match=reason):
            open_source(path, "coco", frame_pattern=pattern)


def test_the_pattern_of_coco_is_kept_in_the_store(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [IMAGE], "annotations": [PERSON]}))
    converters.convert(path, tmp_path / "s.zarr", frame_pattern=r"(?P<clip>\w+)\.jpg", workers=1)
    with skelstore.open(tmp_path / "s.zarr") as store:
        assert converters.dialects.registry.recorded_options(store.source)["frame_pattern"] == r"(?P<clip>\w+)\.jpg"
        assert store[0]["frame_dir"] == "dance_3"


def test_many_files_of_coco(tmp_path: Path) -> None:
    for name in ("train", "val"):
        content = {"images": [IMAGE, IMAGE | {"id": 2, "file_name": "jump_1.jpg"}], "annotations": [PERSON]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    found = read(tmp_path, "coco")
    assert [a["frame_dir"] for a in found] == ["train/dance", "train/jump", "val/dance", "val/jump"]
    assert [len(a["keypoint"]) for a in found] == [1, 0, 1, 0]
    assert [a["keypoint"].shape[1] for a in found] == [17] * 4


def test_a_file_of_coco_that_changes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [IMAGE], "annotations": [PERSON]}))
    with closing(open_source(path)) as source:
        path.write_text(json.dumps({"images": [IMAGE], "annotations": [PERSON, PERSON]}))
        with pytest.raises(SourceError, match="has changed since it was indexed"):
            source.video(0)


BODY = [{"x": 0.01 * v, "y": 0.5, "z": -0.25, "visibility": 0.5, "presence": 1.0} for v in range(33)]


@pytest.mark.parametrize(
    ("content", "frames", "persons"),
    [
        ([BODY, None, [], {}, BODY], 5, [0, 4]),
        ([[BODY, BODY], [BODY]], 2, [0, 0, 1]),
        ([{"pose_landmarks": BODY, "frame": 4}, {"pose_landmarks": [], "frame": 9}], 10, [4]),
        ({"3": BODY, "5": [], "1": BODY}, 5, [0, 2]),
        ({"fps": 30, "pose_landmarks": [BODY]}, 1, [0]),
        ([{joint["name"]: joint for joint in []}, [[0, 0, 0, 0]] * 33, BODY], 3, [2]),
        ([{"landmarks": [BODY, BODY]}], 1, [0, 0]),
    ],
)
def test_forms_of_mediapipe(tmp_path: Path, content: Any, frames: int, persons: list[int]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    (annotation,) = read(path, "mediapipe", size="100x200")
    assert annotation["total_frames"] == frames
    assert_exact(annotation["frame_inds"], np.array(persons, np.int32))
    expected = np.array([[0.01 * v * 200, 50, 0.5] for v in range(33)]).astype(np.float32)
    assert_exact(annotation["keypoint"], np.stack([expected] * len(persons)))
    assert_exact(annotation["keypoint_z"], np.full((len(persons), 33), -0.25, np.float32))


def test_names_and_parts_of_mediapipe(tmp_path: Path) -> None:
    names = skelstore.joints.LAYOUTS["mediapipe-33"].joints
    named = {name.upper(): joint for name, joint in reversed(list(zip(names, BODY, strict=True)))}
    hand = [{"x": 0.5, "y": 0.25, "z": 0.125}] * 21
    frame = {"pose_landmarks": named, "right_hand_landmarks": hand, "left_hand_landmarks": None, "time": 3}
    path = tmp_path / "a.json"
    path.write_text(json.dumps([frame, {"pose_landmarks": None, "right_hand_landmarks": hand}]))
    (annotation,) = read(path, "mediapipe", size="100x200")
    assert_exact(annotation["hand_right_keypoint"], np.tile(np.array([100, 25, 1], np.float32), (1, 21, 1)))
    assert_exact(annotation["hand_right_keypoint_z"], np.full((1, 21), 0.125, np.float32))
    assert annotation["keypoint"][0, 2, 0] == np.float32(0.01 * 2 * 200)
    assert annotation["not_kept"] == "hand_right_keypoint of frames without a pose, presence, time"


def test_arrays_of_mediapipe(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    array = random.random((5, 33, 4)).astype(np.float32)
    array[1] = 0
    array[3] = np.nan
    np.save(tmp_path / "a.npy", array)
    keypoint = (array[[0, 2, 4]][..., [0, 1, 3]].astype(np.float64) * [200, 100, 1]).astype(np.float32)
    expected = {
        "frame_dir": "a",
        "img_shape": (100, 200),
        "original_shape": (100, 200),
        "total_frames": 5,
        "keypoint": keypoint,
        "frame_inds": np.array([0, 2, 4], np.int32),
        "box_score": keypoint[..., 2].astype(np.float64).mean(axis=1).astype(np.float32),
        "keypoint_z": array[[0, 2, 4], :, 2],
        "first_frame": 0,
    }
    for path in (tmp_path / "a.npy", tmp_path):
        source = open_source(path, size="100x200")
        assert source.dialect == "mediapipe"
        check_source(source, [expected], {})
    np.save(tmp_path / "a.npy", array[..., :3])
    with closing(open_source(tmp_path / "a.npy", size="100x200")) as source:
        assert_exact(source.video(0)[0]["keypoint"][..., 2], np.ones((3, 33), np.float32))
    with closing(open_source(tmp_path)) as source:
        assert source.dialect == "arrays"
    for wrong, reason in (
        (array[:, :32], r"float32 \(5, 32, 4\); expected \[T, 33, 3 or 4\]"),
        (np.where(np.arange(4) == 2, np.nan, array), r"\[0\] has NaN"),
        (array.astype(bool), "expected"),
    ):
        np.save(tmp_path / "a.npy", wrong)
        with pytest.raises(SourceError, match=reason):
            read(tmp_path / "a.npy", "mediapipe", size="10x10")


def test_pixels_of_mediapipe_are_kept(tmp_path: Path) -> None:
    pixels = [joint | {"x": 100 + joint["x"], "y": -20.5} for joint in BODY]
    (tmp_path / "a.json").write_text(json.dumps([pixels]))
    (annotation,) = read(tmp_path / "a.json", "mediapipe")
    assert annotation["keypoint"][0, 0].tolist() == [100, -20.5, 0.5]
    assert "img_shape" not in annotation


def line(joints: int, width: int, *behind: str, seed: int = 0) -> str:
    """A line of a person, whose box is where the joints are."""
    points = np.random.default_rng([joints, width, seed]).uniform(0.1, 0.2, (joints, 3)) * (1, 1, 4) + (0.3, 0.6, 0.1)
    numbers = [0.45, 0.75, 0.1, 0.1, *points[:, :width].ravel().tolist()]
    return " ".join(["0", *(f"{number:g}" for number in numbers), *behind])


@pytest.mark.parametrize(
    ("lines", "joints", "score", "track"),
    [
        ([line(17, 3)], 17, None, None),
        ([line(17, 3, "0.875")], 17, 0.875, None),
        ([line(17, 3, "1")], 17, None, 1),
        ([line(17, 3, "1"), line(17, 3, "0.5")], 17, 1.0, None),
        ([line(17, 3, "0.875", "3")], 17, 0.875, 3),
        ([line(17, 3, "1", "3"), line(17, 3, "1")], 17, 1.0, 3),
        ([line(17, 2)], 17, None, None),
        ([line(17, 2, "0.875")], 17, 0.875, None),
        ([line(21, 3)], 21, None, None),
        ([line(21, 3, "0.5"), line(21, 3, "0.5", "2")], 21, 0.5, None),
        ([line(21, 3, "0.5")], 21, 0.5, None),
        ([line(12, 3)], 12, None, None),
        ([line(18, 2)], 18, None, None),
        ([line(26, 2)], 26, None, None),
    ],
)
def test_what_is_behind_the_joints_of_yolo(
    tmp_path: Path, lines: list[str], joints: int, score: float | None, track: int | None
) -> None:
    (tmp_path / "dance_2.txt").write_text("\n".join(lines) + "\n")
    (annotation,) = read(tmp_path, "yolo-pose", size="10x10")
    assert annotation["frame_dir"] == "dance"
    assert (annotation["total_frames"], annotation["first_frame"]) == (2, 1)
    assert annotation["keypoint"].shape == (len(lines), joints, 3)
    if score is None:
        assert annotation["mean_box_scores"] == len(lines)
    else:
        assert annotation["box_score"][0] == score
    assert ("track" in annotation and annotation["track"][0] == track) == (track is not None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line(17, 3).replace("0.", "x.", 1), "line 1: '.*' is not a number"),
        (line(17, 3).replace("0.", "nan ", 1), "'nan' is not a number"),
        (line(17, 3).replace("0 0.", "0 1e400 0.", 1), "not a number|beyond float64"),
        ("0 0.5 0.5 0.1 0.1 1", "line 1 has 6 numbers; expected class, box and joints"),
        (line(17, 3, "1", "-3"), "the id is -3; expected a whole number"),
        (line(17, 3) + "\n" + line(18, 3), "fit no pose"),
        (
            "0 0 0 0 0 " + " ".join(["0.5"] * 36),
            "12 joints of 3 numbers or 18 joints of 2 numbers; expected a form that",
        ),
    ],
)
def test_what_is_wrong_with_a_line_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "dance_2.txt").write_text(text + "\n")
    with pytest.raises(SourceError, match=reason) as caught:
        read(tmp_path, "yolo-pose", size="10x10")
    assert "dance" in str(caught.value)


def test_files_of_yolo_that_are_not_frames(tmp_path: Path) -> None:
    (tmp_path / "a_1.txt").write_text(line(17, 3).replace("0 ", "2 ", 1) + "\n")
    (tmp_path / "classes.txt").write_text("person\n")
    (annotation,) = read(tmp_path, "yolo-pose", size="10x10")
    assert_exact(annotation["class_id"], np.array([[2]], np.float32))
    (tmp_path / "notes.txt").write_text("x\n")
    with pytest.raises(SourceError, match=r"notes\.txt: its name states no frame"):
        open_source(tmp_path, "yolo-pose")


def test_values_of_uav_human(tmp_path: Path) -> None:
    """What is not 0 is kept, and ids are tracks where they are unique."""
    joints = [f"{v} {v + 0.5} {v / 8} 0 0 0 0 1 0 0 0 2" for v in range(17)]
    bodies = ["7 0 0 0 0 0 0 0.5 0 0", "17", *joints], ["72057594037927936 0 0 0 0 0 0 0 0 0", "17", *joints]
    path = tmp_path / UAV
    path.write_text("\r\n".join(["3", "0", "2", *bodies[1], *bodies[0], "2", *bodies[0], *bodies[0]]) + "\r\n")
    (annotation,) = read(path, "uav-human")
    assert (annotation["label"], annotation["total_frames"], annotation["first_frame"]) == (0, 3, 0)
    assert_exact(annotation["frame_inds"], np.array([1, 1, 2, 2], np.int32))
    assert_exact(annotation["track"], np.array([1, -1, -1, -1], np.int32))
    one = np.array([[v, v + 0.5, 1] for v in range(17)], np.float32)
    assert_exact(annotation["keypoint"], np.stack([one] * 4))
    assert_exact(annotation["keypoint_z"], np.tile(np.arange(17, dtype=np.float32) / 8, (4, 1)))
    assert_exact(annotation["tracking_state"], np.full((4, 17), 2, np.float32))
    assert annotation["body"].shape == (4, 9)
    assert not {"depth", "color"} & annotation.keys()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (one_body(1), "line 4: 25 joints; expected the 17"),
        (["1000000000", "0"], "line 1: 1,000,000,000 frames are declared; the file has 1 more line"),
        (["1", "1000000000"], "the file ends within a body|cut short"),
        (["1", "1", "0 0 0 0 0 0 0 0 0 0", "1000000000"], "1,000,000,000 joints; expected the 17"),
        (["1", "1", *uav_human_like(0).split("\n")[2:9]], "line 9: the file ends within a body"),
        (uav_human_like(0).replace(" 0 0\n", " 0 nan\n", 1).split("\n"), "expected a finite number"),
    ],
)
def test_what_is_wrong_with_a_file_of_uav_human_is_named(tmp_path: Path, lines: list[str], reason: str) -> None:
    (tmp_path / UAV).write_text("\n".join(lines))
    with pytest.raises(SourceError, match=reason) as caught:
        read(tmp_path, "uav-human")
    assert str(tmp_path / UAV) in str(caught.value)


def test_names_of_uav_human(tmp_path: Path) -> None:
    assert [len(train) for train in SUBJECTS.values()] == [89, 89]
    assert all(train < frozenset(range(119)) for train in SUBJECTS.values())
    (tmp_path / UAV).write_text(uav_human_like(0))
    (tmp_path / "0000.txt").write_text(uav_human_like(0))
    with pytest.raises(SourceError, match=r"0000\.txt: the name is not one of UAV-Human"):
        open_source(tmp_path)


def test_the_real_files(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    """Each value of the real files is in the annotation."""
    path = real_file("mmpose/predictions_halpe26.json")
    held = json.loads(path.read_text())["instance_info"]
    (annotation,) = read(path, "mmpose", dtype="float64")
    instances = [instance for frame in held for instance in frame["instances"]]
    assert_exact(annotation["keypoint"][..., :2], np.array([one["keypoints"] for one in instances]))
    assert_exact(annotation["keypoint"][..., 2], np.array([one["keypoint_scores"] for one in instances]))
    assert annotation["total_frames"] == len(held)
    path = real_file("mediapipe/landmarks_dict.json")
    frames = json.loads(path.read_text())
    (annotation,) = read(path, "mediapipe", dtype="float64")
    rows = [[[frame[str(v)][key] for key in ("x", "y", "visibility")] for v in range(33)] for frame in frames]
    assert_exact(annotation["keypoint"], np.array(rows))
    path = real_file("coco/person_keypoints_val.json")
    with pytest.raises(SourceError, match="not the frames of a video"):
        open_source(path)
    found = read(path, "coco", frame_pattern=r"(?P<clip>\d+)\.jpg")
    held = json.loads(path.read_text())
    assert len(found) == len(held["images"])
    labelled = [one for one in held["annotations"] if any(one["keypoints"])]
    assert sum(len(annotation["keypoint"]) for annotation in found) == len(labelled)
    assert sum(annotation.get("empty_persons", 0) for annotation in found) == len(held["annotations"]) - len(labelled)


def test_frames_of_yolo_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for frame, text in yolo_pose_like(0).items():
        (tmp_path / f"a_{frame}.txt").write_text(text)
    (annotation,) = read(tmp_path, "yolo-pose", size="720x1280")
    assert (np.diff(annotation["frame_inds"]) >= 0).all()
    assert annotation["total_frames"] == max(yolo_pose_like(0))
