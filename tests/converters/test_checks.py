"""What a check finds: each defect by itself, in real and sample files; the numeric checks against slow loops."""

from __future__ import annotations

import copy
import json
import math
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import skelstore
from converters import convert, samples
from converters.checks.dataset import MODELS, Videos, check, opened_for_check
from converters.checks.problems import KINDS, SHOWN, Report
from converters.checks.swaps import FOUND, LEAST_JUMP, NEARER, find_swaps
from converters.checks.video import video_problems
from converters.dialects import ntu
from converters.samples.skeletons import write_skeletons
from skelstore.errors import SourceError, StoreError
from skelstore.joints import stated
from tests.support.contracts import write
from tests.support.repository import REPOSITORY
from tests.support.source_contract import dump, load

Annotation = dict[Any, Any]


def clean(count: int = 6) -> dict[str, Any]:
    """A data set without any problem: 2D, scores, labels 0 to 2, two splits."""
    random = np.random.default_rng(3)
    annotations = []
    for i in range(count):
        frames = 5 + i
        keypoint = random.uniform(10, 300, (2, frames, 17, 2)).astype(np.float16)
        annotations.append(
            {
                "frame_dir": f"clip{i}",
                "label": i % 3,
                "img_shape": (320, 570),
                "original_shape": (320, 570),
                "total_frames": frames,
                "keypoint": keypoint,
                "keypoint_score": random.uniform(0.5, 1, (2, frames, 17)).astype(np.float16),
            }
        )
    names = [annotation["frame_dir"] for annotation in annotations]
    return {"split": {"train": names[:4], "val": names[4:]}, "annotations": annotations}


ALL = [f"clip{i}" for i in range(6)]


def clean_compressed(count: int = 4) -> dict[str, Any]:
    """The same in the form of Kinetics: rows of detections, with boxes and ``valid``."""
    random = np.random.default_rng(4)
    data: dict[str, Any] = {"split": {"train": [f"clip{i}" for i in range(count)]}, "annotations": []}
    for i in range(count):
        frame_inds = np.repeat(np.arange(1, 9, 2, dtype=np.int16), 2)
        box_score = np.array([0.9375, 0.5, 0.75, 0.625, 0.875, 0.5, 0.5, 0.25], np.float16)
        data["annotations"].append(
            {
                "frame_dir": f"clip{i}",
                "label": i % 2,
                "img_shape": (320, 570),
                "total_frames": 8,
                "frame_inds": frame_inds,
                "box_score": box_score,
                "valid": {t: len(set(frame_inds[box_score >= t].tolist())) for t in (0.5, 0.6, 0.7)},
                "keypoint": random.uniform(10, 300, (8, 17, 3)).astype(np.float32),
            }
        )
    return data


def clean_3d() -> dict[str, Any]:
    data = clean()
    for annotation in data["annotations"]:
        frames = annotation["total_frames"]
        annotation["keypoint"] = np.random.default_rng(1).normal(size=(2, frames, 25, 3))
        del annotation["keypoint_score"], annotation["img_shape"]
    return data


def checked(data: dict[str, Any] | list[Any], model: Any = None, **known: Any) -> Report:
    annotations = data["annotations"] if isinstance(data, dict) else data
    splits = data.get("split", {}) if isinstance(data, dict) else {}
    videos = Videos(Path("a.pkl"), len(annotations), annotations.__getitem__, "annotations[{}]".format, splits, **known)
    return check(videos, model)


def kinds(report: Report) -> dict[str, int]:
    return {kind: tally.count for kind, tally in report.problems.items()}


def test_clean_data_have_no_problem() -> None:
    for model in (None, *MODELS):
        assert kinds(checked(clean(), model)) == {}
        assert kinds(checked(clean_compressed(), model)) == ({"stgcn-untracked": 4} if model == "stgcn" else {})
    assert kinds(checked(clean_3d(), "stgcn")) == {}
    assert kinds(checked(clean_3d())) == {}


# ------------------------------------------------------------------------- one defect, one kind of problem


def set_values(array: str, place: Any, value: float) -> Callable[[Annotation], None]:
    def change(annotation: Annotation) -> None:
        annotation[array][place] = value

    return change


def put(key: str, value: Any) -> Callable[[Annotation], None]:
    return lambda annotation: annotation.__setitem__(key, value)


def remake(key: str, make: Callable[[Any], Any]) -> Callable[[Annotation], None]:
    return lambda annotation: annotation.__setitem__(key, make(annotation[key]))


def drop(key: str) -> Callable[[Annotation], None]:
    return lambda annotation: annotation.__delitem__(key)


def no_person(annotation: Annotation) -> None:
    for key in ("keypoint", "keypoint_score"):
        annotation[key] = annotation[key][:0]


def no_frame(annotation: Annotation) -> None:
    no_frames = {key: annotation[key][:, :0] for key in ("keypoint", "keypoint_score")}
    annotation.update(no_frames, total_frames=0)


def swapped(annotation: Annotation) -> None:
    annotation["img_shape"] = (570, 320)
    annotation["keypoint"][..., 0] += 250


def swap_rows(annotation: Annotation) -> None:
    """Two persons who hardly move and change rows in one frame."""
    for key in ("keypoint", "keypoint_score"):
        annotation[key][:, 1:] = annotation[key][:, :1]
        annotation[key][:, 3] = annotation[key][::-1, 3]


def eleven_joints(annotation: Annotation) -> None:
    for key in ("keypoint", "keypoint_score"):
        annotation[key] = annotation[key][:, :, :11]


def twenty_five_joints(annotation: Annotation) -> None:
    for key in ("keypoint", "keypoint_score"):
        annotation[key] = np.concatenate([annotation[key], annotation[key][:, :, :8]], axis=2)


