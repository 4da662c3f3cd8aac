"""AlphaPose, Kinetics-Skeleton and OpenPose: generated and real files against a slow second way, and faulty files."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import converters
import skelstore
from converters.conversion.source import Source
from converters.dialects.registry import DIALECTS, open_source, recorded_options
from converters.inputs import pose_clips
from converters.samples.pose_tools import CLASSES, SIZE, write_pose_tools
from skelstore.errors import SkelstoreError, SourceError
from skelstore.joints import LAYOUTS, convert
from skelstore.write import planning
from tests.support.exact import assert_exact
from tests.support.pose_tools import alphapose, annotation_of, kinetics_skeleton, openpose
from tests.support.scenes import COCO_STANCE
from tests.support.source_contract import check_source

CLIPS = 4
TOOLS = ("alphapose", "kinetics-skeleton", "openpose")
Annotation = dict[str, Any]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pose_tools")
    write_pose_tools(folder, CLIPS)
    return folder


def of_alphapose(folder: Path, **options: Any) -> list[Annotation]:
    files = sorted(folder.rglob("*.json"))
    names = [file.relative_to(folder).with_suffix("").as_posix() for file in files]
    return [
        {"frame_dir": name} | annotation_of(alphapose(file), **options) for name, file in zip(names, files, strict=True)
    ]


def of_kinetics_skeleton(folder: Path, **options: Any) -> list[Annotation]:
    made = []
    for file in sorted(folder.rglob("*.json")):
        if not file.stem.endswith("_label"):
            found, held = kinetics_skeleton(file)
            frames = {frame["frame_index"] for frame in held["data"]}
            told = annotation_of(found, frames=frames, total_frames=len(held["data"]), joints=18, **options)
            made.append({"frame_dir": file.stem, "label": held["label_index"]} | told)
    return made


def of_openpose(folder: Path, **options: Any) -> list[Annotation]:
    made = []
    for clip in sorted({file.parent for file in folder.rglob("*.json")}):
        found, frames, empty = openpose(clip)
        name = clip.name if clip == folder else clip.relative_to(folder).as_posix()
        told = annotation_of(found, frames=frames, **options)
        made.append({"frame_dir": name} | told | ({"empty_persons": empty} if empty else {}))
    return made


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._a.json", b"\0")
        archive.writestr("notes.txt", "none")
        for file in sorted(folder.rglob("*.json")):
            archive.write(file, file.relative_to(folder))
    return path


def test_alphapose(samples: Path) -> None:
    folder = samples / "alphapose"
    check_source(open_source(folder), of_alphapose(folder), {})
    check_source(open_source(folder, dtype="float64"), of_alphapose(folder, dtype="float64"), {})
    check_source(open_source(folder / "clip001.json"), of_alphapose(folder)[1:2], {})
    zeros = [one | {"frame_dir": one["frame_dir"]} for one in of_alphapose(folder, first=0)]
    check_source(open_source(folder, first_frame="0"), zeros, {})
    check_source(open_source(folder, first_frame=0), zeros, {})


def test_labels_splits_and_sizes_of_a_table(samples: Path) -> None:
    folder = samples / "alphapose"
    expected = []
    for i, one in enumerate(of_alphapose(folder, size=SIZE)):
        label = i % len(CLASSES)
        expected.append({"frame_dir": one.pop("frame_dir"), "label": label} | one)
    source = open_source(folder, table=samples / "alphapose.csv")
    splits = {"train": ["clip000", "clip001", "clip002"], "val": ["clip003"]}
    assert source.description()["class_names"] == list(CLASSES)
    check_source(source, expected, splits)


def test_kinetics_skeleton(samples: Path) -> None:
    folder = samples / "kinetics-skeleton"
    options: dict[str, Any] = {"size": SIZE, "scaled": True}
    expected = of_kinetics_skeleton(folder, **options)
    splits = {"train": ["-clip000", "-clip001", "-clip002"], "val": ["-clip003"]}
    source = open_source(folder, size="1080x1920")
    assert source.description()["class_names"] == list(CLASSES)
    check_source(source, expected, splits)
    train = folder / "kinetics_train"
    check_source(open_source(train, size="1080x1920"), expected[:3], {"train": splits["train"]})
    one = expected[1] | {"class_name": CLASSES[1]}
    check_source(open_source(train / "-clip001.json", size="1080x1920"), [one], {"train": ["-clip001"]})


def test_openpose(samples: Path) -> None:
    folder = samples / "openpose"
    check_source(open_source(folder), of_openpose(folder), {})
    for clip, expected in zip(sorted(folder.glob("*/*/*")), of_openpose(folder), strict=True):
        check_source(open_source(clip), [expected | {"frame_dir": clip.name}], {})
    labelled = [{"frame_dir": one["frame_dir"], "label": 0} | one for one in of_openpose(folder)]
    for one in labelled:
        one["label"] = CLASSES.index(one["frame_dir"].split("/")[1])
    splits = {
        split: [one["frame_dir"] for one in labelled if one["frame_dir"].startswith(split)]
        for split in ("train", "val")
    }
    check_source(open_source(folder, label_by="folders"), labelled, splits)


def test_zip_files(samples: Path, tmp_path: Path) -> None:
    check_source(
        open_source(zipped(samples / "alphapose", tmp_path / "a.zip")), of_alphapose(samples / "alphapose"), {}
    )
    folder = samples / "openpose"
    check_source(open_source(zipped(folder, tmp_path / "o.zip")), of_openpose(folder), {})
    folder = samples / "kinetics-skeleton"
    source = open_source(zipped(folder, tmp_path / "k.zip"), size="1080x1920")
    splits = {"train": ["-clip000", "-clip001", "-clip002"], "val": ["-clip003"]}
    check_source(source, of_kinetics_skeleton(folder, size=SIZE, scaled=True), splits)
    alone = zipped(folder / "kinetics_val", tmp_path / "alone.zip")
    expected = of_kinetics_skeleton(folder / "kinetics_val", size=SIZE, scaled=True)
    source = open_source(alone, size="1080x1920")
    assert_exact(source.video(0)[0], expected[0] | {"class_name": CLASSES[0]})


@pytest.mark.parametrize("tool", TOOLS)
def test_a_store_and_its_options(samples: Path, tmp_path: Path, tool: str, run: Any) -> None:
    store = tmp_path / "s.zarr"
    done = run("convert", samples / tool, store, "--size", "1080x1920", "--first-frame", "0", "--dtype", "float64")
    assert done.status == 0, done.err
    assert "box_score is the mean" in done.err or tool == "alphapose"
    with skelstore.open(store) as opened:
        assert opened.source["dialect"] == tool
        again = {"size": "1080x1920", "first_frame": "0", "dtype": "float64", "skip_missing": False}
        assert recorded_options(opened.source) == again
        assert opened.joints.stated
        assert opened[0]["keypoint"].dtype == np.float64
        with closing(open_source(samples / tool, **again)) as source:
            assert_exact(list(opened), [source.video(i)[0] for i in range(CLIPS)])
    assert run("verify", store, "--against", samples / tool).status == 0
    converters.convert(samples / tool, tmp_path / "t.zarr", size="1080x1920", workers=1)
    with skelstore.open(tmp_path / "t.zarr") as opened:
        assert opened[0]["img_shape"] == SIZE


def test_what_a_conversion_tells(samples: Path, tmp_path: Path, run: Any) -> None:
    folder = tmp_path / "in"
    shutil.copytree(samples / "alphapose", folder)
    rows = json.loads((folder / "clip000.json").read_text())
    rows[0]["keypoints"] = []
    rows[1]["pred_xyz"] = [1]
    del rows[2]["score"]
    (folder / "clip000.json").write_text(json.dumps(rows))
    told = run("convert", folder, tmp_path / "s.zarr").err
    assert "left out 1 person without joints" in told
    assert "1 person has the mean of the scores of joints as box_score" in told
    assert "not kept from the files: 'pred_xyz'" in told
    assert "frames are counted 2 clips from 0 and 2 clips from 1: state --first-frame" in told
    with skelstore.open(tmp_path / "s.zarr") as store:
        first = store["clip000"]
        assert (first["empty_persons"], first["mean_box_scores"], first["not_kept"]) == (1, 1, "pred_xyz")
    again = run("track", tmp_path / "s.zarr", "-o", tmp_path / "t.zarr", "--max-persons", "1").err
    assert again.startswith("tracking: ")  # without what was said before


def test_the_first_frame_is_in_no_doubt_where_all_are_listed(tmp_path: Path, run: Any) -> None:
    person = {"keypoints": [[10.5 * v, 20] for v in range(17)], "keypoint_scores": [0.9] * 17}
    for first in (0, 1):
        frames = [{"frame_id": first + t, "instances": [person]} for t in range(3)]
        written(tmp_path / "in" / f"{first}.json", frames)
    told = run("convert", tmp_path / "in", tmp_path / "s.zarr").err
    assert "box_score" in told
    assert "--first-frame" not in told


# --- AlphaPose


def detection(image: object = "0.jpg", joints: int = 17, **changed: Any) -> dict[str, Any]:
    made = {"image_id": image, "category_id": 1, "keypoints": [10.5, 20, 0.9] * joints, "score": 3.2}
    return made | {"box": [1, 2, 3, 4], "idx": [0.0]} | changed


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_poseflow(samples: Path, tmp_path: Path) -> None:
    images: dict[str, list[Any]] = {"5.jpg": []}
    for one in json.loads((samples / "alphapose" / "clip000.json").read_text()):
        images.setdefault(one.pop("image_id"), []).append(one)
    written(tmp_path / "in" / "clip.json", images)
    source = open_source(tmp_path / "in")
    expected = of_alphapose(samples / "alphapose")[0] | {"frame_dir": "clip"}
    check_source(source, [expected], {})
    for one in [one for found in images.values() for one in found]:
        one["scores"] = one.pop("score")
    written(tmp_path / "in" / "clip.json", {"out0000005.png": images.pop("5.jpg"), **images})
    check_source(open_source(tmp_path / "in"), [expected], {})


def test_results_in_a_folder_per_video(samples: Path, tmp_path: Path) -> None:
    expected = []
    for i, one in enumerate(of_alphapose(samples / "alphapose")[:2]):
        name = f"{CLASSES[i]}/video{i}"
        path = tmp_path / "in" / name / "alphapose-results.json"
        path.parent.mkdir(parents=True)
        shutil.copy(samples / "alphapose" / f"clip00{i}.json", path)
        expected.append({"frame_dir": name, "label": i} | one | {"frame_dir": name})
    check_source(open_source(tmp_path / "in", label_by="folders"), expected, {})
    table = written(tmp_path / "t.csv", b"path,label\nclap/video0,1\n")
    check_source(open_source(tmp_path / "in", table=table), [expected[0] | {"label": 1}], {})


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["10.jpg", "9.jpg", "1.jpg"], [0, 8, 9]),
        (["out0000000.png", "out0000002.png"], [0, 2]),
        (["cam2_0003.png", "cam2_0001.png"], [0, 2]),
        (["3", "2"], [2, 3]),
        ([1, 0], [0, 1]),
    ],
)
def test_frames_of_images(tmp_path: Path, images: list[object], expected: list[int]) -> None:
    path = written(tmp_path / "a.json", [detection(image) for image in images])
    assert open_source(path).video(0)[0]["frame_inds"].tolist() == expected


@pytest.mark.parametrize("idx", [[], [[]], None])
def test_forms_of_no_id(tmp_path: Path, idx: object) -> None:
    path = written(tmp_path / "a.json", [detection(idx=idx), detection("1.jpg", idx=3)])
    assert open_source(path).video(0)[0]["track"].tolist() == [-1, 3]
    written(path, [detection(idx=idx)])
    assert "track" not in open_source(path).video(0)[0]


@pytest.mark.parametrize("joints", [17, 26, 136])
def test_numbers_of_joints(tmp_path: Path, joints: int) -> None:
    source = open_source(written(tmp_path / "a.json", [detection(joints=joints)]))
    assert source.video(0)[0]["keypoint"].shape == (1, joints, 3)
    stated = source.description().get("joints", {}).get("layout")
    assert stated == {17: "coco-17", 26: "halpe-26"}.get(joints, stated)


def test_clips_with_other_joints_or_without_any(tmp_path: Path) -> None:
    for name, content in (("a", []), ("b", [detection()]), ("c", [detection(joints=26)])):
        written(tmp_path / "in" / f"{name}.json", content)
    source = open_source(tmp_path / "in")
    assert source.video(0)[0]["keypoint"].shape == (0, 17, 3)
    with pytest.raises(SourceError, match=r"c\.json: \[0\] has 78 numbers of joints; expected 51"):
        source.video(2)


def test_the_first_clips_are_read_once_for_planning_and_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (pose_clips._KEPT_CLIPS, pose_clips._KEPT_BYTES) == (planning.SAMPLE_VIDEOS, planning.SAMPLE_BYTES)
    monkeypatch.setattr(pose_clips, "_KEPT_BYTES", 1)
    path = written(tmp_path / "in" / "a.json", [detection(), detection("1.jpg")])
    written(tmp_path / "in" / "b.json", [detection("7.jpg")])
    check_source(open_source(tmp_path / "in"), of_alphapose(tmp_path / "in"), {})
    with closing(open_source(tmp_path / "in")) as source:
        reads: list[str] = []
        read = source._files.chunks  # type: ignore[attr-defined]
        monkeypatch.setattr(source._files, "chunks", lambda name: reads.append(name) or read(name))  # type: ignore[attr-defined]
        first, other = source.video(0)[0], source.video(1)[0]
        with pytest.raises(ValueError, match="read-only"):
            first["keypoint"][0] = 0
        source.close()
        assert_exact(source.video(0)[0], first)
        assert reads == ["a.json", "b.json"]
        assert_exact(source.video(1)[0], other)
        assert_exact(source.video(0)[0], first)
        assert reads == ["a.json", "b.json", "b.json", "a.json"]
    with closing(open_source(tmp_path / "in")) as source:
        source.video(0)
        written(path, [detection("3.jpg")])
        assert source.video(0)[0]["frame_inds"].tolist() == [3]


WRONG_ALPHAPOSE: dict[str, tuple[object, str]] = {
    "not JSON": (b'[{"image_id": "0.jpg", "keypoints": [1, 2', r"ends before its last list or object does"),
    "NaN": (b'[{"image_id": "0.jpg", "idx": 1, "keypoints": [NaN]}]', r"NaN is not a number of JSON"),
    "twice": (b'[{"image_id": "0.jpg", "image_id": "1.jpg", "keypoints": []}]', r"the key 'image_id' occurs twice"),
    "text": ([detection(keypoints=["1"] * 51)], r"\[0\]\[0\] is '1'; expected a number"),
    "no keypoints": ([{"image_id": "0.jpg"}], r"\[0\] is a dict; expected an object with image_id, keypoints"),
    "a number": ([3], r"\[0\] is 3; expected an object"),
    "50 numbers": ([detection(keypoints=[1] * 50)], r"\[0\]\.keypoints is a list of length 50; expected 51, 78 or 408"),
    "30 numbers": ([detection(keypoints=[1] * 30)], r"length 30; expected 51"),
    "no image": ([detection(None)], r"\[0\]\.image_id is None; expected the name of a frame with a number"),
    "an image without a number": ([detection("a.jpg")], r"\[0\]\.image_id is 'a\.jpg'; expected"),
    "an idx": ([detection(idx=["a"])], r"\[0\]\.idx is \['a'\]; expected the id of a person"),
    "half an idx": ([detection(idx=0.5)], r"\[0\]\.idx is 0\.5; expected the id"),
    "a box": ([detection(box=[1, 2])], r"\[0\]\.box is \[1, 2\]; expected \[x, y, width, height\]"),
    "a member": ({"a": 1}, r"a is 1; expected a list of AlphaPose's detections"),
    "a frame": ([detection("99999999999.jpg")], r"\[0\]: frame 99999999999; expected 0 to"),
    "an idx beyond": ([detection(idx=1e300)], r"the id is .*expected 0 to 2\*\*31 - 1"),
}


@pytest.mark.parametrize("name", WRONG_ALPHAPOSE)
def test_a_faulty_file_of_alphapose(tmp_path: Path, name: str) -> None:
    content, reason = WRONG_ALPHAPOSE[name]
    refused(written(tmp_path / "in" / "a.json", content), "alphapose", reason, tmp_path)


def refused(path: Path, dialect: str, reason: str, tmp_path: Path) -> None:
    """Check that a clip is refused in one sentence that names the file, and that a conversion says the same."""

    def read() -> None:
        open_source(path.parent, dialect, size="10x10").video(0)

    with pytest.raises(SourceError, match=reason) as caught:
        read()
    assert str(path.name) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(SkelstoreError, match=reason):
        converters.convert(path.parent, tmp_path / "s.zarr", dialect=dialect, size="10x10")
    assert not (tmp_path / "s.zarr").exists()


# --- Kinetics-Skeleton


def clip(persons: int = 1, frames: int = 2, **changed: Any) -> dict[str, Any]:
    person = {"pose": [0.5, 0.25] * 18, "score": [0.5] * 18}
    data = [{"frame_index": i + 1, "skeleton": [person] * persons} for i in range(frames)]
    return {"data": data, "label": "clap", "label_index": 3} | changed


def test_class_names_with_gaps_are_kept_with_the_clips(tmp_path: Path) -> None:
    written(tmp_path / "in" / "a.json", clip())
    written(tmp_path / "in" / "b.json", clip(label="wave", label_index=0))
    source = open_source(tmp_path / "in", size="100x200")
    assert "class_names" not in source.description()
    made = [source.video(i)[0] for i in range(2)]
    assert [(one["label"], one["class_name"]) for one in made] == [(3, "clap"), (0, "wave")]


def test_label_files(tmp_path: Path) -> None:
    train = tmp_path / "kinetics_train"
    written(train / "a.json", clip())
    labels = {"a": {"has_skeleton": True, "label": "clap", "label_index": 3}, "gone": {"label": "x", "label_index": 0}}
    beside = written(tmp_path / "kinetics_train_label.json", labels)
    source = open_source(train, size="100x200")
    assert source.description()["labels_without_clip"] == 1
    assert beside in source.files(0, 1)
    assert source.splits() == {"train": ["a"]}
    written(beside, {"a": {"label": "clap", "label_index": 2}})
    with pytest.raises(SourceError, match=r"a\.json: label_index is 3, but 2 in the label file; expected the same"):
        open_source(train, size="100x200").video(0)
    for wrong, reason in (
        ([1], r"\[0\] is 1; expected an object with label and label_index"),
        ({"a": {"label": "clap", "label_index": "2"}}, r"a: label_index is '2' and label 'clap'; expected an integer"),
        ({"a": {"label": 3, "label_index": 2}}, r"label 3; expected an integer from 0"),
        (b"{", r"kinetics_train_label\.json is not JSON"),
    ):
        written(beside, wrong)
        with pytest.raises(SourceError, match=reason):
            open_source(train, size="100x200")
    written(beside, {"a": {"label": "clap", "label_index": 3}, "b": {"label": "wave", "label_index": 3}})
    written(train / "b.json", clip())
    with pytest.raises(SourceError, match=r"the label 3 is 'wave' here and 'clap' elsewhere; expected one name"):
        open_source(train, size="100x200")


def test_a_table_replaces_the_labels_of_kinetics_skeleton(tmp_path: Path) -> None:
    written(tmp_path / "in" / "a.json", clip())
    table = written(tmp_path / "t.csv", b"path,label,split,height,width\na.json,jump,test,50,60\n")
    source = open_source(tmp_path / "in", table=table)
    made = source.video(0)[0]
    assert (made["label"], made["img_shape"], source.splits()) == (0, (50, 60), {"test": ["a"]})
    assert made["keypoint"][0, 0, :2].tolist() == [30, 12.5]
    assert "class_name" not in made


def test_a_clip_without_label_or_persons(tmp_path: Path) -> None:
    for name, changed in (("a", {"data": []}), ("b", {"label": None, "label_index": None}), ("c", {"label_index": -1})):
        written(tmp_path / "in" / f"{name}.json", clip(persons=0) | changed)
    source = open_source(tmp_path / "in", "kinetics-skeleton")
    made = [source.video(i)[0] for i in range(3)]
    assert [one.get("label") for one in made] == [3, None, None]
    assert [one["total_frames"] for one in made] == [0, 2, 2]
    assert {one["keypoint"].shape[0] for one in made} == {0}


PERSON = {"pose": [1, 2], "score": [1]}
WRONG_KINETICS: dict[str, tuple[object, str]] = {
    "a list": ([1], r"elements|has no list 'data'"),
    "no data": ({"label": "a"}, r"has no list 'data'; expected an object with data"),
    "data": (clip(data=3), r"data is 3; expected an object with frame_index and skeleton"),
    "a frame": (clip(data=[3]), r"data\[0\] is 3; expected an object with frame_index and skeleton"),
    "no index": (clip(data=[{"skeleton": []}]), r"data\[0\]\.frame_index is None; expected an integer"),
    "an index twice": (
        clip(data=[{"frame_index": 1, "skeleton": []}] * 2),
        r"data\[1\]\.frame_index is 1; expected an integer above 1, in order",
    ),
    "persons": (clip(data=[{"frame_index": 1, "skeleton": {}}]), r"data\[0\] is a dict; expected an object"),
    "no pose": (
        clip(data=[{"frame_index": 1, "skeleton": [{}]}]),
        r"skeleton\[0\] is a dict; expected .* pose and score",
    ),
    "text": (
        clip(data=[{"frame_index": 1, "skeleton": [PERSON | {"pose": [1, "2"]}]}]),
        r"skeleton\[0\]\.pose\[1\] is '2'; expected a number",
    ),
    "a score more": (
        clip(data=[{"frame_index": 1, "skeleton": [PERSON | {"score": [1, 2]}]}]),
        r"has 2 coordinates and 2 scores; expected x and y for each score",
    ),
    "label": (clip(label_index="3"), r"label_index is '3' and label 'clap'; expected an integer from 0"),
    "deep": (b'{"data": [' + b"[" * 100, r"more than 64 deep"),
}


@pytest.mark.parametrize("name", WRONG_KINETICS)
def test_a_faulty_file_of_kinetics_skeleton(tmp_path: Path, name: str) -> None:
    content, reason = WRONG_KINETICS[name]
    refused(written(tmp_path / "in" / "a.json", content), "kinetics-skeleton", reason, tmp_path)


# --- OpenPose


def frame(*people: dict[str, Any], version: float = 1.3) -> dict[str, Any]:
    return {"version": version, "people": list(people)}


def person(joints: int = 25, **more: Any) -> dict[str, Any]:
    return {"pose_keypoints_2d": [10, 20, 0.5] * joints} | more


def test_versions_and_numbers_of_joints_of_openpose(tmp_path: Path) -> None:
    for joints in (15, 18, 25):
        old = {"pose_keypoints": [10, 20, 0.5] * joints, "face_keypoints": [1, 2, 0.5] * 70, "hand_left_keypoints": []}
        folder = tmp_path / f"v{joints}"
        written(folder / "a_000000000007_keypoints.json", frame(old, version=1.0))
        written(folder / "a_000000000011_keypoints.json", frame(person(joints)))
        check_source(open_source(folder), of_openpose(folder), {})
        made = open_source(folder).video(0)[0]
        assert made["face_keypoint"].shape == (2, 70, 3)
        assert made["frame_inds"].tolist() == [7, 11]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["body-25", "body-25b"])
def test_openpose_models_of_25_joints_are_told_apart(tmp_path: Path, name: str, seed: int) -> None:
    """By persons of whom a third of the joints are missing; without persons it is the usual model."""
    random = np.random.default_rng(seed)
    coco = COCO_STANCE * 200 + 300
    neck, head = coco[5:7].mean(0), coco[0] - (0, 30)
    feet = [coco[ankle] + shift for ankle in (15, 16) for shift in ((10, 10), (14, 8), (-5, 8))]
    body = np.concatenate([coco, [neck, head], feet])
    if name == "body-25":
        body = convert(body, None, LAYOUTS["body-25b"], LAYOUTS["body-25"]).keypoint
    people = []
    for _ in range(3):
        points = np.column_stack([body + random.normal(0, 5, body.shape), np.ones(25)])
        points[random.random(25) < 0.33] = 0
        people.append({"pose_keypoints_2d": points.ravel().round(2).tolist()})
    written(tmp_path / "in" / "a_0.json", frame())
    assert open_source(tmp_path / "in").description().get("joints") is None
    written(tmp_path / "in" / "a_1.json", frame(*people))
    assert open_source(tmp_path / "in").description()["joints"] == {"layout": name, "derived": []}


def test_ids_of_openpose(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    people = [[7, 7, 3], [7, -1, 2], [[4], [], None]]
    for number, ids in enumerate(people):
        written(folder / f"{number}.json", frame(*(person(person_id=i if type(i) is list else [i]) for i in ids)))
    made = open_source(folder).video(0)[0]
    assert made["track"].tolist() == [-1, -1, 3, 7, -1, 2, 4, -1, -1]


def test_numbers_of_frames_are_sorted_as_numbers(tmp_path: Path) -> None:
    for number in (9, 10, 1):
        written(tmp_path / "clip" / f"cam01.{number}.json", frame(person(score=number)))
    made = open_source(tmp_path / "clip").video(0)[0]
    assert made["frame_inds"].tolist() == [0, 8, 9]
    assert made["not_kept"] == "score"


def test_several_clips_in_a_folder_of_frames(tmp_path: Path) -> None:
    for name in ("cam1_0", "cam1_1", "cam2_0", "7"):
        written(tmp_path / "in" / "day" / f"{name}.json", frame(person()))
    source = open_source(tmp_path / "in")
    assert [source.video(i)[0]["frame_dir"] for i in range(3)] == ["day/_", "day/cam1", "day/cam2"]
    written(tmp_path / "in" / "day" / "cam1_01.json", frame(person()))
    written(tmp_path / "in" / "day" / "cam.json", frame(person()))
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "in")
    assert "day/cam1_01.json and day/cam1_1.json are both frame 1" in str(caught.value)
    assert "day/cam.json: its name states no frame; expected a number at the end of it" in str(caught.value)


def test_what_openpose_has_of_a_person_without_a_body_is_told(tmp_path: Path) -> None:
    written(tmp_path / "c" / "0.json", frame(person(), {"pose_keypoints_2d": [], "face_keypoints_2d": [1, 2, 3]}))
    written(tmp_path / "c" / "1.json", frame() | {"part_candidates": [{"0": [1]}]})
    made = open_source(tmp_path / "c").video(0)[0]
    assert made["not_kept"] == "face_keypoint without body, part_candidates"
    assert (made["empty_persons"], made["total_frames"]) == (1, 2)


WRONG_OPENPOSE: dict[str, tuple[object, str]] = {
    "not JSON": (b'{"people": [', r"is not JSON"),
    "a list": ([1], r"holds a list without a list 'people'; expected a frame of OpenPose"),
    "no people": ({"version": 1.3}, r"holds a dict without a list 'people'"),
    "a person": (frame(3), r"people\[0\] is 3; expected an object with pose_keypoints_2d"),  # type: ignore[arg-type]
    "an id": (frame(person(person_id=["a"])), r"people\[0\]\.person_id is 'a'; expected an integer"),
    "an id beyond": (frame(person(person_id=2**40)), r"the id is 1099511627776; expected 0 to"),
    "text": (frame({"pose_keypoints_2d": ["1"] * 75}), r"people\[0\]\[0\] is '1'; expected a number"),
    "two numbers": (frame({"pose_keypoints_2d": [1, 2]}), r"people\[0\] has 2 numbers of joints"),
    "a hand": (frame(person(hand_left_keypoints_2d=[1, 2])), r"people\[0\]\.hand_left_keypoint has 2 numbers"),
    "twice": (b'{"people": [], "people": []}', r"the key 'people' occurs twice"),
    "large": (b'{"people": [' + b" " * (9 << 20), r"more than 8,388,608 bytes"),
}


@pytest.mark.parametrize("name", WRONG_OPENPOSE)
def test_a_faulty_frame_of_openpose(tmp_path: Path, name: str) -> None:
    content, reason = WRONG_OPENPOSE[name]
    refused(written(tmp_path / "in" / "a_0.json", content), "openpose", reason, tmp_path)


# --- all


@given(
    st.binary(max_size=80) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps),
    st.sampled_from(TOOLS),
    st.sampled_from(
        [b"", b'{"data": [{"frame_index": 1, "skeleton": [', b'{"people": [{"pose_keypoints_2d": [', b"[{"]
    ),
)
@settings(max_examples=80)
def test_any_bytes_are_a_clip_or_an_error(data: bytes | str, tool: str, start: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = written(Path(place) / "a_1.json", start + (data if isinstance(data, bytes) else data.encode()))
        annotation: dict[str, Any] = {}
        said = ""
        try:
            annotation, _ = DIALECTS[tool].open(path, size="10x10").video(0)
        except SourceError as error:
            said = str(error)
        if said:
            assert said.startswith(str(path))
            assert "\n" not in said
        else:
            assert len(annotation["keypoint"]) == len(annotation["frame_inds"]) == len(annotation["box_score"])


def test_wrong_options(samples: Path) -> None:
    folder = samples / "alphapose"
    for options, reason in (
        ({"size": "1080"}, "size '1080'; expected HEIGHTxWIDTH in pixels, such as 1080x1920"),
        ({"size": "0x5"}, "size '0x5'; expected"),
        ({"first_frame": 2}, "first_frame 2; expected 0 or 1"),
        ({"dtype": "float16"}, "dtype 'float16'; expected one of float32, float64"),
    ):
        with pytest.raises(SourceError, match=reason):
            open_source(folder, **options)


def test_damaged_zip_files(samples: Path, tmp_path: Path) -> None:
    data = bytearray(zipped(samples / "alphapose", tmp_path / "a.zip").read_bytes())
    data[2000] ^= 255
    (tmp_path / "b.zip").write_bytes(data)

    def read() -> list[Any]:
        source = open_source(tmp_path / "b.zip", "alphapose")
        return [source.video(i) for i in range(len(source))]

    with pytest.raises(SourceError, match=r"b\.zip: clip000\.json: it is damaged in the zip file|is not JSON"):
        read()
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("../a.json", "[]")
    with pytest.raises(SourceError, match="is not the unique path of a file in it"):
        open_source(tmp_path / "c.zip", "alphapose")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("a.txt", "[]")
    with pytest.raises(SourceError, match=r"is a zip file without a \.json file"):
        open_source(tmp_path / "d.zip", "alphapose")


def real(real_folder: Path, name: str) -> Path:
    if not (real_folder / name).is_dir():
        pytest.skip(f"no folder {name} at {real_folder}: set SKELSTORE_REAL to a folder that has one")
    return real_folder / name


def opened(folder: Path, dialect: str, **options: Any) -> Source:
    source = open_source(folder, **options)
    assert source.dialect == dialect
    return source


def test_the_real_files(real_folder: Path) -> None:
    folder = real(real_folder, "alphapose")
    check_source(opened(folder, "alphapose"), of_alphapose(folder), {})
    folder = real(real_folder, "kinetics_skeleton")
    expected = of_kinetics_skeleton(folder, size=(256, 340), scaled=True)
    source = opened(folder, "kinetics-skeleton", size="256x340")
    check_source(source, [one | {"class_name": "flipping pancake"} for one in expected], {})
    for name in ("openpose", "openpose18"):
        folder = real(real_folder, name)
        made = of_openpose(folder)
        source = opened(folder, "openpose")
        check_source(source, made, {})
        assert source.description()["joints"]["layout"] == {"openpose": "body-25b", "openpose18": "openpose-18"}[name]
