"""Samples of MMPose, COCO, MediaPipe, YOLO pose and UAV-Human: exact values by a slow second way, stores, splits."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
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
from converters.conversion.source import Source
from converters.dialects.poses.coco import source as coco_source
from converters.dialects.registry import recorded_options
from converters.samples.pose_clips import POSE_CLIPS, SIZE, coco_like, mmpose_like, write_pose_clips
from skelstore.errors import SourceError
from tests.support import pose_clips
from tests.support.exact import assert_exact
from tests.support.pose_tools import Annotation, Found, annotation_of
from tests.support.source_contract import check_source

VIDEOS = 6
TEXT = f"{SIZE[0]}x{SIZE[1]}"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pose clips")
    write_pose_clips(folder, VIDEOS)
    return folder


def without_scores(found: list[Found], made: Annotation) -> Annotation:
    """The annotation, with the number of persons whose box_score is the mean."""
    means = sum(one.score is None for one in found)
    return made | ({"mean_box_scores": means} if means else {})


def mmpose(folder: Path) -> list[Annotation]:
    made = []
    for path in sorted(folder.rglob("*.json")):
        found, frames = pose_clips.mmpose(path)
        name = path.relative_to(folder).with_suffix("").as_posix()
        made.append({"frame_dir": name} | without_scores(found, annotation_of(found, frames=frames)))
    return made


def coco(folder: Path) -> list[Annotation]:
    made = []
    for name, (found, frames, size, total, empty) in pose_clips.coco(folder / "person_keypoints_default.json").items():
        annotation = annotation_of(found, frames=frames, size=size, total_frames=total)
        annotation |= {"empty_persons": empty} if empty else {}
        dropped = {"not_kept": "category_id, id, info" if not empty else "category_id, id, info, segmentation"}
        made.append({"frame_dir": name} | without_scores(found, annotation) | dropped)
    return made


def mediapipe(folder: Path) -> list[Annotation]:
    made = []
    for path in sorted(folder.glob("*.json")):
        found, frames = pose_clips.mediapipe(path)
        annotation = {"frame_dir": path.stem} | annotation_of(found, frames=frames, size=SIZE, scaled=True)
        made.append(annotation | ({"not_kept": "fps"} if b'"fps"' in path.read_bytes() else {}))
    return made


def yolo_pose(folder: Path) -> list[Annotation]:
    made = []
    for index in range(VIDEOS):
        name = f"labels/clip{index:03d}"
        behind = ("score",) * (index % 2) + ("id",) * (index % 4 > 1)
        files = sorted(folder.glob(f"{name}_*.txt"))
        found = sorted(pose_clips.yolo_pose(files, behind), key=lambda one: one.frame)
        annotation = annotation_of(found, frames={1}, size=SIZE, scaled=True)
        made.append({"frame_dir": name} | without_scores(found, annotation))
    return made


def uav_human(folder: Path) -> list[Annotation]:
    made = []
    for path in sorted(folder.glob("*.txt")):
        found, total = pose_clips.uav_human(path)
        label = int(path.stem.split("A")[1].split("R")[0])
        annotation = annotation_of(found, total_frames=total, size=SIZE, first=0)
        made.append({"frame_dir": path.stem, "label": label} | annotation)
    return made


EXPECTED: dict[str, tuple[Callable[[Path], list[Annotation]], dict[str, Any]]] = {
    "mmpose": (mmpose, {}),
    "coco": (coco, {}),
    "mediapipe": (mediapipe, {"size": TEXT}),
    "yolo-pose": (yolo_pose, {"size": TEXT}),
    "uav-human": (uav_human, {"size": TEXT}),
}


def splits_of(source: Source) -> dict[str, list[str]]:
    """The splits of UAV-Human; the others have none."""
    if source.dialect != "uav-human":
        return {}
    names = [f"P{i:03d}" for i in range(VIDEOS)]
    files = [
        name for wanted in names for name in (source.video(i)[0]["frame_dir"] for i in range(VIDEOS)) if wanted in name
    ]
    first, second = {0, 2, 5}, {0, 3, 4, 5}
    return {
        f"{split}_{part}": [files[i] for i in range(VIDEOS) if (i in train) is (part == "train")]
        for split, train in (("xsub1", first), ("xsub2", second))
        for part in ("train", "val")
    }


@pytest.mark.parametrize("tool", EXPECTED)
def test_the_contract(samples: Path, tool: str) -> None:
    make, options = EXPECTED[tool]
    source = open_source(samples / tool, **options)
    assert source.dialect == tool
    check_source(source, make(samples / tool), splits_of(source))


@pytest.mark.parametrize("tool", EXPECTED)
def test_a_zip_file_of_the_same_files(samples: Path, tool: str, tmp_path: Path) -> None:
    make, options = EXPECTED[tool]
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", samples / tool)
    with closing(open_source(packed, **options)) as source:
        assert source.dialect == tool
        found = [source.video(i)[0] for i in range(len(source))]
    assert_exact(found, make(samples / tool))


@pytest.mark.parametrize("tool", EXPECTED)
def test_float64_keeps_every_digit(samples: Path, tool: str) -> None:
    _, options = EXPECTED[tool]
    with closing(open_source(samples / tool, dtype="float64", **options)) as source:
        double, _ = source.video(1)
    with closing(open_source(samples / tool, **options)) as source:
        single, _ = source.video(1)
    field = "box" if tool == "coco" else "keypoint"  # its joints are integers
    assert double["keypoint"].dtype == double[field].dtype == np.float64
    assert not (double[field] == single[field]).all()
    assert_exact(double[field].astype(np.float32), single[field])


@pytest.mark.parametrize("tool", POSE_CLIPS)
def test_a_store_and_its_verification(samples: Path, tool: str, tmp_path: Path, run: Any) -> None:
    options = EXPECTED.get(tool, (None, {}))[1]
    arguments = [f"--{name}={value}" for name, value in options.items()]
    done = run("convert", samples / tool, tmp_path / "s.zarr", "--workers=1", *arguments)
    assert done.status == 0, done.err
    assert "note: " in done.err + done.out or tool == "videopose3d"
    with skelstore.open(tmp_path / "s.zarr") as store:
        assert store.source["dialect"] == tool
        assert store.joints.layout is not None
        assert store.joints.layout.name == ("mediapipe-33" if tool == "mediapipe" else "coco-17")
        assert recorded_options(store.source).items() >= options.items()
        if tool != "videopose3d":
            dense = store.decompressed()[0]
            assert dense["keypoint"].shape[1] == dense["total_frames"]
    done = run("verify", tmp_path / "s.zarr", "--against", samples / tool)
    assert done.status == 0, done.err


def test_labels_from_folders_and_from_a_table(samples: Path, tmp_path: Path) -> None:
    converters.convert(samples / "mmpose", tmp_path / "folders.zarr", label_by="folders", workers=1)
    with skelstore.open(tmp_path / "folders.zarr") as store:
        assert store.class_names == ["clap", "jump", "wave"]
        assert store["wave/clip002"]["label"] == 2
    converters.convert(samples / "mediapipe", tmp_path / "table.zarr", table=samples / "mediapipe.csv", workers=1)
    with skelstore.open(tmp_path / "table.zarr") as store:
        assert store.class_names == ["clap", "jump", "wave"]
        assert store.splits == {"train": [f"clip{i:03d}" for i in (0, 1, 2, 4, 5)], "val": ["clip003"]}
        assert store["clip001"]["img_shape"] == SIZE


@pytest.mark.parametrize("tool", ["mediapipe", "yolo-pose"])
def test_fractions_need_a_size(samples: Path, tool: str) -> None:
    with closing(open_source(samples / tool)) as source, pytest.raises(SourceError, match="--size HEIGHTxWIDTH"):
        source.video(0)


def test_results_in_cocos_form_are_one_clip(tmp_path: Path) -> None:
    path = tmp_path / "dance.json"
    results = coco_like(1, annotated=False)
    path.write_text(json.dumps(results))
    with pytest.raises(SourceError, match="--from coco"):
        open_source(path)
    found = [
        Found(one["image_id"], [one["keypoints"][i : i + 3] for i in range(0, 51, 3)], one["score"])
        for one in results
        if any(one["keypoints"])
    ]
    expected = {"frame_dir": "dance"} | annotation_of(found) | {"not_kept": "category_id"}
    check_source(open_source(path, "coco"), [expected], {})


def test_the_same_seed_gives_the_same_samples(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_pose_clips(tmp_path / name, 2, seed)
    texts = {
        name: {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.json")}
        for name in "abc"
    }
    assert texts["a"] == texts["b"]
    assert texts["a"].keys() == texts["c"].keys()
    assert texts["a"] != texts["c"]
    assert {type(mmpose_like(i)) for i in range(3)} == {dict, list}


def test_a_damaged_zip_file_is_named(samples: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", samples / "uav-human"))
    with zipfile.ZipFile(packed) as archive:
        offset = archive.infolist()[0].header_offset
    data = bytearray(packed.read_bytes())
    data[offset + 120 : offset + 160] = bytes(40)
    packed.write_bytes(data)
    with pytest.raises(SourceError, match=r"packed\.zip: P.*\.txt: it is damaged in the zip file"):
        open_source(packed)
    with (
        closing(open_source(packed, "uav-human")) as source,
        pytest.raises(SourceError, match="damaged in the zip file"),
    ):
        list(map(source.video, range(len(source))))


NUMBERS_OF_COCO = st.sampled_from([0, 1, 2, 3.5, 640, -1, True, None, "1", 10**400, [1]])


@given(st.data())
@settings(max_examples=60)
def test_annotations_are_read_many_at_once_as_they_are_one_by_one(data: st.DataObject) -> None:
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(3)]
    annotations: list[dict[str, Any]] = []
    for i in range(data.draw(st.integers(1, 5))):
        row = [10 + i, 20.5, data.draw(st.integers(0, 2))] * 2
        annotation = {"image_id": i % 3, "keypoints": row, "bbox": [1, 2, 3, 4], "track_id": i, "score": 0.5}
        annotations.append(annotation)
        match data.draw(st.integers(0, 8)):
            case 0:
                row[data.draw(st.integers(0, 5))] = data.draw(NUMBERS_OF_COCO)
            case 1:
                annotation[data.draw(st.sampled_from(["score", "track_id", "bbox", "note", "keypoints"]))] = data.draw(
                    NUMBERS_OF_COCO | st.just([]) | st.just([1, 2, 3]) | st.just([0] * 6) | st.just([[1, 2, 2]] * 2)
                )
            case 2:
                del annotation[data.draw(st.sampled_from(["score", "track_id", "bbox"]))]
    content = {"images": images, "annotations": annotations} if data.draw(st.booleans()) else annotations
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        path.write_text(json.dumps(content))
        for together in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                if not together:
                    patch.setattr(coco_source, "add_block", lambda *_, **__: False)
                try:
                    with closing(open_source(path, "coco")) as source:
                        results.append(show_bytes(source.video(0)[0]))
                except SourceError as error:
                    results.append(str(error))
    assert results[0] == results[1]


def show_bytes(annotation: dict[Any, Any]) -> list[Any]:
    return [(key, value.tobytes() if isinstance(value, np.ndarray) else value) for key, value in annotation.items()]


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ('{"image_id": 1, "keypoints": []}', 1),
        ('{"keypoints": [], "meta": {"image_id": 2}, "image_id": 1}', 1),
        ('{"image\\u005fid": 1, "keypoints": []}', 1),
        ('{"note": "\\"image_id\\": 2,", "image_id" : 1 , "keypoints": []}', 1),
        ('{"image_id": [1], "keypoints": []}', None),
        ('{"image_id": true, "keypoints": []}', None),
        ('{"image_id": 1.5, "keypoints": []}', None),
        ('{"images": 1, "keypoints": []}', None),
        ("[1]", None),
        ("{1}", None),
    ],
)
def test_the_image_of_an_annotation(text: str, images: int | None, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '{"images": [{"id": 1, "file_name": "a/1.jpg"}, {"id": 2, "file_name": "b/1.jpg"}], '
        f'"annotations": [{text}]}}'
    )
    if images is None:
        with pytest.raises(SourceError, match=r"annotations\[0\]"):
            open_source(path, "coco")
        return
    with closing(open_source(path, "coco")) as source:
        assert [source.video(i)[0].get("empty_persons") for i in (0, 1)] == [1, None]