DENSE_DEFECTS: list[tuple[str, Callable[[Annotation], None]]] = [
    ("keypoint-missing", drop("keypoint")),
    ("keypoint-missing", put("keypoint", None)),
    ("keypoint-shape", put("keypoint", [[1, 2]])),
    ("keypoint-shape", remake("keypoint", lambda points: points[0])),
    ("keypoint-shape", remake("keypoint", lambda points: points[..., :1])),
    ("keypoint-shape", remake("keypoint", lambda points: points > 0)),
    ("joints-mixed", eleven_joints),
    ("total-frames", put("total_frames", 150)),
    ("total-frames", remake("total_frames", lambda total: total - 1)),
    ("total-frames", drop("total_frames")),
    ("total-frames", remake("total_frames", float)),
    ("score-shape", remake("keypoint_score", lambda score: score[:1])),
    ("score-shape", remake("keypoint_score", lambda score: score[..., None])),
    ("score-shape", put("keypoint_score", 0.9)),
    ("not-finite", set_values("keypoint", (1, 2, 3, 0), math.nan)),
    ("not-finite", set_values("keypoint", (1, 2, 3, 1), -math.inf)),
    ("not-finite", set_values("keypoint_score", (0, 0, 0), math.inf)),
    ("no-person", no_person),
    ("no-frame", no_frame),
    ("empty-video", set_values("keypoint", ..., 0)),
    ("empty-frame", set_values("keypoint", (slice(None), 3), 0)),
    ("empty-person", set_values("keypoint", 1, 0)),
    ("persons-swapped", swap_rows),
    ("fractions", remake("keypoint", lambda points: points / np.array([570, 320], np.float16))),
    ("fractions", remake("keypoint", lambda points: points / np.array([280, 160], np.float16) - 1)),
    ("img-shape", put("img_shape", (320,))),
    ("img-shape", put("img_shape", (320, 570, 3))),
    ("img-shape", put("img_shape", (320, 0))),
    ("img-shape", put("img_shape", "320x570")),
    ("img-shape", put("img_shape", (320.0, 570.0))),
    ("img-shape-swapped", swapped),
    ("outside", set_values("keypoint", (0, 1, 2, 0), -1)),
    ("outside", set_values("keypoint", (0, 1, 2, 1), 321)),
    ("outside", put("img_shape", (100, 100))),
    ("label-missing", drop("label")),
    ("label-missing", put("label", None)),
    ("label-type", put("label", "walk")),
    ("label-type", put("label", 1.0)),
    ("label-type", put("label", [1, "walk"])),
    ("label-type", put("label", {"a": 1})),
    ("label-type", put("label", True)),
    ("label-range", put("label", -1)),
    ("label-range", put("label", [0, -1])),
    ("label-gap", put("label", 4)),
]
"""Kind of problem -> the change to one annotation of the clean data that causes it."""
COMPRESSED_DEFECTS: list[tuple[str, Callable[[Annotation], None]]] = [
    ("keypoint-shape", drop("frame_inds")),
    ("keypoint-shape", remake("keypoint", lambda points: points[..., :2])),
    ("total-frames", drop("total_frames")),
    ("not-finite", set_values("keypoint", (3, 4, 2), math.nan)),
    ("empty-video", set_values("keypoint", (..., slice(2)), 0)),
    ("empty-person", set_values("keypoint", 3, 0)),
    ("frame-inds", remake("frame_inds", lambda inds: inds.astype(float))),
    ("frame-inds-order", remake("frame_inds", lambda inds: inds[[2, 3, 0, 1, 4, 5, 6, 7]])),
    ("frame-inds-range", put("total_frames", 6)),
    ("frame-inds-range", remake("frame_inds", lambda inds: inds - 2)),
    ("box-score", remake("box_score", lambda score: score[:-1])),
    ("box-score", put("box_score", [0.5] * 8)),
    ("valid", put("valid", {0.5: 2})),
    ("valid", put("valid", {0.5: 4.0})),
    ("outside", set_values("keypoint", (0, 2, 0), 571)),
]


@pytest.mark.parametrize(("kind", "change"), DENSE_DEFECTS)
def test_a_defect_is_found_and_nothing_else(kind: str, change: Callable[[Annotation], None]) -> None:
    data = clean()
    change(data["annotations"][1])
    assert_only(checked(data), kind, "clip1", "annotations[1]")


@pytest.mark.parametrize(("kind", "change"), COMPRESSED_DEFECTS)
def test_a_defect_of_compressed_data(kind: str, change: Callable[[Annotation], None]) -> None:
    data = clean_compressed()
    change(data["annotations"][1])
    assert_only(checked(data), kind, "clip1", "annotations[1]")


def assert_only(report: Report, kind: str, name: str | None, place: str) -> None:
    assert kinds(report) == {kind: 1}
    (example,) = report.problems[kind].examples
    if kind != "label-gap":
        assert example[:2] == (name, place)
    assert example.found
    severe = KINDS[kind].severity == "error"
    assert (report.errors, report.warnings) == ((1, 0) if severe else (0, 1))
    text = "\n".join(report.lines())
    assert KINDS[kind].remedy in text
    assert json.loads(json.dumps(report.to_json()))["problems"][0]["kind"] == kind


@pytest.mark.parametrize(
    ("kind", "count", "splits"),
    [
        ("split-unknown", 2, {"train": ["clip0", "nobody", 7]}),
        ("split-form", 1, {"train": "clip0"}),
        ("split-repeated", 2, {"train": ["clip0", "clip0", "clip1", "clip0"]}),
        ("split-overlap", 2, {"train": ["clip0", "clip1", "clip2"], "val": ["clip2", "clip1"]}),
        ("split-overlap", 1, {"fold1_train": ["clip0"], "fold1_test": ["clip0"], "fold2_test": ["clip0"]}),
        ("split-overlap", 1, {"train1": ["clip0"], "test1": ("clip0",)}),
        ("split-shared", 1, {"XSub_val": ["clip0"], "xsub_test": np.array(["clip0"])}),
    ],
)
def test_a_defect_of_the_splits(kind: str, count: int, splits: dict[Any, Any]) -> None:
    assert kinds(checked({**clean(), "split": {**splits, "all": ALL}})) == {kind: count}


