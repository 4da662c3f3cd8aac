"""Files that no dialect reads are identified, with the next step; and annotations are never taken for them."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters import samples
from converters.dialects.declining import decline
from converters.dialects.registry import DIALECTS, SUFFIXES, open_source
from converters.inputs.candidate import Candidate
from converters.inputs.recognition import describe_file, describe_list, is_annotation, is_label_pickle
from converters.inputs.signatures import JSON_TOOLS
from converters.samples.skeletons import write_skeletons
from skelstore.errors import SourceError
from tests.support.foreign_files import FILES, JOINT, MATLAB
from tests.support.repository import REPOSITORY
from tests.support.source_contract import dump

NO_BLAME = ("opcode", "cut short", "fetch it again", "get it again", "kpfile")
"""Words that no message about these files contains."""


def declined(path: Path, **options: Any) -> str:
    """The message about a path that no dialect recognises, whether or not one does."""
    with closing(Candidate(path, options, SUFFIXES)) as candidate:
        return checked(path, str(decline(candidate, SUFFIXES)))


def refusal(path: Path, dialect: str | None = None, **options: Any) -> str:
    """The message that declines a source."""
    with pytest.raises(SourceError) as caught:
        open_source(path, dialect, **options)
    return checked(path, str(caught.value))


def checked(path: Path, text: str) -> str:
    """A message, which names the path, and blames neither the copy of the file nor a dialect that has not seen it."""
    assert not any(word in text for word in NO_BLAME), text
    assert text.count(str(path)) >= 1
    return text


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_named_for_what_it_is(tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    text = declined(path)
    assert "\n" not in text
    assert re.search(expected, text), text
    if "--from" not in text:
        assert re.search(expected, refusal(path)), "a dialect takes it"


@pytest.mark.parametrize("name", ["a.csv", "five.mat", "a.gz", "model.pt", "page.pkl"])
def test_it_is_named_for_a_stated_dialect_too(tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    for dialect in ("pyskl", "list", "ntu"):
        if (dialect, name) != ("ntu", "model.pt"):
            assert re.search(expected, refusal(path, dialect))
    assert re.search(expected, refusal(path, "extraction"))


JSON: dict[str, tuple[object, str | None]] = {
    "OpenPose": ({"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": JOINT * 25}]}, "openpose"),
    "AlphaPose": ([{"image_id": "0.jpg", "category_id": 1, "keypoints": JOINT * 17, "idx": [0.0]}], "alphapose"),
    "MMPose": ([{"frame_id": 0, "instances": [{"keypoints": [[1, 2]], "keypoint_scores": [0.9]}]}], "mmpose"),
    "COCO's keypoints": ({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []}, "coco"),
    "COCO's keypoints (results)": ([{"image_id": 1, "category_id": 1, "keypoints": JOINT * 17, "score": 1.0}], "both"),
    "Kinetics-Skeleton": ({"data": [{"frame_index": 1, "skeleton": []}], "label_index": 3}, "kinetics-skeleton"),
    "the labels of Kinetics-Skeleton": ({"a": {"has_skeleton": True, "label_index": 3}}, "beside"),
    "MediaPipe": ([[{"x": 0.5, "y": 0.5, "z": 0.0, "visibility": 0.9}]], "mediapipe"),
    "Toyota Smarthome": ({"frames": [[]], "njts": 13}, None),
    "PoseNet": ([{"score": 1, "keypoints": [{"part": "nose", "position": {"x": 1, "y": 2}}]}], None),
    "LabelMe": ({"shapes": [], "imagePath": "a.jpg"}, None),
    "Jupyter (a notebook)": ({"cells": [], "nbformat": 4}, None),
}
"""The name of a tool -> what it writes, and the dialect that reads it, or a key of ``OTHER_ENDS``."""

OTHER_ENDS = {"both": ", or of AlphaPose without boxes and ids: if ", "beside": ": convert the folder with the clips"}


NOT_READ = ["Toyota Smarthome"]


@pytest.mark.parametrize("tool", NOT_READ)
def test_json_is_named_by_the_tool_that_writes_it(tmp_path: Path, tool: str) -> None:
    value, dialect = JSON[tool]
    path = tmp_path / "a.json"
    end = ", which is not read: make a .npz of each video"
    if dialect is not None:
        end = OTHER_ENDS.get(dialect, f": convert it, or the folder that it is in, with --from {dialect}")
    for indent in (None, 1):
        path.write_text(json.dumps(value, indent=indent))
        for stated in ("pyskl", "ntu"):
            assert f"is JSON of {tool}{end}" in refusal(path, stated)


def test_json_that_another_dialect_reads(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"file_name": "a01_s01_e00_v01", "skeletons": [], "label": 1}')
    for dialect in ("pyskl", "ntu"):
        assert "is JSON of NW-UCLA: convert it, or the folder that it is in" in refusal(tmp_path / "a.json", dialect)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]", "is JSON with a list whose first element is an int, of no tool that is known, which is not read"),
        ("[]", "is JSON with an empty list, of no tool"),
        ('[{"a": 1}]', "is JSON with a list of dicts with the keys 'a', of no tool"),
        ('{"a": 1, "b": 2}', "is JSON with the keys 'a', 'b', of no tool"),
        ('{"a": 1,}', "is JSON, but it is not valid, or not complete ("),
        (
            '[{"image_id": 1, "keypoints": [1',
            "is JSON of COCO's keypoints (results), but it is not valid, or not compl",
        ),
        (
            '{"a": 1}\n{"a": 2}\n',
            "is JSON, but it has several values, one per line (JSON Lines): join them in one list",
        ),
        ('{"a": 1} x', "is JSON, but it is not valid, or not complete (Extra data, line 1, column 10)"),
        ("[" * 100_000, "is JSON, but its numbers are too long or its lists too deeply nested"),
        ("[" + "9" * 5000 + "]", "is JSON, but its numbers are too long or its lists too deeply nested"),
        ('["' + "a" * (2 << 20) + '"]', "is JSON with much data, of no tool that is known"),
        ('["' + "a" * (2 << 20), "is JSON, but it is not complete: it does not end with ] or }"),
    ],
)
def test_json_of_no_known_tool(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert expected in refusal(tmp_path / "a.json", "pyskl")


def test_json_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"name": "M\xfcller"}')
    assert "is JSON, but it is not text in UTF-8: save it in UTF-8" in refusal(tmp_path / "a.json", "pyskl")


def test_json_of_two_dialects_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(JSON["COCO's keypoints (results)"]))
    with pytest.raises(SourceError, match=r"--from alphapose; .* --from coco"):
        open_source(tmp_path / "a.json")


def test_the_labels_of_kinetics_skeleton(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"-a": {"has_skeleton": true, "label": "a", "label_index": 3}}')
    with pytest.raises(SourceError, match="convert the folder with the clips, which is beside it"):
        open_source(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("file", "tool"),
    [
        ("alphapose/alphapose-results.json", "AlphaPose"),
        ("coco/person_keypoints_val.json", "COCO's keypoints"),
        ("kinetics_skeleton/--33Lscn6sk.json", "Kinetics-Skeleton"),
        ("mediapipe/landmarks_dict.json", "MediaPipe"),
        ("mmpose/predictions_halpe26.json", "MMPose"),
        ("openpose/cam01_json/cam01.0000.json", "OpenPose"),
        ("openpose18/clip_000000000000_keypoints.json", "OpenPose"),
    ],
)
def test_real_json_is_named_by_its_tool(real_file: Callable[[str], Path], file: str, tool: str) -> None:
    said = describe_file(real_file(file))
    assert said is not None
    assert said.startswith(f"is JSON of {tool}: convert it, or the folder that it is in, with --from ")


def test_messages_name_dialects_that_exist() -> None:
    """Every ``--from`` in the sentences of the package is followed by a dialect."""
    named = set()
    for path in (REPOSITORY / "converters").rglob("*.py"):
        named |= set(re.findall(r"--from ([a-z0-9_-]+)", path.read_text(encoding="utf-8")))
    for tool in JSON_TOOLS:
        named |= set(re.findall(r"--from ([a-z0-9_-]+)", tool.remedy))
    assert named - {"names", "or"} <= DIALECTS.keys()


def test_the_real_files_of_st_gcn(real_file: Callable[[str], Path]) -> None:
    array, labels = real_file("stgcn/val_data.npy"), real_file("stgcn/val_label.pkl")
    for path in (labels, array.parent):
        text = declined(path)
        assert "ST-GCN or 2s-AGCN" in text
        assert "--from stgcn" in text
    assert "convert it with its labels, with --from stgcn" in declined(array)


@pytest.mark.parametrize("file", ["annotations/hrnet_11_joints.pkl", "annotations/single_annotation.pkl"])
def test_real_annotations_are_taken(real_file: Callable[[str], Path], file: str) -> None:
    with closing(open_source(real_file(file))) as source:
        assert "keypoint" in source.video(0)[0]


def test_a_real_table_of_contents_is_taken(real_file: Callable[[str], Path]) -> None:
    with closing(open_source(real_file("annotations/k400_toc_100.pkl"))) as source:
        assert len(source) == 100


INSTANCE = {"keypoints": np.zeros((1, 17, 2)), "keypoint_scores": np.ones((1, 17)), "bboxes": np.zeros((1, 4))}
RAW = {"name": "S001C001P001R001A001", "data": {"72": {"joints": np.zeros((75, 3))}}, "num_frames": 3}

PICKLES: dict[str, tuple[object, str]] = {
    "poses": (
        [{"pose": np.zeros((17, 3)), "vis": np.ones(17)}],
        r"keys 'pose', 'vis', none.*own_data.*--from list conv",
    ),
    "raw_skes_data": ([RAW], r"CTR-GCN's raw_skes_data.pkl.*--from raw-skes .*sources_ntu"),
    "raw_denoised_joints": ([np.zeros((37, 150)), np.zeros((46, 75))], r"rows of 25 joints.*--from denoised"),
    "joints": ([np.zeros((37, 17, 3))] * 2, r"arrays of joints"),
    "scores": ([np.zeros(60)] * 2, r"scores of a test run"),
    "scores of clips": ([np.zeros((10, 400))] * 2, r"scores of a test run"),
    "instances": ([[INSTANCE] * 3] * 2, r"MMPose's instances per person and frame: .*--from mmpose"),
    "lists": ([[1, 2]], r"list of lists"),
    "frame": ({**INSTANCE, "frame_id": 3}, r"rename keypoints to keypoint"),
    "checkpoint": ({"state_dict": {}, "epoch": 3}, r"keys 'state_dict', 'epoch', none of which.*--from single"),
    "coco": ({"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2]}]}, r"none of which.*--from pyskl"),
    "label": ((["a.skeleton", "b.skeleton"], [0, 1]), r"names and labels of ST-GCN"),
    "label of three": ((["a", "b"], np.arange(2), [30, 30]), r"names and labels of ST-GCN"),
    "array": (np.zeros((30, 17, 3)), r"one array.*numpy\.save.*own_data"),
    "arrays": (np.zeros((120, 30, 17, 3)), r"120 clips in one array"),
    "implausible": ([{"frame_dir": 3, "keypoint": None, "label": None}], r"none of which"),
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_of_something_else_is_named(tmp_path: Path, name: str) -> None:
    value, expected = PICKLES[name]
    for protocol in (0, 2, 4):
        text = declined(dump(tmp_path / "a.pkl", value, protocol))
        assert re.search(expected, text), text
        assert "\n" not in text


def test_a_stated_dialect_converts_dicts_without_the_keys_of_an_annotation(tmp_path: Path) -> None:
    odd = {"pose": 3}
    stated = {
        "list": dump(tmp_path / "list.pkl", [odd]),
        "single": dump(tmp_path / "single.pkl", odd),
        "folder": dump(tmp_path / "f" / "a.pkl", odd).parent,
        "pyskl": dump(tmp_path / "pyskl.pkl", {"annotations": [odd]}),
    }
    for dialect, path in stated.items():
        with closing(open_source(path, dialect)) as source:
            assert source.video(0)[0] == odd, dialect


def test_a_folder_with_one_pickle_per_frame(tmp_path: Path) -> None:
    for t in range(2):
        dump(tmp_path / "f" / f"{t:06d}.pkl", {**INSTANCE, "frame_id": t})
    text = refusal(tmp_path / "f")
    assert "000000.pkl (one of 2 pickles) is a dict" in text
    assert "if each file is a frame, join those of a video in one file" in text
    assert "--from folder" in text


def test_a_folder_of_data_sets(tmp_path: Path) -> None:
    dump(tmp_path / "f" / "train.pkl", {"split": {}, "annotations": [{"frame_dir": "a"}]})
    assert "convert train.pkl itself" in refusal(tmp_path / "f")
    dump(tmp_path / "f" / "val.pkl", {"split": {}, "annotations": [{"frame_dir": "b"}]})
    assert "convert each of them, then `skelstore merge` the stores" in refusal(tmp_path / "f")


def test_a_folder_of_an_array_and_its_labels(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "X.npy", np.zeros((50, 30, 17, 2)))
    np.save(tmp_path / "f" / "y.npy", np.arange(50))
    assert "one array of all clips ('X.npy', (50, 30, 17, 2)) and one of their labels ('y.npy')" in refusal(
        tmp_path / "f"
    )


def test_folders_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    assert "is a folder without files; expected .skeleton, .pkl, " in refusal(tmp_path / "empty")
    (tmp_path / "lmdb").mkdir()
    (tmp_path / "lmdb" / "data.mdb").write_bytes(bytes(8))
    assert "is an LMDB database" in refusal(tmp_path / "lmdb")
    (tmp_path / "mixed").mkdir()
    for i in range(3):
        (tmp_path / "mixed" / f"{i}.mat").write_bytes(MATLAB)
    (tmp_path / "mixed" / "notes.txt").write_text("x")
    assert "with other files (3 of .mat, 1 of .txt): 0.mat is a MATLAB file" in refusal(tmp_path / "mixed")
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "a.bin").write_bytes(bytes(9))
    assert "(1 of .bin): a.bin is a binary file of no known kind" in refusal(tmp_path / "binary")
    assert "with other files" in refusal(tmp_path / "binary", label_by="ntu")


def test_a_skeleton_file_alone(tmp_path: Path) -> None:
    write_skeletons(tmp_path, ["S001C001P001R001A001"])
    path = tmp_path / "S001C001P001R001A001.skeleton"
    for dialect in (None, "ntu"):
        assert "is a .skeleton file of NTU RGB+D: convert the folder that it is in" in refusal(path, dialect)
    path.rename(tmp_path / "a.txt")
    assert "is a .skeleton file" in refusal(tmp_path / "a.txt")


def test_every_sample_is_an_annotation() -> None:
    for annotation in (*samples.ntu_like(3)["annotations"], *samples.bare_list_like(3), *samples.compressed_like(3)):
        assert is_annotation(annotation)
        assert describe_list(annotation, None) is None


VALUES = {
    "frame_dir": st.one_of(st.text(), st.text().map(np.str_)),
    "keypoint": st.just(np.zeros((1, 2, 3, 2))),
    "frame_inds": st.just(np.zeros(3, np.int16)),
    "total_frames": st.one_of(st.integers(), st.integers(0, 99).map(np.int64)),
    "label": st.one_of(st.integers(), st.text(), st.lists(st.integers()), st.dictionaries(st.text(), st.integers())),
    "img_shape": st.tuples(st.integers(), st.integers()),
}


@given(
    st.sampled_from(list(VALUES)).flatmap(lambda key: st.tuples(st.just(key), VALUES[key])),
    st.dictionaries(st.text(), st.none()),
)
def test_one_key_of_the_field_is_enough(given_key: tuple[str, Any], others: dict[str, None]) -> None:
    assert is_annotation(others | dict([given_key]))


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_named_or_left_to_the_reader_of_pickles(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pkl"
        path.write_bytes(data)
        said = describe_file(path)
        assert said is None or said.startswith(("is ", "has "))


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5), st.integers(0, 1))
def test_pickles_of_protocol_0_and_1_are_not_called_text(value: object, protocol: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = dump(Path(folder) / "a.pkl", [value, {"a": value}], protocol)
        assert describe_file(path) is None


def test_labels_of_st_gcn() -> None:
    assert is_label_pickle((["a", "b"], [0, 1]))
    assert not is_label_pickle((["a", "b"], [0]))
    assert not is_label_pickle((["a"], (["b"], ["c"], ["d"], ["e"])))
    assert not is_label_pickle(({"frame_dir": "a"},))
    assert not is_label_pickle(None)