def test_videos_that_no_split_names() -> None:
    report = checked({**clean(9), "split": {"train": ["clip0"], "val": {"clip3": 1}, "odd": "clip1"}})
    assert kinds(report) == {"split-form": 1, "split-none": 7}
    assert report.problems["split-none"].examples[0] == ("clip1", "annotations[1]", "in none of 3 splits")
    assert len(report.problems["split-none"].examples) == SHOWN
    for splits in ({}, {"train": []}, {"train": 5}):
        assert "split-none" not in kinds(checked({**clean(), "split": splits})), "nothing is split yet"


def test_merged_videos_without_a_split_are_found(tmp_path: Path) -> None:
    data, more = clean(), clean(2)["annotations"]
    for annotation in more:
        annotation["frame_dir"] += " of mine"
    first = write(tmp_path / "a.zarr", data["annotations"], data["split"])
    skelstore.merge([first, write(tmp_path / "b.zarr", more)], tmp_path / "both.zarr")
    with opened_for_check(tmp_path / "both.zarr") as videos:
        report = check(videos)
    assert kinds(report) == {"split-none": 2}
    assert report.problems["split-none"].examples[0][:2] == ("clip0 of mine", "video 6")


def test_no_video_is_an_error() -> None:
    for data in ([], {"split": {}, "annotations": []}):
        report = checked(data)
        assert (kinds(report), report.errors) == ({"no-video": 1}, 1)


@pytest.mark.parametrize(
    "splits",
    [
        {"xsub_train": ["clip0"], "xview_val": ["clip0"], "train": ["clip0"], "trainval": ["clip0"]},
        {"train1": ["clip0"], "test2": ["clip0"], "mini": ["clip0"]},
        {"train": [], "val": {"clip0": 1}},
    ],
)
def test_splits_of_different_protocols_may_overlap(splits: dict[Any, Any]) -> None:
    assert kinds(checked({**clean(), "split": {**splits, "all": ALL}})) == {}


def test_exchanged_axes_are_named() -> None:
    data = clean()
    for annotation in data["annotations"][1:]:
        for key in ("keypoint", "keypoint_score"):
            annotation[key] = np.swapaxes(annotation[key], 0, 1)
    found = checked(data).problems["total-frames"].examples
    assert found[0].found == "total_frames is 6, but T is 2, and M is as large: the axes M and T look swapped"


def test_names() -> None:
    data = clean()
    data["annotations"][4]["frame_dir"] = "clip1"
    report = checked(data)
    assert kinds(report) == {"duplicate-name": 1, "split-unknown": 1}
    example = ("clip1", "annotations[4]", "annotations[1] has the same frame_dir")
    assert report.problems["duplicate-name"].examples == [example]
    for frame_dir, splits, found in [(..., {"train": [ALL[0], *ALL[2:]]}, 1), (..., {}, 0), (7, {}, 1), (None, {}, 1)]:
        data = {**clean(), "split": splits}
        data["annotations"][1]["frame_dir"] = frame_dir
        if frame_dir is ...:
            del data["annotations"][1]["frame_dir"]
        assert kinds(checked(data)) == ({"name-missing": 1} if found else {})
    data = clean()
    for annotation in data["annotations"]:  # PYSKL matches filename if the first video has one
        annotation["filename"], annotation["frame_dir"] = annotation["frame_dir"], "undefined"
    assert kinds(checked(data)) == {}


def test_labels_of_a_whole_data_set() -> None:
    data = clean()
    for annotation in data["annotations"]:
        del annotation["label"]
    assert kinds(checked(data)) == {"labels-none": 1}
    data = clean()
    for annotation in data["annotations"]:
        annotation["label"] += 1
    report = checked(data)
    assert kinds(report) == {"label-gap": 1}
    assert "1 below it missing, first 0" in report.problems["label-gap"].examples[0].found
    assert kinds(checked(clean(), class_names=["a", "b"])) == {"label-range": 2}
    assert kinds(checked(clean(), class_names=["a", "b", "c"])) == {}
    huge = clean()
    huge["annotations"][0]["label"] = 2**70
    assert kinds(checked(huge)) == {"label-range": 1}


def test_joints_against_what_was_stated(tmp_path: Path) -> None:
    data = clean()
    source = {"dialect": "writer", "joints": stated("body-25", [])}
    write(tmp_path / "a.zarr", data["annotations"], data["split"], source=source)
    with opened_for_check(tmp_path / "a.zarr") as videos:
        assert kinds(check(videos)) == {"joints-layout": 6}


def three_persons(annotation: dict[str, Any]) -> None:
    for key in ("keypoint", "keypoint_score"):
        annotation[key] = np.concatenate([annotation[key], annotation[key][:1], annotation[key][:1]])[:3]


def three_dimensional(annotation: Annotation) -> None:
    """2D data with a z."""
    points = annotation["keypoint"]
    annotation["keypoint"] = np.concatenate([points, points[..., :1]], axis=3)


@pytest.mark.parametrize(
    ("model", "kind", "make", "change"),
    [
        ("posec3d", "posec3d-3d", clean, three_dimensional),
        ("posec3d", "posec3d-img-shape", clean, drop("img_shape")),
        ("posec3d", "posec3d-score", clean, drop("keypoint_score")),
        ("posec3d", "posec3d-joints", clean, eleven_joints),
        ("stgcn", "stgcn-joints", clean, eleven_joints),
        ("stgcn", "stgcn-graph", clean, twenty_five_joints),
        ("stgcn", "stgcn-persons", clean_3d, remake("keypoint", lambda points: np.concatenate([points, points]))),
        ("stgcn", "stgcn-cut", clean, three_persons),
        ("stgcn", "stgcn-untracked", clean_compressed, put("frame_inds", np.array([1, 1, 1, 3, 4, 5, 6, 7]))),
        ("stgcn", "stgcn-score", clean, drop("keypoint_score")),
        ("stgcn", "stgcn-score", clean, three_dimensional),
        ("stgcn", "stgcn-img-shape", clean, drop("img_shape")),
    ],
)
def test_what_a_model_needs(
    model: Any, kind: str, make: Callable[[], dict[str, Any]], change: Callable[[Annotation], None]
) -> None:
    data = make()
    for annotation in data["annotations"]:
        annotation.pop("valid", None)  # it would have to follow frame_inds
        change(annotation)
    assert kinds(checked(data)) == {}
    assert kinds(checked(data, model)) == {kind: len(data["annotations"])}


def test_every_kind_has_a_test_and_a_place_in_the_documents() -> None:
    text = (REPOSITORY / "docs" / "checking.md").read_text()
    tests = Path(__file__).read_text()
    for kind, about in KINDS.items():
        assert f'"{kind}"' in tests, kind
        ((severity, title, remedy),) = re.findall(rf"^\| `{kind}` \| (\w+) \| (.*) \| (.*) \|$", text, re.M)
        assert severity == about.severity, kind
        # A title may begin with a field, which is code and stays in lower case; details may follow the title.
        expected = about.title if title.startswith("`") else about.title[0].upper() + about.title[1:]
        assert title.replace("`", "").startswith(f"{expected}."), kind
        assert remedy == about.remedy[0].upper() + about.remedy[1:], kind
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \| \w+ \|", text, re.M)) == set(KINDS)


# ------------------------------------------------------------------------------------------ all at once


def test_all_problems_at_once_with_the_first_names() -> None:
    data = clean(40)
    for annotation in data["annotations"][10:]:
        annotation["total_frames"] = 1
        annotation["keypoint_score"] = np.ones(3)
    report = checked(data)
    assert kinds(report) == {"total-frames": 30, "score-shape": 30}
    assert [example.name for example in report.problems["total-frames"].examples] == [f"clip{10 + i}" for i in range(5)]
    assert report.lines()[-1] == "a.pkl: 40 videos, 60 errors, 0 warnings"
    assert SHOWN == 5


def test_memory_does_not_grow_with_problems_or_videos() -> None:
    """4,000 more bad videos take a few bytes each: only a digest, a position and a label are kept of a video."""
    bad = {"frame_dir": "x", "label": 0, "keypoint": np.full((1, 50, 17, 2), math.nan), "total_frames": 3}

    def videos(count: int) -> Videos:
        return Videos(Path("a"), count, lambda i: {**bad, "frame_dir": f"clip{i}"}, str, {})

    check(videos(10))
    peaks = []
    for count in (500, 4_500):
        tracemalloc.start()
        assert kinds(check(videos(count)))["not-finite"] == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 4_000 * 120


def test_a_video_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    for annotation in clean()["annotations"]:
        dump(folder / f"{annotation['frame_dir']}.pkl", annotation)
    (folder / "clip1.pkl").write_bytes(b"\x80\x04nothing")
    with opened_for_check(folder) as videos:
        report = check(videos)
    assert kinds(report) == {"unreadable": 1}
    assert "clip1.pkl" in report.problems["unreadable"].examples[0].found
    for file in folder.iterdir():
        if file.name != "clip1.pkl":
            annotation = load(file)
            del annotation["label"]
            dump(file, annotation)
    with opened_for_check(folder) as videos:
        assert kinds(check(videos)) == {"unreadable": 1, "labels-none": 1}


def test_a_damaged_store_is_a_problem(tmp_path: Path) -> None:
    data = clean()
    path = write(tmp_path / "a.zarr", data["annotations"], data["split"])
    (shard,) = (path / "keypoint").glob("c.*")
    damaged = bytearray(shard.read_bytes())
    damaged[5] ^= 255
    shard.write_bytes(damaged)
    with opened_for_check(path) as videos:
        report = check(videos)
    assert kinds(report) == {"unreadable": len(report.problems["unreadable"].examples)}, "their ids can be read"
    example = report.problems["unreadable"].examples[0]
    assert example.name == "clip0"
    assert "c.0" in example.found


@pytest.mark.parametrize("damaged", ["label", "frame_dir"])
def test_a_store_of_which_nothing_can_be_read_is_reported(tmp_path: Path, damaged: str) -> None:
    """Labels or names that are arrays are in shards, too."""
    annotations = [{"frame_dir": "twice", **one} for one in clean()["annotations"]]
    for annotation in annotations:
        annotation |= {"frame_dir": "twice", damaged: np.arange(500.0)}
    path = write(tmp_path / "a.zarr", annotations)
    for shard in (*(path / "keypoint").glob("c.*"), *(path / damaged).glob("c.*")):
        shard.write_bytes(bytes(shard.stat().st_size))
    with opened_for_check(path) as videos:
        report = check(videos)
    expected = {"unreadable": 6} | ({"duplicate-name": 5} if damaged == "label" else {})
    assert kinds(report) == expected
    assert report.problems["unreadable"].examples[0].name == ("twice" if damaged == "label" else None)


def test_own_data_are_checked_with_their_table(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in "ab":
        np.save(tmp_path / "clips" / f"{name}.npy", np.ones((4, 17, 2)))
    table = tmp_path / "t.csv"
    table.write_text("path,label,split\na.npy,0,train\nb.npy,-1,train\n")
    with opened_for_check(tmp_path / "clips", table=table) as videos:
        assert list(videos.splits) == ["train"]
        assert kinds(check(videos)) == {"label-range": 1}


def test_raw_ntu_is_checked_as_a_recipe_makes_it(tmp_path: Path) -> None:
    names = [f"S001C00{i}P001R001A001" for i in (1, 2, 3)]
    write_skeletons(tmp_path / "ntu", names)
    (tmp_path / "ntu" / f"{names[1]}.skeleton").write_bytes(b"2\n0\n0\n")
    with (
        pytest.raises(
            SourceError,
            match=r"raw NTU RGB\+D data, which no pipeline accepts: check it with --recipe pyskl or mmaction2",
        ),
        opened_for_check(tmp_path / "ntu"),
    ):
        pass
    ntu.convert(tmp_path / "ntu", tmp_path / "raw.zarr", workers=1)
    with (
        pytest.raises(
            SourceError, match=r"raw\.zarr has raw NTU RGB\+D data, .*check the store that `skelstore derive`"
        ),
        opened_for_check(tmp_path / "raw.zarr"),
    ):
        pass
    with opened_for_check(tmp_path / "ntu", recipe="pyskl") as videos:
        report = check(videos)
    assert kinds(report) == {"left-out": 1}, "its id is not reported as missing"
    assert report.problems["left-out"].examples[0] == (names[1], f"{names[1]}.skeleton", "no frame has a body")
    with opened_for_check(tmp_path / "ntu", recipe="pyskl", ignore=[names[1]]) as videos:
        assert kinds(check(videos)) == {}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("label-range", put("label", 10**5000)),
        ("total-frames", put("total_frames", 10**5000)),
        ("img-shape", put("img_shape", (10**5000, 1))),
        ("img-shape", put("img_shape", (10**400, 10**400))),
        ("img-shape", put("img_shape", (2**31, 1))),
    ],
)
def test_numbers_of_more_digits_than_python_writes(kind: str, change: Callable[[Annotation], None]) -> None:
    data = clean(1)
    data["split"] = {"a": ["clip0"]}
    change(data["annotations"][0])
    report = checked(data)
    assert kinds(report) == {kind: 1}
    assert len(report.lines()[1]) < 200


def test_long_numbers_in_splits_and_counts() -> None:
    data = clean()
    data["split"] = {10**5000: [*ALL, 10**5000]}
    assert kinds(checked(data)) == {"split-unknown": 1}
    data = clean_compressed(1)
    data["annotations"][0]["valid"] = {0.5: 10**5000, 10**5000: 1}
    assert kinds(checked(data)) == {"valid": 1}
    assert kinds(checked(clean(), left_out=[(10**5000, "why")])) == {}


def test_the_source_of_a_store_may_hold_anything(tmp_path: Path) -> None:
    for i, left_out in enumerate([5, [5], [{}], {"a": 1}]):
        path = write(tmp_path / f"{i}.zarr", clean()["annotations"], source={"left_out": left_out})
        with pytest.raises(StoreError, match="left out is not as the format says"), opened_for_check(path):
            pass


def test_missing_kpfiles_are_problems(tmp_path: Path) -> None:
    samples.write_samples(tmp_path, 12, videos_a_file=4)
    toc = tmp_path / "k400" / "k400_hrnet.pkl"
    (tmp_path / "k400" / "kpfiles" / "k400_001.pkl").unlink()
    with opened_for_check(toc, kpfiles=tmp_path / "k400" / "kpfiles") as videos:
        report = check(videos)
    assert report.problems["skeletons-missing"].count == 4
    assert report.errors == 4, "ids of videos that are left out are not reported again"
    with opened_for_check(toc) as videos:
        assert kinds(check(videos))["keypoint-missing"] == 12


# ------------------------------------------------------------------------------------- samples and real files


@pytest.fixture(scope="module")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checked")
    samples.write_samples(folder, 40)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("ntu60_hrnet.pkl", "ntu60_3d.pkl", "gym_list.pkl", "compressed_list.pkl", "one"),
        *("k400/k400_hrnet.pkl", "k400_mmaction/k400_2d.pkl"),
    ],
)
def test_samples_have_no_errors(sample_folder: Path, name: str) -> None:
    kpfiles = (sample_folder / name).parent / "kpfiles"
    model: Any = "stgcn" if "3d" in name else "posec3d"
    with opened_for_check(sample_folder / name, kpfiles=kpfiles if kpfiles.is_dir() else None) as videos:
        assert len(videos) == 40
        report = check(videos, model)
    assert set(kinds(report)) <= {"label-gap", "empty-frame", "outside"}, report.lines()


def test_real_hrnet_annotations(real_file: Callable[[str], Path]) -> None:
    with opened_for_check(real_file("annotations/hrnet_11_joints.pkl")) as videos:
        report = check(videos)
    assert kinds(report) == {"empty-frame": 28, "outside": 8, "label-gap": 1}
    with opened_for_check(real_file("annotations/hrnet_11_joints.pkl")) as videos:
        assert kinds(check(videos, "stgcn"))["stgcn-joints"] == 486


def test_real_table_of_contents(real_file: Callable[[str], Path]) -> None:
    """In nine entries ``valid`` differs because box scores were rounded to float16: no problem."""
    with opened_for_check(real_file("annotations/k400_toc_100.pkl")) as videos:
        report = check(videos)
    assert kinds(report) == {"keypoint-missing": 100, "label-gap": 1}


def test_real_single_annotation(real_file: Callable[[str], Path]) -> None:
    with opened_for_check(real_file("annotations/single_annotation.pkl")) as videos:
        assert kinds(check(videos)) == {"label-type": 1, "outside": 1}


# ------------------------------------------------------------- scores that are given as the third coordinate


def with_score_in_keypoint(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    data = make()
    for annotation in data["annotations"]:
        score = annotation.pop("keypoint_score").astype(np.float32)[..., None]
        annotation["keypoint"] = np.concatenate([annotation["keypoint"].astype(np.float32), score], -1)
    return data


@pytest.mark.parametrize("model", [None, *MODELS])
def test_a_score_as_third_coordinate(model: Any) -> None:
    """One error says what to do; the checks for a model assume that it was done."""
    data = with_score_in_keypoint(clean)
    report = checked(data, model)
    assert kinds(report) == {"score-coordinate": 6}
    assert "put it into keypoint_score" in "\n".join(report.lines())
    assert "z is 0.5" in report.problems["score-coordinate"].examples[0].found
    for annotation in data["annotations"]:
        annotation["keypoint"][..., 0] += 300
    assert kinds(checked(data, model)) == {"score-coordinate": 6, "outside": 6}
    for annotation in data["annotations"]:
        del annotation["img_shape"]
    missing = {"posec3d": {"posec3d-img-shape": 6}, "stgcn": {"stgcn-img-shape": 6}}
    assert kinds(checked(data, model)) == {"score-coordinate": 6, **missing.get(model, {})}


@pytest.mark.parametrize(
    "change",
    [
        lambda points: points / 300,  # in metres
        lambda points: points * [1, 1, 100],
        lambda points: points * [1, 1, -1],
        lambda points: points * [1, 1, 0],
    ],
)
def test_3d_data_are_not_taken_for_scores(change: Callable[[Any], Any]) -> None:
    data = with_score_in_keypoint(clean)
    for annotation in data["annotations"]:
        annotation["keypoint"] = change(annotation["keypoint"])
    assert kinds(checked(data, "posec3d")) == {"posec3d-3d": 6, "posec3d-score": 6}


# ----------------------------------------------------------------------------------- persons who change rows


def slow_swaps(points: Any) -> list[bool]:
    persons, frames, joints, _ = points.shape

    def are_found(m: int, t: int) -> list[bool]:
        return [any(n != 0 for n in points[m, t, v].tolist()) for v in range(joints)]

    def distance(t: int, a: int, b: int, moving: bool) -> float:
        """From row a at t, where it is or, if ``moving``, where it would be at t + 1, to row b at t + 1."""
        if moving and not t:
            return math.inf
        places = [are_found(a, t), are_found(b, t + 1), *([are_found(a, t - 1)] if moving else [])]
        both = [v for v in range(joints) if all(place[v] for place in places)]
        if not both or FOUND * len(both) < joints:
            return math.inf
        total = 0.0
        for v in both:
            for axis, value in enumerate(points[b, t + 1, v].tolist()):
                start = float(points[a, t, v, axis])
                if moving:
                    start += start - float(points[a, t - 1, v, axis])
                total += abs(value - start)
        return total / len(both)

    def extent(t: int, m: int) -> float:
        there = [points[m, t, v].tolist() for v in range(joints) if are_found(m, t)[v]]
        return sum(max(axis) - min(axis) for axis in zip(*there, strict=True))

    swaps = []
    for t in range(frames - 1):
        moved = 0
        for a in range(persons):
            if distance(t, a, a, False) == math.inf:
                continue
            apart = [min(distance(t, a, b, moving) for moving in (False, True)) for b in range(persons)]
            own = apart.pop(a)
            moved += NEARER * min(apart) < own and own > LEAST_JUMP * extent(t, a)
        swaps.append(moved >= 2)
    return swaps


@given(st.data(), st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(1, 3)), st.sampled_from([2, 3]))
def test_swaps_against_loops(data: Any, shape: tuple[int, int, int], axes: int) -> None:
    """Integers, so that nothing is rounded, for persons near their own place or that of another."""
    places = st.sampled_from([0.0, 1.0, 2.0, 3.0, 40.0, 41.0, 80.0, 82.0])
    points = data.draw(hnp.arrays(np.float32, (*shape, axes), elements=places))
    if data.draw(st.booleans()):
        points[:] = points[:, :1] + data.draw(
            hnp.arrays(np.float32, points.shape, elements=st.sampled_from([0.0, 1.0]))
        )
        for t in range(shape[1]):
            points[:, t] = points[data.draw(st.permutations(range(shape[0]))), t]
    assert find_swaps(points).tolist() == slow_swaps(points)


@given(st.integers(0, 999), st.integers(2, 4), st.booleans())
def test_every_swap_of_persons_apart_is_counted(seed: int, persons: int, three: bool) -> None:
    random = np.random.default_rng(seed)
    bodies = (
        random.uniform(50, 150, (persons, 1, 17, 3 if three else 2)) + 200 * np.arange(persons)[:, None, None, None]
    )
    points = (bodies + random.normal(0, 2, (persons, 30, *bodies.shape[2:])).cumsum(axis=1) / 5).astype(np.float16)
    assert not find_swaps(points).any()
    order = np.stack([random.permutation(persons) for _ in range(30)], axis=1)
    mixed = np.take_along_axis(points, order[..., None, None], axis=0)
    assert find_swaps(mixed).tolist() == (order[:, 1:] != order[:, :-1]).any(axis=0).tolist()


STANCE = np.array(
    [
        *((0, -0.86), (0.06, -0.9), (-0.06, -0.9), (0.13, -0.87), (-0.13, -0.87)),
        *((0.42, -0.62), (-0.42, -0.62), (0.55, -0.28), (-0.55, -0.28), (0.6, 0.02), (-0.6, 0.02)),
        *((0.26, 0), (-0.26, 0), (0.28, 0.46), (-0.28, 0.46), (0.3, 0.92), (-0.3, 0.92)),
    ]
)
"""x and y of the joints of COCO of a standing person, in half sizes of a body: [17, 2]."""
FREEDOM = np.array([0.02] * 5 + [0.05] * 2 + [0.15] * 2 + [0.3] * 2 + [0.05] * 2 + [0.15] * 2 + [0.2] * 2)
"""How far each of them moves, in half sizes of a body: the face hardly, the wrists most."""


def walker(random: np.random.Generator, x: Any, y: float, noise: float) -> Any:
    """A swaying person [T, 17, 2], 340 pixels tall, at (x, y), with the noise of a pose estimator."""
    sway = FREEDOM[:, None] * np.sin(random.uniform(0, 6, (17, 2)) + np.arange(len(x))[:, None, None] / 5)
    body = (STANCE + sway) * 200 + np.stack([x, np.full(len(x), y)], axis=-1)[:, None]
    return body + random.normal(0, noise, body.shape)


@given(
    st.integers(0, 999),
    st.sampled_from([2, 7, 30, 150]),
    st.floats(-0.5, 0.5),
    st.sampled_from([0.0, 2.0, 10.0]),
    st.sampled_from([0.0, 0.1]),
)
def test_persons_who_cross_or_come_and_go_have_not_changed_rows(
    seed: int, speed: float, offset: float, noise: float, gaps: float
) -> None:
    """Speed in pixels per frame: 2 is a slow walk at 30 frames per second, 150 a run at 5."""
    random = np.random.default_rng(seed)
    way = speed * (np.arange(40) - 19.5 + offset)
    points = np.stack([walker(random, 960 + way, 540, noise), walker(random, 960 - way, 550, noise)])
    for m, t in np.argwhere(random.random((2, 40)) < gaps).tolist():
        points[m, t : t + int(random.integers(1, 6))] = 0
    points = points.astype(np.float16)
    assert not find_swaps(points).any()
    t = int(random.integers(1, 40))
    apart = abs(2 * way[t]) > 4.5 * speed + 200
    if apart and points[:, t - 1 : t + 1].any(axis=(2, 3)).all():
        points[:, t:] = points[::-1, t:]
        assert np.flatnonzero(find_swaps(points)).tolist() == [t - 1]


@given(st.integers(0, 999), st.sampled_from([0.0, 2.0, 10.0]), st.sampled_from([3, 12]))
def test_persons_who_shake_hands_have_not_changed_rows(seed: int, noise: float, speed: float) -> None:
    random = np.random.default_rng(seed)
    way = np.maximum(80, 300 - speed * np.arange(60))
    points = np.stack([walker(random, 960 - way, 540, noise), walker(random, 960 + way, 540, noise)])
    hands = points[0, :, 9] + points[1, :, 10]
    points[0, 40:, 9] = points[1, 40:, 10] = hands[40:] / 2
    assert not find_swaps(points.astype(np.float16)).any()
    points[:, 5:] = points[::-1, 5:]
    assert np.flatnonzero(find_swaps(points.astype(np.float16))).tolist() == [4]


def test_every_swap_in_a_real_clip_is_found(real_folder: Path, tmp_path: Path) -> None:
    """OpenPose lists three persons, who stand far apart, in another order in most frames."""
    if not (real_folder / "openpose/cam01_json").is_dir():
        pytest.skip(f"no folder openpose at {real_folder}: set SKELSTORE_REAL to a folder that has one")
    convert(real_folder / "openpose/cam01_json", tmp_path / "a.zarr", workers=1)
    with skelstore.open(tmp_path / "a.zarr") as store:
        points = store.decompressed(max_person=10)[0]["keypoint"]
    found = (points != 0).any(axis=3, keepdims=True)
    centres = (points * found).sum(axis=2) / np.maximum(found.sum(axis=2), 1)  # [M, T, 2]; persons are 170 pixels apart
    there = found.any(axis=(2, 3))
    expected = []
    for t in range(points.shape[1] - 1):
        both = np.flatnonzero(there[:, t] & there[:, t + 1])
        expected.append(sum(bool(abs(centres[m, t] - centres[m, t + 1]).sum() > 100) for m in both) >= 2)
    assert find_swaps(points).tolist() == expected
    assert sum(expected) == 12


def test_a_person_who_leaves_or_is_alone_causes_no_swap() -> None:
    data = clean()
    points = data["annotations"][0]["keypoint"]
    points[:, 1:] = points[:, :1]
    left = points.copy()
    left[0, 3:], left[1, 3:] = points[1, 3:], 0  # the second continues in the row of the first
    assert not find_swaps(left).any()
    assert find_swaps(points[:1]).tolist() == [False] * (points.shape[1] - 1)


def test_the_samples_have_no_swaps_and_correct_coordinates() -> None:
    for data in (samples.ntu_like(30), samples.ntu3d_like(30)):
        report = checked(data, None)
        assert not {"persons-swapped", "fractions", "score-coordinate", "split-none"} & set(kinds(report))


# ----------------------------------------------------------------------------------- against slow loops


COORDINATE = st.one_of(
    st.sampled_from([0.0, 0.0, -0.0, math.nan, math.inf, -1.0, 20.0, 40.0]), st.integers(-10, 60).map(float)
)
SCORE = st.sampled_from([0.0, 0.5, 1.0, math.nan])


def slow_dense(annotation: Annotation) -> dict[str, int]:
    """Number of cases of each numeric kind in an annotation; under "outside" the number of joints outside the image."""
    points, scores = annotation["keypoint"], annotation.get("keypoint_score")
    persons, frames, joints, _ = points.shape
    cells = [(m, t, v) for m in range(persons) for t in range(frames) for v in range(joints)]
    found: dict[str, int] = {}
    found["not-finite"] = sum(not math.isfinite(n) for m, t, v in cells for n in points[m, t, v].tolist())
    found["scores"] = 0 if scores is None else sum(not math.isfinite(scores[cell]) for cell in cells)
    zero = {(m, t): all(n == 0 for n in points[m, t].ravel().tolist()) for m in range(persons) for t in range(frames)}
    found["empty-video"] = int(bool(zero) and all(zero.values()))
    if zero and not found["empty-video"]:
        found["empty-frame"] = sum(all(zero[m, t] for m in range(persons)) for t in range(frames))
        found["empty-person"] = sum(all(zero[m, t] for t in range(frames)) for m in range(persons))
    seen = []
    for cell in cells:
        x, y = points[cell].tolist()
        if math.isfinite(x) and math.isfinite(y) and (x, y) != (0, 0) and (scores is None or scores[cell] > 0):
            seen.append((x, y))
    height, width = annotation["img_shape"]
    found["outside"] = sum(not (0 <= x <= width and 0 <= y <= height) for x, y in seen)
    far = [not (-0.1 * w <= x <= 1.1 * w and -0.1 * h <= y <= 1.1 * h) for x, y in seen for w, h in [(width, height)]]
    turned = [-0.1 * height <= x <= 1.1 * height and -0.1 * width <= y <= 1.1 * width for x, y in seen]
    if seen and min(height, width) > 20 and all(-1 <= x <= 2 and -1 <= y <= 2 for x, y in seen):
        found["fractions"], found["outside"] = 1, 0
    elif height != width and any(far) and sum(far) / len(far) >= 0.01 and all(turned):
        found["img-shape-swapped"], found["outside"] = 1, 0
    return {kind: count for kind, count in found.items() if count}


@given(st.data(), st.tuples(*[st.integers(0, 3)] * 2), st.integers(1, 3), st.booleans())
def test_dense_numbers_against_loops(data: Any, dims: tuple[int, int], joints: int, scored: bool) -> None:
    shape = (*dims, joints)
    points = data.draw(hnp.arrays(np.float32, (*shape, 2), elements=COORDINATE, fill=st.sampled_from([0.0, 5.0])))
    size = data.draw(st.sampled_from([(20, 40), (40, 20), (30, 30), (100, 100)]))
    annotation: Annotation = {"keypoint": points, "img_shape": size, "total_frames": dims[1]}
    if scored:
        annotation["keypoint_score"] = data.draw(hnp.arrays(np.float32, shape, elements=SCORE, fill=st.just(1.0)))
    with np.errstate(all="ignore"):
        found = list(video_problems(annotation))
    expected = slow_dense(annotation)
    counts = {kind: int(re.search(r"\d+", sentence)[0]) for kind, sentence in found}  # type: ignore[index]
    both = [kind for kind, _ in found if kind == "not-finite"]
    assert len(both) == ("not-finite" in expected) + ("scores" in expected)
    for kind in ("empty-frame", "empty-person", "outside"):
        assert counts.get(kind, 0) == expected.get(kind, 0), kind
    for kind in ("empty-video", "img-shape-swapped", "fractions"):
        assert (kind in counts) == (kind in expected), kind
    assert ("no-person" in counts) == (dims[0] == 0)
    assert ("no-frame" in counts) == (dims[0] > 0 and dims[1] == 0)


@given(
    st.lists(st.tuples(st.integers(-1, 9), st.sampled_from([0.25, 0.5, 0.75, 0.875])), min_size=1, max_size=8),
    st.integers(0, 9),
    st.dictionaries(st.sampled_from([0.3, 0.6, 0.8]), st.integers(0, 4)),
    st.sampled_from([np.float16, np.float32]),
)
def test_compressed_numbers_against_loops(rows: Any, total: int, valid: dict[float, int], dtype: Any) -> None:
    """The scores are far from the thresholds, so rounding does not matter."""
    frame_inds = np.array([frame for frame, _ in rows], np.int16)
    annotation = {
        "keypoint": np.ones((len(rows), 2, 3)),
        "frame_inds": frame_inds,
        "box_score": np.array([score for _, score in rows], dtype),
        "total_frames": total,
        "valid": valid,
    }
    found = {kind for kind, _ in video_problems(annotation)}
    frames = [frame for frame, _ in rows]
    expected = set()
    if frames != sorted(frames):
        expected.add("frame-inds-order")
    if min(frames) < 0 or max(frames) > total:
        expected.add("frame-inds-range")
    if any(count != len({f for f, score in rows if score >= t}) for t, count in valid.items()):
        expected.add("valid")
    assert found == expected


@pytest.mark.parametrize(("count", "good"), [(0, True), (1, True), (2, False)])
def test_a_score_may_have_been_rounded_onto_the_threshold(count: int, good: bool) -> None:
    """0.9 is 0.89990 in float16, and so are scores from 0.8997 to 0.9001."""
    data = clean_compressed()
    annotation = data["annotations"][0]
    annotation["box_score"] = np.array([0.9, *[0.5] * 7], np.float16)
    annotation["valid"] = {0.9: count}
    assert kinds(checked(data)) == ({} if good else {"valid": 1})


VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | hnp.arrays(st.sampled_from(["f2", "f4", ">f8", "i2", "u1", "?", "U2"]), hnp.array_shapes(min_dims=0, max_dims=4)),
    lambda child: (
        st.lists(child, max_size=3)
        | st.lists(child, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from([0.5, "a", 1]), child, max_size=2)
    ),
    max_leaves=4,
)
KEYS = ["keypoint", "keypoint_score", "frame_inds", "box_score", "valid", "total_frames", "img_shape", "label"]


@given(
    st.lists(st.dictionaries(st.sampled_from([*KEYS, "frame_dir", "filename"]), VALUE), max_size=3),
    st.dictionaries(st.sampled_from(["train", "val", "test"]), VALUE, max_size=2),
    st.sampled_from([None, *MODELS]),
)
def test_any_annotation_gives_a_report(annotations: list[Annotation], splits: dict[str, Any], model: Any) -> None:
    before = copy.deepcopy(annotations)
    report = checked({"annotations": annotations, "split": splits}, model)
    assert json.loads(json.dumps(report.to_json()))["videos"] == len(annotations)
    assert report.lines()
    assert len(before) == len(annotations)
